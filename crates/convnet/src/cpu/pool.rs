//! Max pooling: image by image, with vectors along the maps.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use super::pad::with_buffer;
use crate::Error;
use crate::ops::{Operation, PoolBackward, PoolForward, PoolShape, UnaryShape};

/// The pixels of the window of output (y, x), in row-major order.
#[inline(always)]
fn window(shape: &PoolShape, y: usize, x: usize) -> impl Iterator<Item = usize> {
    let PoolShape { in_height, in_width, size, stride, .. } = *shape;
    let rows = y * stride..in_height.min(y * stride + size);
    rows.flat_map(move |row| (x * stride..in_width.min(x * stride + size)).map(move |column| row * in_width + column))
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &PoolForward, images: usize) {
    let shape = &op.shape;
    let (in_len, out_len) = (shape.input_len(), shape.output_len());
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the output overlaps no other operand.
        let (input, output) =
            unsafe { (memory.slice(tower.input, images * in_len), memory.slice_mut(tower.output, images * out_len)) };
        let work = |(input, output): (&[f32], &mut [f32])| {
            tools.vectorise(
                #[inline(always)]
                || pool_image(shape, input, output),
            )
        };
        let pairs = input.par_chunks_exact(in_len).zip(output.par_chunks_exact_mut(out_len));
        tools.threads.install(|| pairs.for_each(work));
    }
}

#[inline(always)]
fn pool_image(shape: &PoolShape, input: &[f32], output: &mut [f32]) {
    let channels = shape.channels;
    for (index, maxima) in output.chunks_exact_mut(channels).enumerate() {
        maxima.fill(f32::NEG_INFINITY);
        for pixel in window(shape, index / shape.out_width, index % shape.out_width) {
            take_maxima(maxima, &input[pixel * channels..]);
        }
    }
}

/// A NaN wins and stays: hiding it would hide a broken run.
#[inline(always)]
fn take_maxima(maxima: &mut [f32], values: &[f32]) {
    maxima.iter_mut().zip(values).for_each(|(max, &x)| *max = if x > *max || x.is_nan() { x } else { *max });
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &PoolBackward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    let (in_len, out_len) = (shape.input_len(), shape.output_len());
    for tower in &op.towers {
        let saved = tower.saved(PoolBackward::NAME)?;
        // SAFETY: the operation passed its check; the gradient of the input overlaps no other operand.
        let (input, d_output, d_input) = unsafe {
            (
                memory.slice(saved, images * in_len),
                memory.slice(tower.d_output, images * out_len),
                memory.slice_mut(tower.d_input, images * in_len),
            )
        };
        let work = |((input, d_output), d_input): ((&[f32], &[f32]), &mut [f32])| {
            with_buffer(2 * shape.channels, |buffer| {
                tools.vectorise(
                    #[inline(always)]
                    || spread_image(shape, input, d_output, d_input, buffer),
                );
            });
        };
        let images = input.par_chunks_exact(in_len).zip(d_output.par_chunks_exact(out_len));
        tools.threads.install(|| images.zip(d_input.par_chunks_exact_mut(in_len)).for_each(work));
    }
    Ok(())
}

/// Gives each window's gradient to its first maximum. `buffer` holds, for each map, the maximum and what is left to
/// give: after the first maximum took it, nothing.
#[inline(always)]
fn spread_image(shape: &PoolShape, input: &[f32], d_output: &[f32], d_input: &mut [f32], buffer: &mut [f32]) {
    let channels = shape.channels;
    let (maxima, left) = buffer.split_at_mut(channels);
    d_input.fill(0.0);
    for (index, d_output) in d_output.chunks_exact(channels).enumerate() {
        let pixels = || window(shape, index / shape.out_width, index % shape.out_width);
        maxima.fill(f32::NEG_INFINITY);
        for pixel in pixels() {
            take_maxima(maxima, &input[pixel * channels..]);
        }
        left.copy_from_slice(d_output);
        for pixel in pixels() {
            let values = &input[pixel * channels..][..channels];
            let targets = &mut d_input[pixel * channels..][..channels];
            let maps = targets.iter_mut().zip(left.iter_mut()).zip(values.iter().zip(maxima.iter()));
            for ((target, left), (value, max)) in maps {
                let first = value == max;
                *target += if first { *left } else { 0.0 };
                *left = if first { 0.0 } else { *left };
            }
        }
    }
}
