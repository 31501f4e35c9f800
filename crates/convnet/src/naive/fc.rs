//! Fully connected layers.

use super::weighted::{add_scaled, dot};
use crate::ops::FcShape;

/// `output[n, o] += sum over i of in[n, i] * weight[i, o]`
pub(super) fn forward(shape: &FcShape, images: usize, input: &[f64], weight: &[f64], output: &mut [f64]) {
    for (i, row) in weight.chunks(shape.outputs).enumerate() {
        for n in 0..images {
            add_scaled(&mut output[n * shape.outputs..][..shape.outputs], input[n * shape.inputs + i], row);
        }
    }
}

/// `d_input[n, i] += sum over o of d_output[n, o] * weight[i, o]`
pub(super) fn input_grad(shape: &FcShape, images: usize, d_output: &[f64], weight: &[f64], d_input: &mut [f64]) {
    for (i, row) in weight.chunks(shape.outputs).enumerate() {
        for n in 0..images {
            d_input[n * shape.inputs + i] += dot(&d_output[n * shape.outputs..][..shape.outputs], row);
        }
    }
}

/// `d_weight[i, o] += sum over n of in[n, i] * d_output[n, o]`
pub(super) fn weight_grad(shape: &FcShape, images: usize, input: &[f64], d_output: &[f64], d_weight: &mut [f64]) {
    for (i, row) in d_weight.chunks_mut(shape.outputs).enumerate() {
        for n in 0..images {
            add_scaled(row, input[n * shape.inputs + i], &d_output[n * shape.outputs..][..shape.outputs]);
        }
    }
}
