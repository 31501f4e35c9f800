//! Max pooling.

use crate::ops::{PoolShape, UnaryShape};

/// The maximum of each window.
pub(super) fn forward(shape: &PoolShape, input: &[f64]) -> Vec<f64> {
    maxima(shape, input).into_iter().map(|index| input[index]).collect()
}

/// Each window's gradient goes to its first maximum.
pub(super) fn backward(shape: &PoolShape, input: &[f64], d_output: &[f64]) -> Vec<f64> {
    let mut d_input = vec![0.0; input.len()];
    for (index, d_output) in maxima(shape, input).into_iter().zip(d_output) {
        d_input[index] += d_output;
    }
    d_input
}

/// Where the first maximum of each window lies in the input.
fn maxima(shape: &PoolShape, input: &[f64]) -> Vec<usize> {
    let mut maxima = Vec::new();
    for n in 0..input.len() / shape.input_len() {
        for y in 0..shape.out_height {
            for x in 0..shape.out_width {
                for c in 0..shape.channels {
                    let index =
                        |row, column| n * shape.input_len() + (row * shape.in_width + column) * shape.channels + c;
                    let (top, left) = (y * shape.stride, x * shape.stride);
                    let mut first = index(top, left);
                    for row in top..(top + shape.size).min(shape.in_height) {
                        for column in left..(left + shape.size).min(shape.in_width) {
                            if input[index(row, column)] > input[first] {
                                first = index(row, column);
                            }
                        }
                    }
                    maxima.push(first);
                }
            }
        }
    }
    maxima
}
