//! Local response normalisation within each map.

use crate::ops::{MapNormShape, UnaryShape};

/// `y[p] = x[p] * s[p]^-beta`
pub(super) fn forward(shape: &MapNormShape, input: &[f64]) -> Vec<f64> {
    input.iter().zip(brackets(shape, input)).map(|(x, s)| x * s.powf(-f64::from(shape.beta))).collect()
}

/// `dx[p] = dy[p] * s[p]^-beta - 2 * alpha * beta * x[p] * sum of dy[q] * x[q] * s[q]^(-beta - 1) in the window`
pub(super) fn backward(shape: &MapNormShape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (alpha, beta) = (f64::from(shape.alpha), f64::from(shape.beta));
    let s = brackets(shape, x);
    let terms: Vec<f64> = (0..x.len()).map(|q| dy[q] * x[q] * s[q].powf(-beta - 1.0)).collect();
    let sums = window_sums(shape, &terms);
    (0..x.len()).map(|p| dy[p] * s[p].powf(-beta) - 2.0 * alpha * beta * x[p] * sums[p]).collect()
}

/// `s[p] = k + alpha * sum of x[q]^2 in the window`
fn brackets(shape: &MapNormShape, x: &[f64]) -> Vec<f64> {
    let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
    let bracket = |sum: f64| f64::from(shape.k) + f64::from(shape.alpha) * sum;
    window_sums(shape, &squares).into_iter().map(bracket).collect()
}

/// For each pixel of each map the sum over the window around it.
fn window_sums(shape: &MapNormShape, values: &[f64]) -> Vec<f64> {
    let half = shape.size / 2;
    let mut sums = Vec::new();
    for image in values.chunks(shape.input_len()) {
        for y in 0..shape.height {
            for x in 0..shape.width {
                for c in 0..shape.channels {
                    let mut sum = 0.0;
                    for row in y.saturating_sub(half)..(y + half + 1).min(shape.height) {
                        for column in x.saturating_sub(half)..(x + half + 1).min(shape.width) {
                            sum += image[(row * shape.width + column) * shape.channels + c];
                        }
                    }
                    sums.push(sum);
                }
            }
        }
    }
    sums
}
