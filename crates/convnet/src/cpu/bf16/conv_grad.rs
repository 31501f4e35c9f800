//! The weight gradient of a convolution: pairs are of two images.

use bytemuck::cast_slice_mut;

use super::Bf16;
use super::product::{Left, Panels, Sums, Terms, pack, panels_len};
use crate::cpu::Tools;
use crate::cpu::pad::{Padding, with_buffer};
use crate::ops::{ConvShape, SumBlock, WeightedShape, sum_blocks};

/// Sums the gradient of the weights by which a tower reads one source over `count` images: two images at a time, blocks
/// of output pixels in order.
pub(in crate::cpu) fn weight_grad(
    tools: &Tools,
    bf16: Bf16,
    shape: &ConvShape,
    (input, d_output, count): (&[f32], &[f32], usize),
    d_weight: &mut [f32],
) {
    let ConvShape { channels, out_height, out_width, filters, size, stride, .. } = *shape;
    let padding = Padding::of_windows(shape);
    let (row_len, run) = (padding.width * channels, size * channels);
    let pixels = out_height * out_width;
    let terms = |block: SumBlock| Terms {
        a: (block.run * row_len + block.start * channels) * stride,
        a_step: stride * channels,
        a_run: stride * row_len,
        b_row: block.run * out_width + block.start,
        b_run: out_width,
        block,
    };
    let tile = tools.kernel.shape(filters);
    let (input_len, output_len) = (shape.input_len(), shape.output_len());
    let panels_len = panels_len(tile, pixels, filters);
    let lens = [input_len, padding.buffer_len(1), output_len, size * run, panels_len];
    with_buffer(lens.iter().sum(), |buffer| {
        let (inputs, rest) = cast_slice_mut(buffer).split_at_mut(lens[0]);
        let (padded, rest) = rest.split_at_mut(lens[1]);
        let (d_outputs, rest) = rest.split_at_mut(lens[2]);
        let (weights, panels) = rest.split_at_mut(lens[3]);
        weights.iter_mut().zip(0..).for_each(|(place, weight)| *place = (weight / run * row_len + weight % run) as u32);
        for first in (0..count).step_by(2) {
            bf16.pair_rows(&input[first * input_len..count * input_len], input_len, 0, inputs);
            bf16.pair_rows(&d_output[first * output_len..count * output_len], output_len, 0, d_outputs);
            pack(tile, pixels, filters, panels, |pixel, first, target| {
                target.copy_from_slice(&d_outputs[pixel * filters + first..][..target.len()]);
            });
            let left = Left { pairs: padding.images(1, inputs, padded), rows: weights };
            let terms = sum_blocks(out_height, out_width).map(terms);
            let right = Panels { pairs: panels, rows: pixels, columns: filters };
            let sums = Sums { floats: &mut *d_weight, stride: filters, add: first > 0 };
            bf16.multiply(tile, terms, &left, right, sums);
        }
    });
}
