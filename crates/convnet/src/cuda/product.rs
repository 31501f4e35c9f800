//! What the launches of products share: places of sources, parts in scratch memory, and their sum.

use kernels_gpu::column_sums::{COLUMN_SUMS, Shape};
use kernels_gpu::element::{Divisor, MAX_TOWERS, Offsets};
use kernels_gpu::product::{CHUNK, MAX_LAYERS, MAX_SOURCES, Places, Product};
use kernels_gpu::sum_parts::{Finish, SUM_PARTS, Sum};
use kernels_gpu::{Precision, bf16, conv};

use super::operand::{Operand, count, wrong_type};
use super::{Cuda, Scratch};
use crate::Error;
use crate::device::Argument;
use crate::ops::{Activation, Span};

/// One operand of each source of up to [`MAX_TOWERS`] problems, of the type that products read.
pub(super) struct Sources {
    pub(super) base: u64,
    pub(super) at: Places,
    places: Vec<usize>,
}

impl Sources {
    /// Where each begins.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.places.iter().copied()
    }

    /// The only source of each problem.
    pub(super) fn single(operand: &Operand) -> Sources {
        let none = Offsets::new([0; MAX_TOWERS]);
        let at = Places::new([operand.at, none, none, none]);
        Sources { base: operand.base, at, places: operand.places().collect() }
    }
}

impl Cuda {
    /// The operand of operation `op` that has these spans, one for each source of each problem of a launch.
    pub(super) fn sources<'a>(
        &self,
        op: &'static str,
        problems: impl Iterator<Item = &'a [Span]> + Clone,
    ) -> Result<Sources, Error> {
        let n_sources = same(op, problems.clone().map(<[Span]>::len))? as usize;
        let mut at = [Offsets::new([0; MAX_TOWERS]); MAX_SOURCES];
        let mut base = None;
        let mut places = Vec::new();
        for (source, at) in at.iter_mut().enumerate().take(n_sources) {
            let operand = self.operand_of_product(op, problems.clone().map(|spans| spans[source]))?;
            let first = *base.get_or_insert(operand.base);
            if operand.base != first {
                let problem = "sources in several regions, expected one".to_string();
                return Err(Error::Unsupported { op, problem });
            }
            *at = operand.at;
            places.extend(operand.places());
        }
        Ok(Sources { base: base.unwrap_or(0), at: Places::new(at), places })
    }

    /// The products of a launch, for a gradient: each source in parts, in f32 of at most about `slice` terms.
    pub(super) fn split(&self, [m, n, k]: [u32; 3], sources: u32, slice: u32) -> Products {
        let precision = self.memory.precision();
        let product = match precision {
            Precision::F32 => Product::split(m, n, k, sources, slice),
            Precision::Bf16 => bf16::split(m, n, k, sources),
        };
        Products { product, precision, floats: false, sources }
    }

    /// As [`Cuda::split`], of one source in one part, however long.
    pub(super) fn whole(&self, [m, n, k]: [u32; 3]) -> Products {
        let product = Product::split(m, n, k, 1, k);
        Products { product, precision: self.memory.precision(), floats: false, sources: 1 }
    }

    /// As [`Cuda::split`], but in one part where sums are short or tiles many, for a forward pass.
    pub(super) fn join(&self, [m, n, k]: [u32; 3], sources: u32, slice: u32) -> Products {
        let precision = self.memory.precision();
        // In bf16 all parts are summed as those of one source: a forward pass is rounded once.
        let (product, sources) = match precision {
            Precision::F32 => {
                let product = Product::join(m, n, k, sources, slice);
                (product, product.parts / product.slices)
            }
            Precision::Bf16 => (bf16::join(m, n, k, sources), 1),
        };
        Products { product, precision, floats: false, sources }
    }
}

/// The products of a launch, as kernels of one precision take them.
#[derive(Clone, Copy)]
pub(super) struct Products {
    pub(super) product: Product,
    /// The type of the operands.
    pub(super) precision: Precision,
    /// Whether the kernel writes f32 even in one part.
    floats: bool,
    /// Sources that are summed one by one.
    sources: u32,
}

impl Products {
    /// The same parts of sums for `rows` of the rows.
    pub(super) fn on(self, rows: u32) -> Products {
        Products { product: Product { m: rows, ..self.product }, ..self }
    }

    /// Those of a weight gradient, whose kernels write f32.
    pub(super) fn in_floats(self) -> Products {
        Products { floats: true, ..self }
    }

    /// The type of what the kernel writes.
    fn written(&self) -> Precision {
        if self.floats || self.product.parts > 1 { Precision::F32 } else { self.precision }
    }
}

/// The kernels of an operation.
#[derive(Clone, Copy)]
pub(super) struct ProductKernels {
    pub(super) f32: &'static conv::Entries,
    pub(super) bf16: &'static bf16::conv::Entries,
}

/// The number of sources of every problem, which must be one number, at most [`MAX_SOURCES`].
pub(super) fn same(op: &'static str, mut lens: impl Iterator<Item = usize>) -> Result<u32, Error> {
    let first = lens.next().unwrap_or(0);
    let problem = if let Some(other) = lens.find(|&len| len != first) {
        format!("towers with {first} and {other} sources, expected as many for each")
    } else if first > MAX_SOURCES {
        format!("a tower has {first} sources, possible are up to {MAX_SOURCES}")
    } else {
        return Ok(first as u32);
    };
    Err(Error::Unsupported { op, problem })
}

/// Bias and activation.
pub(super) fn finish(activation: Option<Activation>) -> Finish {
    let (activation, a, b) = match activation {
        None => (0, 0.0, 0.0),
        Some(Activation::Relu) => (1, 0.0, 0.0),
        Some(Activation::Tanh { a, b }) => (2, a, b),
    };
    Finish { bias: 1, activation, a, b }
}

/// Where a launch writes: the output itself, or parts in scratch memory and then their sum.
pub(super) struct Launch {
    pub(super) base: u64,
    pub(super) at: Offsets,
    /// What the product itself does behind its sums: nothing where there are parts.
    pub(super) finish: Finish,
    products: Products,
    problems: u32,
    in_parts: bool,
    output: Operand,
    bias: Option<(Operand, Finish)>,
}

impl Launch {
    /// Makes room for parts where there are several, or where the kernel does not write the output's type.
    pub(super) fn new(
        cuda: &mut Cuda,
        op: &'static str,
        products: Products,
        problems: u32,
        output: Operand,
        bias: Option<(Operand, Finish)>,
    ) -> Result<Launch, Error> {
        let (product, written) = (products.product, products.written());
        let layers = product.parts as usize * problems as usize;
        if layers > MAX_LAYERS as usize {
            let problem = format!("{layers} parts of sums, possible are up to {MAX_LAYERS}; use a smaller batch");
            return Err(Error::Unsupported { op, problem });
        }
        if let Some((bias, _)) = &bias {
            bias.expect(op, Precision::F32)?;
        }
        let len = product.m as usize * product.n as usize;
        let in_parts = product.parts > 1 || written != output.precision;
        let (base, at, finish) = if in_parts {
            if written != Precision::F32 {
                return Err(wrong_type(op, output.precision, written));
            }
            let (base, at) = parts(cuda, op, len * product.parts as usize, problems)?;
            (base, at, Finish::NONE)
        } else {
            (output.base, output.at, bias.as_ref().map_or(Finish::NONE, |(_, finish)| *finish))
        };
        Ok(Launch { base, at, finish, products, problems, in_parts, output, bias })
    }

    /// Launches the kernel of a product, which reads `operands`. `chunked` says whether the shape lets neighbours be copied
    /// in chunks.
    ///
    /// # Safety
    /// The arguments keep the contract of `kernels`, except for where operands begin.
    pub(super) unsafe fn run(
        &self,
        cuda: &Cuda,
        kernels: ProductKernels,
        arguments: &[Argument<'_>],
        operands: [&Sources; 2],
        chunked: bool,
    ) -> Result<(), Error> {
        let Products { product, precision, .. } = self.products;
        let begin_at = |chunk: u32| {
            let mut places = operands.iter().flat_map(|operand| operand.places());
            places.all(|place| place.is_multiple_of(chunk as usize))
        };
        let (kernel, grid) = match precision {
            Precision::F32 => {
                let (kernel, tile) = kernels.f32.of(product.m, product.n, chunked && begin_at(CHUNK));
                (kernel, tile.grid(product, self.problems))
            }
            Precision::Bf16 => {
                let mut output = self.output.places().filter(|_| !self.in_parts);
                let output = output.all(|place| place.is_multiple_of(bf16::CHUNK as usize));
                let chunked = chunked && begin_at(bf16::CHUNK) && output;
                let (kernel, tile) = kernels.bf16.of(product.m, product.n, chunked);
                (kernel, tile.grid(product, self.problems))
            }
        };
        // SAFETY: the caller's word; the entry that copies chunks is taken only where shape and places allow it, and
        // regions are aligned to 256 bytes; parts begin at multiples of `n` in scratch memory.
        unsafe { cuda.launch(kernel, grid, arguments) }
    }

    /// Base and places of the biases; without any, something that is not read.
    pub(super) fn bias(&self) -> (u64, Offsets) {
        self.bias.as_ref().map_or((self.output.base, self.output.at), |(bias, _)| (bias.base, bias.at))
    }

    /// Adds the parts, where there are any.
    pub(super) fn sum_parts(&self, cuda: &Cuda) -> Result<(), Error> {
        if !self.in_parts {
            return Ok(());
        }
        let Products { product, sources, .. } = self.products;
        let (len, columns) = (product.m * product.n, product.n);
        let sum = Sum { len, by_columns: Divisor::new(columns), sources, slices: product.parts / sources };
        let finish = self.bias.as_ref().map_or(Finish::NONE, |(_, finish)| *finish);
        let (bias, bias_at) = self.bias();
        let arguments = [
            Argument::address(&self.base),
            Argument::address(&self.output.base),
            Argument::value(&self.output.at),
            Argument::address(&bias),
            Argument::value(&bias_at),
            Argument::value(&sum),
            Argument::value(&finish),
        ];
        let kernel = SUM_PARTS.of(self.output.precision);
        // SAFETY: the parts were written by the launch before, to scratch memory; the output has an element for each of
        // a part's, and a bias one for each column; grid and block are the kernel's.
        unsafe { cuda.launch(kernel, kernels_gpu::sum_parts::grid(sum, self.problems), &arguments) }
    }
}

/// Scratch memory for `len` floats of each problem: its base, and the place of each.
fn parts(cuda: &mut Cuda, op: &'static str, len: usize, problems: u32) -> Result<(u64, Offsets), Error> {
    count(op, len * problems as usize)?;
    let base = cuda.scratch(Scratch::Parts, len * problems as usize * size_of::<f32>())?;
    Ok((base, Offsets::new([0, 1, 2, 3].map(|problem| if problem < problems { problem * len as u32 } else { 0 }))))
}

/// Sums of the columns of matrices of `rows` by `columns`.
pub(super) fn column_sums(
    cuda: &mut Cuda,
    op: &'static str,
    [rows, columns]: [u32; 2],
    matrix: Operand,
    output: Operand,
    problems: u32,
) -> Result<(), Error> {
    let width = kernels_gpu::element::width(matrix.places().chain(output.places()).chain([columns as usize]));
    let shape = Shape::new(rows, columns, width);
    let parts = shape.grid(1)[1];
    let product = Product { m: 1, n: columns, k: rows, slice: shape.slice, slices: parts, joined: 1, parts };
    let products = Products { product, precision: matrix.precision, floats: true, sources: 1 };
    let launch = Launch::new(cuda, op, products, problems, output, None)?;
    let arguments = [
        Argument::address(&matrix.base),
        Argument::value(&matrix.at),
        Argument::address(&launch.base),
        Argument::value(&launch.at),
        Argument::value(&shape),
    ];
    // SAFETY: the operation passed its check, so the matrix has all its rows and the output an element for each column;
    // parts go to scratch memory that was made for them; `width` is 4 only where places and columns allow it, and
    // regions are aligned to 256 bytes; grid, block and shared memory are the kernel's.
    unsafe { cuda.launch(COLUMN_SUMS.of(matrix.precision), shape.grid(problems), &arguments) }?;
    launch.sum_parts(cuda)
}
