//! The weight gradient of fully connected layers, written or as an update of the weights.

use std::array;

use bytemuck::cast_slice_mut;
use rayon::prelude::*;

use super::product::{Left, Panels, Sums, Terms, pack, panels_len};
use super::{Bf16, Pair};
use crate::Error;
use crate::cpu::Tools;
use crate::cpu::conv_grad::sum_rows;
use crate::cpu::floats::Floats;
use crate::cpu::memory::Memory;
use crate::cpu::pad::with_buffer;
use crate::cpu::tile::TileShape;
use crate::cpu::update::Rule;
use crate::ops::{FcShape, FcWeightGrad, FcWeightUpdate, Step, sum_blocks};

/// Rows of weights that a task owns: few, so that they are written row by row, and for an update stay in the cache.
const TASK_ROWS: usize = 24;

pub(in crate::cpu) fn weight_grad(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    scratch: &mut Floats,
    op: &FcWeightGrad,
    images: usize,
) {
    let FcShape { inputs, outputs } = op.shape;
    let mut factors = Factors::new(tools, bf16, scratch, op.shape, images);
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the gradient of the output is only read.
        let d_output = unsafe { memory.slice(tower.d_output, images * outputs) };
        factors.pack_gradients(d_output);
        for (&input, &d_weight) in tower.inputs.iter().zip(&tower.d_weights) {
            // SAFETY: inputs are only read; the gradient overlaps no other operand.
            let (input, d_weight) =
                unsafe { (memory.slice(input, images * inputs), memory.slice_mut(d_weight, inputs * outputs)) };
            let work = |(task, d_weight): (usize, &mut [f32])| {
                with_buffer(factors.left_len(), |left| factors.multiply(input, task * TASK_ROWS, left, d_weight));
            };
            let tasks = d_weight.par_chunks_mut(TASK_ROWS * outputs);
            tools.threads.install(|| tasks.enumerate().with_max_len(1).for_each(work));
        }
        // SAFETY: the gradient of the bias overlaps no other operand.
        sum_rows(tools, d_output, unsafe { memory.slice_mut(tower.d_bias, outputs) });
    }
}

/// The step has a rate for all weights.
pub(in crate::cpu) fn weight_update(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    scratch: &mut Floats,
    op: &FcWeightUpdate,
    step: &Step,
) -> Result<(), Error> {
    let (FcShape { inputs, outputs }, images) = (op.shape, step.images());
    let mut factors = Factors::new(tools, bf16, scratch, op.shape, images);
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the gradient of the output is only read.
        let d_output = unsafe { memory.slice(tower.d_output, images * outputs) };
        factors.pack_gradients(d_output);
        for source in &tower.sources {
            let rule = Rule::new(op.momentum, op.decay, source.rate(step)?);
            // SAFETY: inputs are only read; weights and velocity overlap no other operand.
            let (input, weights, velocity) = unsafe {
                (
                    memory.slice(source.input, images * inputs),
                    memory.slice_mut(source.weights, inputs * outputs),
                    memory.slice_mut(source.velocity, inputs * outputs),
                )
            };
            let work = |(task, (weights, velocity)): (usize, (&mut [f32], &mut [f32]))| {
                with_buffer(factors.left_len() + weights.len(), |buffer| {
                    let (left, gradient) = buffer.split_at_mut(factors.left_len());
                    let gradient = &mut gradient[..weights.len()];
                    factors.multiply(input, task * TASK_ROWS, left, gradient);
                    rule.apply(tools, weights, velocity, gradient);
                });
            };
            let tasks = weights.par_chunks_mut(TASK_ROWS * outputs).zip(velocity.par_chunks_mut(TASK_ROWS * outputs));
            tools.threads.install(|| tasks.enumerate().with_max_len(1).for_each(work));
        }
        // SAFETY: the gradient of the bias overlaps no other operand.
        sum_rows(tools, d_output, unsafe { memory.slice_mut(tower.d_bias, outputs) });
    }
    Ok(())
}

/// The factors of a weight gradient: gradients of outputs packed, inputs as they are.
struct Factors<'a> {
    bf16: Bf16,
    shape: FcShape,
    tile: TileShape,
    /// Pairs of images.
    pairs: usize,
    gradients: &'a mut [Pair],
}

impl<'a> Factors<'a> {
    /// Makes room.
    fn new(tools: &Tools, bf16: Bf16, scratch: &'a mut Floats, shape: FcShape, images: usize) -> Factors<'a> {
        let tile = tools.kernel.shape(shape.outputs);
        let pairs = images.div_ceil(2);
        let len = panels_len(tile, pairs, shape.outputs);
        scratch.grow(len);
        Factors { bf16, shape, tile, pairs, gradients: &mut cast_slice_mut(scratch)[..len] }
    }

    fn pack_gradients(&mut self, d_output: &[f32]) {
        let (bf16, outputs) = (self.bf16, self.shape.outputs);
        pack(self.tile, self.pairs, outputs, self.gradients, |row, first, target| {
            bf16.pair_rows(&d_output[2 * row * outputs..], outputs, first, target);
        });
    }

    /// Floats of room for the inputs of a task.
    fn left_len(&self) -> usize {
        self.pairs * TASK_ROWS
    }

    /// Writes the gradient of the weights of some inputs, from `first` on.
    fn multiply(&self, input: &[f32], first: usize, left: &mut [f32], d_weight: &mut [f32]) {
        let (FcShape { inputs, outputs }, bf16, pairs) = (self.shape, self.bf16, self.pairs);
        let rows = d_weight.len() / outputs;
        let left: &mut [Pair] = &mut cast_slice_mut(left)[..pairs * rows];
        for (row, target) in left.chunks_exact_mut(rows).enumerate() {
            bf16.pair_rows(&input[2 * row * inputs..], inputs, first, target);
        }
        let terms = sum_blocks(1, pairs).map(|block| Terms {
            a: block.start * rows,
            a_step: rows,
            ..Terms::side_by_side(block)
        });
        let starts: [u32; TASK_ROWS] = array::from_fn(|row| row as u32);
        let left = Left { pairs: left, rows: &starts[..rows] };
        let right = Panels { pairs: self.gradients, rows: pairs, columns: outputs };
        bf16.multiply(self.tile, terms, &left, right, Sums { floats: d_weight, stride: outputs, add: false });
    }
}
