//! Local response normalisation across maps.

use std::ops::Range;

use super::Naive;
use crate::Error;
use crate::ops::{LrnBackward, LrnForward, LrnShape};

impl Naive {
    /// Runs the forward pass of every group of joined towers.
    pub(super) fn lrn_forward_joined(&mut self, op: &LrnForward) {
        let len = self.images() * op.shape.pixels * op.shape.channels;
        for group in op.towers.chunks(op.shape.joined) {
            let towers: Vec<_> = group.iter().map(|tower| self.load(tower.input, len)).collect();
            let input = join(&op.shape, &towers);
            let output = input.chunks(maps(&op.shape)).flat_map(|pixel| forward(&op.shape, pixel)).collect::<Vec<_>>();
            for (tower, output) in group.iter().zip(split(&op.shape, &output)) {
                self.store(tower.output, &output);
            }
        }
    }

    /// Runs the gradient of every group of joined towers.
    pub(super) fn lrn_backward_joined(&mut self, op: &LrnBackward) -> Result<(), Error> {
        for group in op.towers.chunks(op.shape.joined) {
            let (mut inputs, mut d_outputs) = (Vec::new(), Vec::new());
            for tower in group {
                let (input, d_output) = self.load_gradient(&op.shape, tower)?;
                inputs.push(input);
                d_outputs.push(d_output);
            }
            let (input, d_output) = (join(&op.shape, &inputs), join(&op.shape, &d_outputs));
            let pixels = input.chunks(maps(&op.shape)).zip(d_output.chunks(maps(&op.shape)));
            let d_input = pixels.flat_map(|(x, dy)| backward(&op.shape, x, dy)).collect::<Vec<_>>();
            for (tower, d_input) in group.iter().zip(split(&op.shape, &d_input)) {
                self.store(tower.d_input, &d_input);
            }
        }
        Ok(())
    }
}

/// `y[i] = x[i] * s[i]^-beta`
fn forward(shape: &LrnShape, x: &[f64]) -> Vec<f64> {
    x.iter().zip(brackets(shape, x)).map(|(x, s)| x * s.powf(-f64::from(shape.beta))).collect()
}

/// `dx[i] = dy[i] * s[i]^-beta - 2 * alpha * beta * x[i] * sum of dy[j] * x[j] * s[j]^(-beta - 1) in the window`
fn backward(shape: &LrnShape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (alpha, beta) = (f64::from(shape.alpha), f64::from(shape.beta));
    let s = brackets(shape, x);
    let d_input = |i: usize| {
        let sum: f64 = window(shape, i, x.len()).map(|j| dy[j] * x[j] * s[j].powf(-beta - 1.0)).sum();
        dy[i] * s[i].powf(-beta) - 2.0 * alpha * beta * x[i] * sum
    };
    (0..x.len()).map(d_input).collect()
}

/// `s[i] = k + alpha * sum of x[j]^2 in the window`
fn brackets(shape: &LrnShape, x: &[f64]) -> Vec<f64> {
    let sum = |i| window(shape, i, x.len()).map(|j| x[j] * x[j]).sum::<f64>();
    (0..x.len()).map(|i| f64::from(shape.k) + f64::from(shape.alpha) * sum(i)).collect()
}

/// The maps `j` with `|j - i| <= size / 2`.
fn window(shape: &LrnShape, i: usize, len: usize) -> Range<usize> {
    i.saturating_sub(shape.size / 2)..(i + shape.size / 2 + 1).min(len)
}

/// Maps of the joined towers.
fn maps(shape: &LrnShape) -> usize {
    shape.joined * shape.channels
}

/// Towers side by side: `[N, H, W, all maps]`.
fn join(shape: &LrnShape, towers: &[Vec<f64>]) -> Vec<f64> {
    let pixels = towers[0].len() / shape.channels;
    let pixel = |p: usize| towers.iter().flat_map(move |tower| &tower[p * shape.channels..][..shape.channels]);
    (0..pixels).flat_map(pixel).copied().collect()
}

/// The towers of [`join`] again.
fn split(shape: &LrnShape, joined: &[f64]) -> Vec<Vec<f64>> {
    let tower =
        |t: usize| joined.chunks(maps(shape)).flat_map(move |pixel| &pixel[t * shape.channels..][..shape.channels]);
    (0..shape.joined).map(|t| tower(t).copied().collect()).collect()
}
