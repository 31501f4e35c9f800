//! What the launches of products share: places of sources, parts in scratch memory, and their sum.

use kernels_gpu::column_sums::COLUMN_SUMS;
use kernels_gpu::element::{Divisor, MAX_TOWERS, Offsets};
use kernels_gpu::product::{MAX_LAYERS, MAX_SOURCES, Places, Product};
use kernels_gpu::sum_parts::{Finish, SUM_PARTS, Sum};

use super::Cuda;
use super::operand::{Operand, count};
use crate::Error;
use crate::device::Argument;
use crate::ops::{Activation, Span};

/// One operand of each source of up to [`MAX_TOWERS`] problems.
pub(super) struct Sources {
    pub(super) base: u64,
    pub(super) at: Places,
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
        for (source, at) in at.iter_mut().enumerate().take(n_sources) {
            let operand = self.operand(op, problems.clone().map(|spans| spans[source]))?;
            let first = *base.get_or_insert(operand.base);
            if operand.base != first {
                let problem = "sources in several regions, expected one".to_string();
                return Err(Error::Unsupported { op, problem });
            }
            *at = operand.at;
        }
        Ok(Sources { base: base.unwrap_or(0), at: Places::new(at) })
    }
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
    pub(super) grid: [u32; 3],
    product: Product,
    sources: u32,
    problems: u32,
    output: Operand,
    bias: Option<(Operand, Finish)>,
}

impl Launch {
    /// `sources` are those that are summed one by one.
    pub(super) fn new(
        cuda: &mut Cuda,
        op: &'static str,
        product: Product,
        sources: u32,
        problems: u32,
        output: Operand,
        bias: Option<(Operand, Finish)>,
    ) -> Result<Launch, Error> {
        let layers = product.parts as usize * problems as usize;
        if layers > MAX_LAYERS as usize {
            let problem = format!("{layers} parts of sums, possible are up to {MAX_LAYERS}; use a smaller batch");
            return Err(Error::Unsupported { op, problem });
        }
        let len = product.m as usize * product.n as usize;
        let grid = product.grid(problems);
        let finish = bias.as_ref().map_or(Finish::NONE, |(_, finish)| *finish);
        let (base, at, finish) = if product.parts == 1 {
            (output.base, output.at, finish)
        } else {
            let (base, at) = parts(cuda, op, len * product.parts as usize, problems)?;
            (base, at, Finish::NONE)
        };
        Ok(Launch { base, at, finish, grid, product, sources, problems, output, bias })
    }

    /// Base and places of the biases; without any, something that is not read.
    pub(super) fn bias(&self) -> (u64, Offsets) {
        self.bias.as_ref().map_or((self.output.base, self.output.at), |(bias, _)| (bias.base, bias.at))
    }

    /// Adds the parts, where there are any.
    pub(super) fn sum_parts(&self, cuda: &Cuda) -> Result<(), Error> {
        if self.product.parts == 1 {
            return Ok(());
        }
        let (len, columns) = (self.product.m * self.product.n, self.product.n);
        let slices = self.product.parts / self.sources;
        let sum = Sum { len, by_columns: Divisor::new(columns), sources: self.sources, slices };
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
        // SAFETY: the parts were written by the launch before, to scratch memory; the output has an element for each of
        // a part's, and a bias one for each column; grid and block are the kernel's.
        unsafe { cuda.launch(&SUM_PARTS, kernels_gpu::sum_parts::grid(sum, self.problems), &arguments) }
    }
}

/// Scratch memory for `len` floats of each problem: its base, and the place of each.
fn parts(cuda: &mut Cuda, op: &'static str, len: usize, problems: u32) -> Result<(u64, Offsets), Error> {
    count(op, len * problems as usize)?;
    let base = cuda.scratch(len * problems as usize * size_of::<f32>())?;
    Ok((base, Offsets::new([0, 1, 2, 3].map(|problem| if problem < problems { problem * len as u32 } else { 0 }))))
}

/// Sums of the columns of the right operand of `product`, in the same parts.
pub(super) fn column_sums(
    cuda: &mut Cuda,
    op: &'static str,
    product: Product,
    matrix: Operand,
    output: Operand,
    problems: u32,
) -> Result<(), Error> {
    let (rows, slice) = (product.k, product.slice);
    let launch = Launch::new(cuda, op, Product { m: 1, ..product }, 1, problems, output, None)?;
    let arguments = [
        Argument::address(&matrix.base),
        Argument::value(&matrix.at),
        Argument::address(&launch.base),
        Argument::value(&launch.at),
        Argument::value(&rows),
        Argument::value(&product.n),
        Argument::value(&slice),
    ];
    let grid = kernels_gpu::column_sums::grid(product.n, product.parts, problems);
    // SAFETY: the operation passed its check, so the matrix has all its rows and the output a float for each column;
    // parts go to scratch memory that was made for them; grid, block and shared memory are the kernel's.
    unsafe { cuda.launch(&COLUMN_SUMS, grid, &arguments) }?;
    launch.sum_parts(cuda)
}
