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
use crate::ops::{ConvShape, Span, expect_pixels};

/// Whether a convolution is computed over blocks: there is a stride, chunks need blocks and then are possible.
pub(super) fn suit(precision: Precision, shape: &ConvShape) -> bool {
    let &ConvShape { channels, filters, stride, .. } = shape;
    let chunked = |maps: usize| maps.is_multiple_of(bf16::CHUNK as usize);
    let maps = shape.blocks().maps(channels);
    precision == Precision::Bf16 && stride > 1 && !chunked(channels) && chunked(maps) && chunked(filters)
}

/// A convolution that is computed over blocks.
pub(super) struct Blocks {
    op: &'static str,
    /// The convolution over blocks: no stride, no padding.
    pub(super) extents: Extents,
    kernel_shape: Shape,
    /// Elements of a tower's filters over blocks.
    filter_len: u32,
    /// Elements of a tower's weights.
    weight_len: u32,
    images: Images,
    /// Where filters lie, or their gradients.
    filters: u64,
}

/// Where the blocks of images lie.
enum Images {
    /// In the input itself.
    Input(Span),
    /// In scratch memory.
    Turned(u64),
}

/// Turns pixels into `packs` packs of blocks at `to`.
fn turn(cuda: &Cuda, pixels: Span, to: u64, shape: &Shape, packs: u32) -> Result<(), Error> {
    let (from, _) = cuda.address(pixels);
    let arguments = [Argument::address(&from), Argument::address(&to), Argument::value(shape), Argument::value(&packs)];
    // SAFETY: the operation passed its check, so the span holds all images; the scratch memory was made for their
    // blocks, whose maps are a multiple of a pack; grid and block are the kernel's.
    unsafe { cuda.launch(&IMAGES, grid(packs, 1), &arguments) }
}

/// Places of towers that are `len` elements apart.
fn apart(len: u32, towers: usize) -> [u32; MAX_TOWERS] {
    [0, 1, 2, 3].map(|tower| if (tower as usize) < towers { tower * len } else { 0 })
}

impl Blocks {
    /// The convolution over blocks, where they suit it and all towers read one image; with room for filters or their
    /// gradients. Images of pixels are turned into blocks.
    pub(super) fn new<'a>(
        cuda: &mut Cuda,
        op: &'static str,
        shape: ConvShape,
        images: usize,
        mut inputs: impl Iterator<Item = &'a Span>,
    ) -> Result<Option<Blocks>, Error> {
        let Some(&input) = inputs.next() else { return Ok(None) };
        if !suit(cuda.precision(), &shape) || inputs.any(|other| *other != input) {
            return expect_pixels(op, shape.in_blocks).map(|()| None);
        }
        let ConvShape { in_height, in_width, channels, filters, size, stride, pad, .. } = shape;
        let (blocks, taps) = (shape.blocks(), size.div_ceil(stride));
        let maps = blocks.maps(channels);
        let over_blocks = ConvShape {
            in_height: blocks.rows,
            in_width: blocks.columns,
            channels: maps,
            size: taps,
            stride: 1,
            pad: 0,
            in_blocks: false,
            ..shape
        };
        let extents = Extents::new(op, over_blocks, images)?;
        let elements = count(op, images * blocks.image_len(channels))?;
        let filter_len = count(op, taps * taps * maps * filters)?;
        let by = |number: usize| Divisor::new(number as u32);
        let kernel_shape = Shape {
            height: in_height as u32,
            width: in_width as u32,
            pad: pad as u32,
            size: size as u32,
            by_stride: by(stride),
            by_channels: by(channels),
            by_maps: by(maps),
            by_columns: by(blocks.columns),
            by_rows: by(blocks.rows),
            by_taps: by(taps),
            by_size: by(size),
            by_filters: by(filters),
        };
        let image_bytes = (elements as usize * Precision::Bf16.bytes()).next_multiple_of(256);
        let image_bytes = if shape.in_blocks { 0 } else { image_bytes };
        let filter_bytes = MAX_TOWERS * filter_len as usize * Precision::F32.bytes();
        let base = cuda.scratch(Scratch::Blocks, image_bytes + filter_bytes)?;
        let images = if shape.in_blocks {
            Images::Input(input)
        } else {
            turn(cuda, input, base, &kernel_shape, elements / PACK)?;
            Images::Turned(base)
        };
        let weight_len = (size * size * channels * filters) as u32;
        Ok(Some(Blocks {
            op,
            extents,
            kernel_shape,
            filter_len,
            weight_len,
            images,
            filters: base + image_bytes as u64,
        }))
    }

    /// The blocks of the images of all `towers`.
    pub(super) fn images(&self, cuda: &Cuda, towers: usize) -> Result<Sources, Error> {
        match &self.images {
            Images::Input(input) => cuda.sources(self.op, std::iter::repeat_n(std::slice::from_ref(input), towers)),
            &Images::Turned(base) => Ok(Sources::single(&Operand::new(base, Precision::Bf16, apart(0, towers)))),
        }
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
        // SAFETY: as in `turn`, for the weights of each tower.
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
