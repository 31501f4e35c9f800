//! Response normalisation across maps: some pixels at a time, with vectors along the maps.

use std::ops::Range;

use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::memory::Memory;
use super::norm::Power;
use super::pad::with_buffer;
use crate::Error;
use crate::ops::{LrnBackward, LrnForward, LrnShape, Operation, Span};

/// Groups of pixels that a task takes.
const GROUPS: usize = 64;

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

/// Copies the maps of some pixels, all towers side by side.
#[inline(always)]
fn gather(shape: &LrnShape, towers: &[&[f32]], pixels: Range<usize>, target: &mut [f32]) {
    let channels = shape.channels;
    let width = channels * shape.joined + shape.size / 2;
    for (pixel, target) in pixels.zip(target.chunks_exact_mut(width)) {
        for (tower, maps) in towers.iter().zip(target.chunks_exact_mut(channels)) {
            maps.copy_from_slice(&tower[pixel * channels..][..channels]);
        }
    }
}

/// Copies the maps back to the towers, whose slices begin with these pixels.
#[inline(always)]
fn scatter(shape: &LrnShape, source: &[f32], pixels: usize, towers: &mut [&mut [f32]]) {
    let channels = shape.channels;
    let width = channels * shape.joined + shape.size / 2;
    for (pixel, source) in (0..pixels).zip(source.chunks_exact(width)) {
        for (maps, tower) in source.chunks_exact(channels).zip(towers.iter_mut()) {
            tower[pixel * channels..][..channels].copy_from_slice(maps);
        }
    }
}

/// Runs `work` for all pixels of a batch, some at a time: the task's buffers, pixels counted through the batch, and
/// those of each output that is written, one behind the other.
fn each_group(
    tools: &Tools,
    memory: &Memory,
    shape: &LrnShape,
    (outputs, images): (impl Iterator<Item = Span> + Clone + Sync, usize),
    work: impl Fn(&mut Pixels, Range<usize>, &mut [&mut [f32]]) + Sync,
) {
    let (group, pixels) = (group_len(shape), images * shape.pixels);
    let task_len = GROUPS * group;
    let task = |task: usize| {
        let end = pixels.min((task + 1) * task_len);
        Pixels::with(shape, |mut buffers| {
            tools.vectorise(
                #[inline(always)]
                || {
                    for first in (task * task_len..end).step_by(group) {
                        let pixels = first..end.min(first + group);
                        let part = pixels.start * shape.channels..pixels.end * shape.channels;
                        // SAFETY: outputs overlap no other operand, and these pixels are this task's.
                        let output = |span| unsafe { memory.part_mut(span, part.clone()) };
                        let mut outputs: SmallVec<[&mut [f32]; 8]> = outputs.clone().map(output).collect();
                        work(&mut buffers, pixels, &mut outputs);
                    }
                },
            );
        });
    };
    tools.threads.install(|| (0..pixels.div_ceil(task_len)).into_par_iter().for_each(task));
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &LrnForward, images: usize) {
    let shape = &op.shape;
    let (power, len) = (Power::new(shape.beta), images * shape.pixels * shape.channels);
    for group in op.towers.chunks(shape.joined) {
        let inputs: SmallVec<[&[f32]; 8]> =
            // SAFETY: the operation passed its check; inputs are only read.
            group.iter().map(|tower| unsafe { memory.slice(tower.input, len) }).collect();
        let outputs = (group.iter().map(|tower| tower.output), images);
        each_group(
            tools,
            memory,
            shape,
            outputs,
            #[inline(always)]
            |buffers, pixels, outputs| {
                gather(shape, &inputs, pixels.clone(), buffers.input);
                buffers.normalise(shape, power);
                let products = buffers.input.iter().zip(&*buffers.powers);
                buffers.gradient.iter_mut().zip(products).for_each(|(y, (x, power))| *y = x * power);
                scatter(shape, buffers.gradient, pixels.len(), outputs);
            },
        );
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &LrnBackward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    let (power, len) = (Power::new(shape.beta), images * shape.pixels * shape.channels);
    for group in op.towers.chunks(shape.joined) {
        let (mut inputs, mut gradients) = (SmallVec::<[&[f32]; 8]>::new(), SmallVec::<[&[f32]; 8]>::new());
        for tower in group {
            let saved = tower.saved(LrnBackward::NAME)?;
            // SAFETY: the operation passed its check; these are only read.
            unsafe {
                inputs.push(memory.slice(saved, len));
                gradients.push(memory.slice(tower.d_output, len));
            }
        }
        let outputs = (group.iter().map(|tower| tower.d_input), images);
        each_group(
            tools,
            memory,
            shape,
            outputs,
            #[inline(always)]
            |buffers, pixels, outputs| {
                gather(shape, &inputs, pixels.clone(), buffers.input);
                gather(shape, &gradients, pixels.clone(), buffers.gradient);
                buffers.normalise(shape, power);
                buffers.differentiate(shape);
                scatter(shape, buffers.gradient, pixels.len(), outputs);
            },
        );
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
