//! Convolution.

use kernels_gpu::element::Divisor;
use kernels_gpu::product::copy::{MAX_EXTENT, Windows};
use kernels_gpu::{Precision, bf16, conv, product};

use super::Cuda;
use super::blocks::Blocks;
use super::operand::count;
use super::product::{Launch, ProductKernels, Products, column_sums, finish, same};
use crate::Error;
use crate::device::Argument;
use crate::ops::{ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad, Operation, Span, expect_pixels};

const FORWARD: ProductKernels = ProductKernels { f32: &conv::FORWARD, bf16: &bf16::conv::FORWARD };
const INPUT_GRAD: ProductKernels = ProductKernels { f32: &conv::INPUT_GRAD, bf16: &bf16::conv::INPUT_GRAD };
const WEIGHT_GRAD: ProductKernels = ProductKernels { f32: &conv::WEIGHT_GRAD, bf16: &bf16::conv::WEIGHT_GRAD };

/// Terms of an f32 sum over channels that are added in one part: every such sum of AlexNet is one.
const SLICE: u32 = 3200;
/// Terms of an f32 sum over windows that are added in one part. There are so many that a weight gradient fills a card.
const WINDOWS: u32 = 1536;

/// A convolution as kernels take it.
pub(super) struct Extents {
    shape: ConvShape,
    images: usize,
    /// Windows of the batch.
    outputs: u32,
    /// Pixels of the batch.
    inputs: u32,
    /// Terms of a window.
    terms: u32,
}

impl Extents {
    /// Refuses what a kernel cannot count.
    pub(super) fn new(op: &'static str, shape: ConvShape, images: usize) -> Result<Extents, Error> {
        let ConvShape { in_height, in_width, channels, out_height, out_width, filters, size, stride, pad, .. } = shape;
        for extent in [in_height, in_width, out_height, out_width, size, stride, pad] {
            if extent > MAX_EXTENT as usize {
                let problem = format!("an extent is {extent}, possible are up to {MAX_EXTENT}");
                return Err(Error::Unsupported { op, problem });
            }
        }
        let taps = size * size;
        let (pixels, windows) = (in_height * in_width, out_height * out_width);
        for len in [images * pixels * channels, images * windows * filters, taps * channels * filters] {
            count(op, len)?;
        }
        let (outputs, inputs) = (count(op, images * windows)?, count(op, images * pixels)?);
        count(op, taps * filters)?;
        let terms = count(op, taps * channels)?;
        Ok(Extents { shape, images, outputs, inputs, terms })
    }

    /// Rows, columns and terms of the product that is a weight gradient.
    pub(super) fn of_weights(&self) -> [u32; 3] {
        [self.terms, self.shape.filters as u32, self.outputs]
    }

    /// Whether what lies side by side in images and weights can be copied in chunks.
    pub(super) fn chunked(&self, precision: Precision) -> bool {
        let ConvShape { channels, filters, size, .. } = self.shape;
        let (chunk, max_size) = match precision {
            Precision::F32 => (product::CHUNK, MAX_EXTENT),
            Precision::Bf16 => (bf16::CHUNK, bf16::MAX_SIZE),
        };
        [channels, filters].iter().all(|extent| extent.is_multiple_of(chunk as usize)) && size <= max_size as usize
    }

    /// Windows over the inputs.
    pub(super) fn windows(&self) -> Windows {
        let shape = &self.shape;
        Windows {
            height: shape.in_height as u32,
            width: shape.in_width as u32,
            channels: shape.channels as u32,
            stride: shape.stride as u32,
            pad: shape.pad as u32,
            taps: (shape.size * shape.size) as u32,
            by_channels: Divisor::new(shape.channels as u32),
            by_size: Divisor::new(shape.size as u32),
            by_columns: Divisor::new(shape.out_width as u32),
            by_rows: Divisor::new(shape.out_height as u32),
            by_dilation: Divisor::new(1),
        }
    }

    /// Windows over the gradients of outputs, one for each pixel of the inputs.
    fn gradient_windows(&self) -> Windows {
        let shape = &self.shape;
        Windows {
            height: shape.out_height as u32,
            width: shape.out_width as u32,
            channels: shape.filters as u32,
            stride: 1,
            pad: (shape.size as u32 - 1).wrapping_sub(shape.pad as u32),
            taps: (shape.size * shape.size) as u32,
            by_channels: Divisor::new(shape.filters as u32),
            by_size: Divisor::new(shape.size as u32),
            by_columns: Divisor::new(shape.in_width as u32),
            by_rows: Divisor::new(shape.in_height as u32),
            by_dilation: Divisor::new(shape.stride as u32),
        }
    }
}

pub(super) fn forward(cuda: &mut Cuda, op: &ConvForward, images: usize) -> Result<(), Error> {
    forward_of(cuda, op, &Extents::new(ConvForward::NAME, op.shape, images)?, SLICE, ConvForward::NAME)
}

pub(super) fn input_grad(cuda: &mut Cuda, op: &ConvInputGrad, images: usize) -> Result<(), Error> {
    expect_pixels(ConvInputGrad::NAME, op.shape.in_blocks)?;
    input_grad_of(cuda, op, &Extents::new(ConvInputGrad::NAME, op.shape, images)?, SLICE, ConvInputGrad::NAME)
}

pub(super) fn weight_grad(cuda: &mut Cuda, op: &ConvWeightGrad, images: usize) -> Result<(), Error> {
    let extents = Extents::new(ConvWeightGrad::NAME, op.shape, images)?;
    weight_grad_of(cuda, op, &extents, |cuda, product| cuda.split(product, 1, WINDOWS), ConvWeightGrad::NAME)
}

/// The forward pass, of an operation called `name`, in parts of `slice` terms.
pub(super) fn forward_of(
    cuda: &mut Cuda,
    op: &ConvForward,
    extents: &Extents,
    slice: u32,
    name: &'static str,
) -> Result<(), Error> {
    let inputs = op.towers.iter().flat_map(|tower| &tower.inputs);
    let blocks = Blocks::new(cuda, name, op.shape, extents.images, inputs)?;
    let extents = blocks.as_ref().map_or(extents, |blocks| &blocks.extents);
    let (windows, filters) = (extents.windows(), op.shape.filters as u32);
    for towers in op.towers.chunks(kernels_gpu::element::MAX_TOWERS) {
        let sources = towers[0].inputs.len() as u32;
        // A slice of the batch is summed in the parts of the whole.
        let whole = count(name, cuda.step.images() * op.shape.out_height * op.shape.out_width)?;
        let products = cuda.join([whole, filters, extents.terms], sources, slice).on(extents.outputs);
        let (input, weight) = match &blocks {
            Some(blocks) => (
                blocks.images(cuda, towers.len())?,
                blocks.weights(cuda, towers.iter().map(|tower| tower.weights[0]), towers.len())?,
            ),
            None => (
                cuda.sources(name, towers.iter().map(|tower| &tower.inputs[..]))?,
                cuda.sources(name, towers.iter().map(|tower| &tower.weights[..]))?,
            ),
        };
        let bias = cuda.operand(name, towers.iter().map(|tower| tower.bias))?;
        let output = cuda.operand(name, towers.iter().map(|tower| tower.output))?;
        let bias = Some((bias, finish(op.activation)));
        let launch = Launch::new(cuda, name, products, towers.len() as u32, output, bias)?;
        let (bias_base, bias_at) = launch.bias();
        let arguments = [
            Argument::address(&input.base),
            Argument::value(&input.at),
            Argument::address(&weight.base),
            Argument::value(&weight.at),
            Argument::address(&bias_base),
            Argument::value(&bias_at),
            Argument::address(&launch.base),
            Argument::value(&launch.at),
            Argument::value(&windows),
            Argument::value(&products.product),
            Argument::value(&launch.finish),
        ];
        // SAFETY: the operation passed its check, so each span holds all images, weights or biases, and an output
        // overlaps nothing; parts go to scratch memory that was made for them; regions are aligned to 256 bytes; the
        // product and the windows are of one shape, whose extents were checked; grid and block are the kernel's.
        unsafe { launch.run(cuda, FORWARD, &arguments, [&input, &weight], extents.chunked(products.precision)) }?;
        launch.sum_parts(cuda)?;
    }
    Ok(())
}

/// The input gradient, of an operation called `name`, in parts of `slice` terms.
pub(super) fn input_grad_of(
    cuda: &mut Cuda,
    op: &ConvInputGrad,
    extents: &Extents,
    slice: u32,
    name: &'static str,
) -> Result<(), Error> {
    let (windows, shape) = (extents.gradient_windows(), &op.shape);
    let terms = (shape.size * shape.size * shape.filters) as u32;
    for sources in op.sources.chunks(kernels_gpu::element::MAX_TOWERS) {
        let consumers = sources.iter().map(|source| source.d_outputs.len());
        let consumers = same(name, consumers)?;
        let whole = count(name, cuda.step.images() * shape.in_height * shape.in_width)?;
        let products = cuda.split([whole, shape.channels as u32, terms], consumers, slice).on(extents.inputs);
        let d_output = cuda.sources(name, sources.iter().map(|source| &source.d_outputs[..]))?;
        let weight = cuda.sources(name, sources.iter().map(|source| &source.weights[..]))?;
        let d_input = cuda.operand(name, sources.iter().map(|source| source.d_input))?;
        let launch = Launch::new(cuda, name, products, sources.len() as u32, d_input, None)?;
        let arguments = [
            Argument::address(&d_output.base),
            Argument::value(&d_output.at),
            Argument::address(&weight.base),
            Argument::value(&weight.at),
            Argument::address(&launch.base),
            Argument::value(&launch.at),
            Argument::value(&windows),
            Argument::value(&products.product),
        ];
        let chunked = shape.stride == 1 && extents.chunked(products.precision);
        // SAFETY: as in `forward_of`, for gradients.
        unsafe { launch.run(cuda, INPUT_GRAD, &arguments, [&d_output, &weight], chunked) }?;
        launch.sum_parts(cuda)?;
    }
    Ok(())
}

/// The gradients of weights and biases, of an operation called `name`, with sums as `cut` cuts them.
pub(super) fn weight_grad_of(
    cuda: &mut Cuda,
    op: &ConvWeightGrad,
    extents: &Extents,
    cut: fn(&Cuda, [u32; 3]) -> Products,
    name: &'static str,
) -> Result<(), Error> {
    let inputs = op.towers.iter().flat_map(|tower| &tower.inputs);
    let blocks = Blocks::new(cuda, name, op.shape, extents.images, inputs)?;
    let extents = blocks.as_ref().map_or(extents, |blocks| &blocks.extents);
    let windows = extents.windows();
    let products = cut(cuda, extents.of_weights()).in_floats();
    let pairs = op.towers.iter().flat_map(|tower| {
        let pairs = tower.inputs.iter().zip(&tower.d_weights);
        pairs.map(|(&input, &d_weight)| ([input], [tower.d_output], d_weight))
    });
    let pairs = pairs.collect::<Vec<_>>();
    for pairs in pairs.chunks(kernels_gpu::element::MAX_TOWERS) {
        let input = match &blocks {
            Some(blocks) => blocks.images(cuda, pairs.len())?,
            None => cuda.sources(name, pairs.iter().map(|(input, _, _)| &input[..]))?,
        };
        let d_output = cuda.sources(name, pairs.iter().map(|(_, d_output, _)| &d_output[..]))?;
        let d_weight = || cuda.operand(name, pairs.iter().map(|&(_, _, d_weight)| d_weight));
        let output = blocks.as_ref().map_or_else(d_weight, |blocks| Ok(blocks.d_filters(pairs.len())))?;
        let launch = Launch::new(cuda, name, products, pairs.len() as u32, output, None)?;
        let arguments = [
            Argument::address(&input.base),
            Argument::value(&input.at),
            Argument::address(&d_output.base),
            Argument::value(&d_output.at),
            Argument::address(&launch.base),
            Argument::value(&launch.at),
            Argument::value(&windows),
            Argument::value(&products.product),
        ];
        // SAFETY: as in `forward_of`, for gradients.
        unsafe { launch.run(cuda, WEIGHT_GRAD, &arguments, [&input, &d_output], extents.chunked(products.precision)) }?;
        launch.sum_parts(cuda)?;
        if let Some(blocks) = &blocks {
            let d_weight = cuda.operand(name, pairs.iter().map(|&(_, _, d_weight)| d_weight))?;
            blocks.finish(cuda, &d_weight, pairs.len())?;
        }
    }
    bias_grad(cuda, name, extents, op.towers.iter().map(|tower| (tower.d_output, tower.d_bias)))
}

/// The gradients of biases, each with that of its tower's output.
pub(super) fn bias_grad(
    cuda: &mut Cuda,
    name: &'static str,
    extents: &Extents,
    towers: impl Iterator<Item = (Span, Span)>,
) -> Result<(), Error> {
    let towers = towers.collect::<Vec<_>>();
    for towers in towers.chunks(kernels_gpu::element::MAX_TOWERS) {
        let d_output = cuda.operand(name, towers.iter().map(|&(d_output, _)| d_output))?;
        let d_bias = cuda.operand(name, towers.iter().map(|&(_, d_bias)| d_bias))?;
        let matrix = [extents.outputs, extents.shape.filters as u32];
        column_sums(cuda, name, matrix, d_output, d_bias, towers.len() as u32)?;
    }
    Ok(())
}
