//! Response normalisation across maps: some pixels at a time, with vectors along the maps.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use super::norm::Power;
use super::pad::with_buffer;
use crate::Error;
use crate::ops::{LrnBackward, LrnForward, LrnShape, Operation};

/// Pixels of a group: loops over the few maps of one would be all overhead, and five buffers fit into the first cache.
fn group_len(shape: &LrnShape) -> usize {
    (512 / (shape.channels * shape.joined)).max(1)
}

/// Buffers of a group of pixels, one behind the other: the maps of all joined towers, then `size / 2` floats that keep
/// the windows of neighbours apart. Their terms are zero; what the other buffers have there is not used.
struct Pixels<'a> {
    /// Terms of a windowed sum, with `size / 2` zeros at either end.
    terms: &'a mut [f32],
    input: &'a mut [f32],
    gradient: &'a mut [f32],
    brackets: &'a mut [f32],
    powers: &'a mut [f32],
}

impl Pixels<'_> {
    fn with(shape: &LrnShape, work: impl FnOnce(Pixels)) {
        let half = shape.size / 2;
        let len = group_len(shape) * (shape.channels * shape.joined + half);
        with_buffer(2 * half + 5 * len, |buffer| {
            buffer.fill(0.0);
            let (terms, rest) = buffer.split_at_mut(2 * half + len);
            let (input, rest) = rest.split_at_mut(len);
            let (gradient, rest) = rest.split_at_mut(len);
            let (brackets, powers) = rest.split_at_mut(len);
            work(Pixels { terms, input, gradient, brackets, powers });
        });
    }

    /// Fills brackets and powers from the input.
    #[inline(always)]
    fn normalise(&mut self, shape: &LrnShape, power: Power) {
        let half = shape.size / 2;
        let maps = self.input.len();
        self.terms[half..half + maps].iter_mut().zip(&*self.input).for_each(|(term, x)| *term = x * x);
        window_sums(self.terms, shape.size, self.brackets);
        self.brackets.iter_mut().for_each(|bracket| *bracket = shape.k + shape.alpha * *bracket);
        power.negative(self.brackets, self.powers);
    }
}

/// `sums[i]` is the sum of `size` terms from the `i`-th.
#[inline(always)]
fn window_sums(terms: &[f32], size: usize, sums: &mut [f32]) {
    sums.copy_from_slice(&terms[..sums.len()]);
    for shift in 1..size {
        sums.iter_mut().zip(&terms[shift..]).for_each(|(sum, term)| *sum += term);
    }
}

/// Copies the maps of the pixels from `first` on, all towers side by side.
#[inline(always)]
fn gather(shape: &LrnShape, towers: &[&[f32]], first: usize, target: &mut [f32]) {
    let channels = shape.channels;
    let width = channels * shape.joined + shape.size / 2;
    for (pixel, target) in (first..shape.pixels).zip(target.chunks_exact_mut(width)) {
        for (tower, maps) in towers.iter().zip(target.chunks_exact_mut(channels)) {
            maps.copy_from_slice(&tower[pixel * channels..][..channels]);
        }
    }
}

/// Copies the maps back to the towers.
#[inline(always)]
fn scatter(shape: &LrnShape, source: &[f32], first: usize, towers: &mut [&mut [f32]]) {
    let channels = shape.channels;
    let width = channels * shape.joined + shape.size / 2;
    for (pixel, source) in (first..shape.pixels).zip(source.chunks_exact(width)) {
        for (maps, tower) in source.chunks_exact(channels).zip(towers.iter_mut()) {
            tower[pixel * channels..][..channels].copy_from_slice(maps);
        }
    }
}

/// Cuts the outputs of each group's towers into images: one list of towers per image.
fn by_image(outputs: Vec<&mut [f32]>, image_len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut outputs: Vec<_> = outputs.into_iter().map(|output| output.chunks_exact_mut(image_len)).collect();
    std::iter::from_fn(|| {
        let towers: Vec<&mut [f32]> = outputs.iter_mut().filter_map(Iterator::next).collect();
        Some(towers).filter(|towers| !towers.is_empty())
    })
    .collect()
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &LrnForward, images: usize) {
    let shape = &op.shape;
    let (power, image_len) = (Power::new(shape.beta), shape.pixels * shape.channels);
    for group in op.towers.chunks(shape.joined) {
        // SAFETY: the operation passed its check; inputs are only read, outputs overlap no other operand.
        let inputs: Vec<&[f32]> =
            group.iter().map(|tower| unsafe { memory.slice(tower.input, images * image_len) }).collect();
        // SAFETY: as above.
        let outputs = group.iter().map(|tower| unsafe { memory.slice_mut(tower.output, images * image_len) }).collect();
        let work = |(image, mut outputs): (usize, Vec<&mut [f32]>)| {
            let inputs: Vec<&[f32]> = inputs.iter().map(|input| &input[image * image_len..][..image_len]).collect();
            Pixels::with(shape, |mut pixels| {
                tools.vectorise(
                    #[inline(always)]
                    || {
                        for first in (0..shape.pixels).step_by(group_len(shape)) {
                            gather(shape, &inputs, first, pixels.input);
                            pixels.normalise(shape, power);
                            let products = pixels.input.iter().zip(&*pixels.powers);
                            pixels.gradient.iter_mut().zip(products).for_each(|(y, (x, power))| *y = x * power);
                            scatter(shape, pixels.gradient, first, &mut outputs);
                        }
                    },
                );
            });
        };
        tools.threads.install(|| by_image(outputs, image_len).into_par_iter().enumerate().for_each(work));
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &LrnBackward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    let (power, image_len) = (Power::new(shape.beta), shape.pixels * shape.channels);
    for group in op.towers.chunks(shape.joined) {
        let len = images * image_len;
        let mut inputs = Vec::new();
        let mut gradients = Vec::new();
        let mut outputs = Vec::new();
        for tower in group {
            let saved = tower.saved(LrnBackward::NAME)?;
            // SAFETY: the operation passed its check; these are only read, the gradient overlaps no other operand.
            unsafe {
                inputs.push(memory.slice(saved, len));
                gradients.push(memory.slice(tower.d_output, len));
                outputs.push(memory.slice_mut(tower.d_input, len));
            }
        }
        let work = |(image, mut outputs): (usize, Vec<&mut [f32]>)| {
            let here = image * image_len..(image + 1) * image_len;
            let inputs: Vec<&[f32]> = inputs.iter().map(|input| &input[here.clone()]).collect();
            let gradients: Vec<&[f32]> = gradients.iter().map(|gradient| &gradient[here.clone()]).collect();
            Pixels::with(shape, |mut pixels| {
                tools.vectorise(
                    #[inline(always)]
                    || {
                        for first in (0..shape.pixels).step_by(group_len(shape)) {
                            gather(shape, &inputs, first, pixels.input);
                            gather(shape, &gradients, first, pixels.gradient);
                            pixels.normalise(shape, power);
                            pixels.differentiate(shape);
                            scatter(shape, pixels.gradient, first, &mut outputs);
                        }
                    },
                );
            });
        };
        tools.threads.install(|| by_image(outputs, image_len).into_par_iter().enumerate().for_each(work));
    }
    Ok(())
}

impl Pixels<'_> {
    /// Turns the gradient of the output into that of the input.
    #[inline(always)]
    fn differentiate(&mut self, shape: &LrnShape) {
        let half = shape.size / 2;
        let factor = 2.0 * shape.alpha * shape.beta;
        let terms = self.terms[half..].iter_mut().zip(&*self.gradient).zip(&*self.input);
        for ((((term, d), x), power), bracket) in terms.zip(&*self.powers).zip(&*self.brackets) {
            *term = d * x * power / bracket;
        }
        window_sums(self.terms, shape.size, self.brackets);
        let gradients = self.gradient.iter_mut().zip(&*self.powers).zip(&*self.input);
        for (((d, power), x), sum) in gradients.zip(&*self.brackets) {
            *d = *d * power - factor * x * sum;
        }
    }
}
