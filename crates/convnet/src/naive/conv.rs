//! Convolution: one visit to every pair of an input and an output pixel, all three passes alike.

use super::weighted::{add_scaled, dot};
use crate::ops::{ConvShape, WeightedShape};

/// `output[n, y, x, f] += in[n, y * stride + ky - pad, x * stride + kx - pad, c] * weight[ky, kx, c, f]`
pub(super) fn forward(shape: &ConvShape, images: usize, input: &[f64], weight: &[f64], output: &mut [f64]) {
    for_each_tap(shape, images, |pixel, tap, position| {
        for c in 0..shape.channels {
            let row = &weight[tap + c * shape.filters..][..shape.filters];
            add_scaled(&mut output[position..][..shape.filters], input[pixel + c], row);
        }
    });
}

/// `d_input[pixel, c] += sum over f of d_output[position, f] * weight[tap, c, f]`
pub(super) fn input_grad(shape: &ConvShape, images: usize, d_output: &[f64], weight: &[f64], d_input: &mut [f64]) {
    for_each_tap(shape, images, |pixel, tap, position| {
        for c in 0..shape.channels {
            let row = &weight[tap + c * shape.filters..][..shape.filters];
            d_input[pixel + c] += dot(&d_output[position..][..shape.filters], row);
        }
    });
}

/// `d_weight[tap, c, f] += in[pixel, c] * d_output[position, f]`
pub(super) fn weight_grad(shape: &ConvShape, images: usize, input: &[f64], d_output: &[f64], d_weight: &mut [f64]) {
    for_each_tap(shape, images, |pixel, tap, position| {
        for c in 0..shape.channels {
            let row = &mut d_weight[tap + c * shape.filters..][..shape.filters];
            add_scaled(row, input[pixel + c], &d_output[position..][..shape.filters]);
        }
    });
}

/// Calls `f` with the index of the first channel of an input pixel, of the first weight and of the first filter of an
/// output position, for everything that meets.
fn for_each_tap(shape: &ConvShape, images: usize, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..images {
        for y in 0..shape.out_height {
            for x in 0..shape.out_width {
                let position = n * shape.output_len() + (y * shape.out_width + x) * shape.filters;
                for ky in 0..shape.size {
                    for kx in 0..shape.size {
                        let (top, left) = (y * shape.stride + ky, x * shape.stride + kx);
                        if let Some(pixel) = shape.pixel(top, left) {
                            let pixel = n * shape.input_len() + pixel;
                            f(pixel, (ky * shape.size + kx) * shape.channels * shape.filters, position);
                        }
                    }
                }
            }
        }
    }
}
