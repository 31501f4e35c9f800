//! Strided convolutions in bf16 as convolutions over blocks of pixels: what the first layer's three maps need to be
//! copied in chunks.

use kernels_gpu::blocks::{GRADIENT, IMAGES, PACK, Shape, WEIGHTS, grid};
use kernels_gpu::element::{Divisor, MAX_TOWERS};
use kernels_gpu::{Precision, bf16};

use super::conv::Extents;
use super::operand::{Operand, count};
use super::product::Sources;
use super::{Cuda, Scratch};
use crate::Error;
use crate::device::Argument;
use crate::ops::{Access, ConvShape, Operation, Span};

/// Images that are there as blocks: a forward pass makes them, and the weight gradient reads them again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turned {
    input: Span,
    shape: ConvShape,
    images: usize,
}

impl Turned {
    /// Whether they are of what lies in `span`.
    pub(super) fn is_of(&self, span: &Span) -> bool {
        self.input.overlaps(span)
    }
}

impl Cuda {
    /// Drops the blocks of what is written.
    pub(super) fn forget_blocks(&mut self, written: &Span) {
        self.turned = self.turned.filter(|turned| !turned.is_of(written));
    }

    /// Drops the blocks of what an operation writes.
    pub(super) fn forget_written(&mut self, op: &impl Operation) {
        if self.turned.is_some() {
            let written = op.operands().into_iter().filter(|(access, _)| *access != Access::Read);
            written.for_each(|(_, span)| self.forget_blocks(&span));
        }
    }
}

/// A convolution that is computed over blocks.
pub(super) struct Blocks {
    op: &'static str,
    /// The convolution over blocks: no stride, no padding.
    pub(super) extents: Extents,
    kernel_shape: Shape,
    /// The images.
    turned: Turned,
    /// Packs of all images.
    packs: u32,
    /// Elements of a tower's filters over blocks.
    filter_len: u32,
    /// Elements of a tower's weights.
    weight_len: u32,
    /// Where images lie.
    images: u64,
    /// Where filters lie, or their gradients.
    filters: u64,
}

/// Places of towers that are `len` elements apart.
fn apart(len: u32, towers: usize) -> [u32; MAX_TOWERS] {
    [0, 1, 2, 3].map(|tower| if (tower as usize) < towers { tower * len } else { 0 })
}

impl Blocks {
    /// The convolution over blocks, where there is a stride, chunks need blocks and then are possible, and all towers
    /// read one image; with room for images, and for filters or their gradients.
    pub(super) fn new<'a>(
        cuda: &mut Cuda,
        op: &'static str,
        shape: ConvShape,
        images: usize,
        mut inputs: impl Iterator<Item = &'a Span>,
    ) -> Result<Option<Blocks>, Error> {
        let ConvShape { in_height, in_width, channels, out_height, out_width, filters, size, stride, pad } = shape;
        let chunk = bf16::CHUNK as usize;
        let maps = stride * stride * channels;
        let chunks = !channels.is_multiple_of(chunk) && maps.is_multiple_of(chunk) && filters.is_multiple_of(chunk);
        let Some(first) = inputs.next() else { return Ok(None) };
        if cuda.precision() != Precision::Bf16 || stride == 1 || !chunks || inputs.any(|input| input != first) {
            return Ok(None);
        }
        let taps = size.div_ceil(stride);
        let (rows, columns) = (out_height - 1 + taps, out_width - 1 + taps);
        let over_blocks =
            ConvShape { in_height: rows, in_width: columns, channels: maps, size: taps, stride: 1, pad: 0, ..shape };
        let extents = Extents::new(op, over_blocks, images)?;
        let elements = count(op, images * rows * columns * maps)?;
        let filter_len = count(op, taps * taps * maps * filters)?;
        let image_bytes = (elements as usize * Precision::Bf16.bytes()).next_multiple_of(256);
        let filter_bytes = MAX_TOWERS * filter_len as usize * Precision::F32.bytes();
        let base = cuda.scratch(Scratch::Blocks, image_bytes + filter_bytes)?;
        let by = |number: usize| Divisor::new(number as u32);
        let kernel_shape = Shape {
            height: in_height as u32,
            width: in_width as u32,
            pad: pad as u32,
            size: size as u32,
            by_stride: by(stride),
            by_channels: by(channels),
            by_maps: by(maps),
            by_columns: by(columns),
            by_rows: by(rows),
            by_taps: by(taps),
            by_size: by(size),
            by_filters: by(filters),
        };
        Ok(Some(Blocks {
            op,
            extents,
            kernel_shape,
            turned: Turned { input: *first, shape, images },
            packs: elements / PACK,
            filter_len,
            weight_len: (size * size * channels * filters) as u32,
            images: base,
            filters: base + image_bytes as u64,
        }))
    }

    /// The blocks of the images of all `towers`, which are made unless they are there.
    pub(super) fn images(&self, cuda: &mut Cuda, towers: usize) -> Result<Sources, Error> {
        if cuda.turned != Some(self.turned) {
            let (from, _) = cuda.address(self.turned.input);
            let arguments = [
                Argument::address(&from),
                Argument::address(&self.images),
                Argument::value(&self.kernel_shape),
                Argument::value(&self.packs),
            ];
            // SAFETY: the operation passed its check, so the span holds all images; the scratch memory was made for
            // their blocks, whose maps are a multiple of a pack; grid and block are the kernel's.
            unsafe { cuda.launch(&IMAGES, grid(self.packs, 1), &arguments) }?;
            cuda.turned = Some(self.turned);
        }
        Ok(Sources::single(&Operand::new(self.images, Precision::Bf16, apart(0, towers))))
    }

    /// Makes filters over blocks of the weights of each tower.
    pub(super) fn weights(
        &self,
        cuda: &Cuda,
        weights: impl Iterator<Item = Span>,
        towers: usize,
    ) -> Result<Sources, Error> {
        let weight = cuda.operand_of_product(self.op, weights)?;
        let filter = Operand::new(self.filters, Precision::Bf16, apart(self.filter_len, towers));
        let arguments = [
            Argument::address(&weight.base),
            Argument::value(&weight.at),
            Argument::address(&filter.base),
            Argument::value(&filter.at),
            Argument::value(&self.kernel_shape),
            Argument::value(&self.filter_len),
        ];
        // SAFETY: as in `images`, for the weights of each tower.
        unsafe { cuda.launch(&WEIGHTS, grid(self.filter_len, towers as u32), &arguments) }?;
        Ok(Sources::single(&filter))
    }

    /// Where the gradients of filters over blocks go.
    pub(super) fn d_filters(&self, towers: usize) -> Operand {
        Operand::new(self.filters, Precision::F32, apart(self.filter_len, towers))
    }

    /// Gives the weights their gradients from those of filters over blocks.
    pub(super) fn finish(&self, cuda: &Cuda, d_weight: &Operand, towers: usize) -> Result<(), Error> {
        let d_filter = self.d_filters(towers);
        let arguments = [
            Argument::address(&d_filter.base),
            Argument::value(&d_filter.at),
            Argument::address(&d_weight.base),
            Argument::value(&d_weight.at),
            Argument::value(&self.kernel_shape),
            Argument::value(&self.weight_len),
        ];
        // SAFETY: the launch before wrote the gradients of filters; the operation passed its check, so each weight has a
        // float; grid and block are the kernel's.
        unsafe { cuda.launch(&GRADIENT, grid(self.weight_len, towers as u32), &arguments) }
    }
}
