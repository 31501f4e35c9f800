//! Response normalisation within each map: image by image, with vectors along the maps.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use super::norm::Power;
use super::pad::with_buffer;
use crate::Error;
use crate::ops::{MapNormBackward, MapNormForward, MapNormShape, Operation, UnaryShape};

/// `sums[y, x, c]` is the sum of `terms` in the window around (y, x): along rows into `rows`, then down columns, each
/// in ascending order.
#[inline(always)]
fn window_sums(shape: &MapNormShape, terms: &[f32], rows: &mut [f32], sums: &mut [f32]) {
    let MapNormShape { height, width, channels, size, .. } = *shape;
    let half = size / 2;
    let row_len = width * channels;
    for (row, source) in rows.chunks_exact_mut(row_len).zip(terms.chunks_exact(row_len)) {
        for x in 0..width {
            let target = &mut row[x * channels..][..channels];
            target.fill(0.0);
            for from in x.saturating_sub(half)..width.min(x + half + 1) {
                target.iter_mut().zip(&source[from * channels..]).for_each(|(sum, term)| *sum += term);
            }
        }
    }
    for (y, target) in sums.chunks_exact_mut(row_len).enumerate() {
        target.fill(0.0);
        for from in y.saturating_sub(half)..height.min(y + half + 1) {
            target.iter_mut().zip(&rows[from * row_len..]).for_each(|(sum, row)| *sum += row);
        }
    }
}

/// Fills brackets and powers of one image; `terms` and `rows` are scratch.
#[inline(always)]
fn normalise(
    shape: &MapNormShape,
    power: Power,
    input: &[f32],
    terms: &mut [f32],
    rows: &mut [f32],
    brackets: &mut [f32],
    powers: &mut [f32],
) {
    terms.iter_mut().zip(input).for_each(|(term, x)| *term = x * x);
    window_sums(shape, terms, rows, brackets);
    brackets.iter_mut().for_each(|bracket| *bracket = shape.k + shape.alpha * *bracket);
    power.negative(brackets, powers);
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &MapNormForward, images: usize) {
    let shape = &op.shape;
    let (power, len) = (Power::new(shape.beta), shape.input_len());
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the output overlaps no other operand.
        let (input, output) =
            unsafe { (memory.slice(tower.input, images * len), memory.slice_mut(tower.output, images * len)) };
        let work = |(input, output): (&[f32], &mut [f32])| {
            with_buffer(3 * len, |buffer| {
                let (terms, rest) = buffer.split_at_mut(len);
                let (rows, brackets) = rest.split_at_mut(len);
                tools.vectorise(
                    #[inline(always)]
                    || {
                        normalise(shape, power, input, terms, rows, brackets, output);
                        output.iter_mut().zip(input).for_each(|(power, x)| *power *= x);
                    },
                );
            });
        };
        tools.threads.install(|| input.par_chunks_exact(len).zip(output.par_chunks_exact_mut(len)).for_each(work));
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &MapNormBackward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    let (power, len) = (Power::new(shape.beta), shape.input_len());
    let factor = 2.0 * shape.alpha * shape.beta;
    for tower in &op.towers {
        let saved = tower.saved(MapNormBackward::NAME)?;
        // SAFETY: the operation passed its check; the gradient of the input overlaps no other operand.
        let (input, d_output, d_input) = unsafe {
            (
                memory.slice(saved, images * len),
                memory.slice(tower.d_output, images * len),
                memory.slice_mut(tower.d_input, images * len),
            )
        };
        let work = |((input, d_output), d_input): ((&[f32], &[f32]), &mut [f32])| {
            with_buffer(4 * len, |buffer| {
                let (terms, rest) = buffer.split_at_mut(len);
                let (rows, rest) = rest.split_at_mut(len);
                let (brackets, powers) = rest.split_at_mut(len);
                tools.vectorise(
                    #[inline(always)]
                    || {
                        normalise(shape, power, input, terms, rows, brackets, powers);
                        let products = terms.iter_mut().zip(d_output).zip(input).zip(&*powers).zip(&*brackets);
                        for ((((term, d), x), power), bracket) in products {
                            *term = d * x * power / bracket;
                        }
                        window_sums(shape, terms, rows, brackets);
                        let gradients = d_input.iter_mut().zip(d_output).zip(&*powers).zip(input).zip(&*brackets);
                        for ((((target, d), power), x), sum) in gradients {
                            *target = d * power - factor * x * sum;
                        }
                    },
                );
            });
        };
        let images = input.par_chunks_exact(len).zip(d_output.par_chunks_exact(len));
        tools.threads.install(|| images.zip(d_input.par_chunks_exact_mut(len)).for_each(work));
    }
    Ok(())
}
