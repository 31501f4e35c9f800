//! The weight gradient of fully connected layers, written or as an update of the weights.
//!
//! Both factors are packed. A gradient that is written is written once; for an update a few rows of it are summed in a
//! buffer that stays in the cache, and weights and velocities pass by them.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::conv_grad::sum_rows;
use super::floats::Floats;
use super::memory::Memory;
use super::pad::with_buffer;
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::update::Rule;
use super::{Tools, panels};
use crate::Error;
use crate::ops::{FcShape, FcWeightGrad, FcWeightUpdate, Step, SumBlock, sum_blocks};

/// Rows of weights that a task owns, but for a few more that make its tiles whole.
const TASK_ROWS: usize = 96;

pub(super) fn weight_grad(tools: &Tools, memory: &Memory, scratch: &mut Floats, op: &FcWeightGrad, images: usize) {
    let FcShape { inputs, outputs } = op.shape;
    let mut factors = Factors::new(tools, scratch, op.shape, images);
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the gradient of the output is only read.
        let d_output = unsafe { memory.slice(tower.d_output, images * outputs) };
        factors.pack_gradients(d_output);
        for (&input, &d_weight) in tower.inputs.iter().zip(&tower.d_weights) {
            // SAFETY: inputs are only read; the gradient overlaps no other operand.
            let (input, d_weight) =
                unsafe { (memory.slice(input, images * inputs), memory.slice_mut(d_weight, inputs * outputs)) };
            factors.pack_inputs(input);
            let rows = factors.task_rows();
            let tasks = d_weight.par_chunks_mut(rows * outputs).enumerate().with_max_len(1);
            tools.threads.install(|| tasks.for_each(|(task, d_weight)| factors.multiply(task * rows, d_weight)));
        }
        // SAFETY: the gradient of the bias overlaps no other operand.
        sum_rows(tools, d_output, unsafe { memory.slice_mut(tower.d_bias, outputs) });
    }
}

/// The step has a rate for all weights.
pub(super) fn weight_update(
    tools: &Tools,
    memory: &Memory,
    scratch: &mut Floats,
    op: &FcWeightUpdate,
    step: &Step,
) -> Result<(), Error> {
    let (FcShape { inputs, outputs }, images) = (op.shape, step.images());
    let mut factors = Factors::new(tools, scratch, op.shape, images);
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
            factors.pack_inputs(input);
            let (rows, few) = (factors.task_rows(), factors.tile.rows);
            let work = |(task, (weights, velocity)): (usize, (&mut [f32], &mut [f32]))| {
                with_buffer(few * outputs, |gradient| {
                    let pieces = weights.chunks_mut(few * outputs).zip(velocity.chunks_mut(few * outputs));
                    for (piece, (weights, velocity)) in pieces.enumerate() {
                        let gradient = &mut gradient[..weights.len()];
                        factors.multiply(task * rows + piece * few, gradient);
                        rule.apply(tools, weights, velocity, gradient);
                    }
                });
            };
            let tasks = weights.par_chunks_mut(rows * outputs).zip(velocity.par_chunks_mut(rows * outputs));
            tools.threads.install(|| tasks.enumerate().with_max_len(1).for_each(work));
        }
        // SAFETY: the gradient of the bias overlaps no other operand.
        sum_rows(tools, d_output, unsafe { memory.slice_mut(tower.d_bias, outputs) });
    }
    Ok(())
}

/// Both factors of a weight gradient, packed.
struct Factors<'a> {
    tools: &'a Tools,
    shape: FcShape,
    images: usize,
    tile: TileShape,
    inputs: &'a mut [f32],
    gradients: &'a mut [f32],
}

impl<'a> Factors<'a> {
    /// Makes room for both.
    fn new(tools: &'a Tools, scratch: &'a mut Floats, shape: FcShape, images: usize) -> Factors<'a> {
        let tile = tools.kernel.shape(shape.outputs);
        let inputs_len = panels::len(TileShape::of_rows(tile.rows), images, shape.inputs);
        let gradients_len = panels::len(tile, images, shape.outputs);
        scratch.grow(inputs_len + gradients_len);
        let (inputs, gradients) = scratch.split_at_mut(inputs_len);
        Factors { tools, shape, images, tile, inputs, gradients: &mut gradients[..gradients_len] }
    }

    /// Rows of weights that a task owns.
    fn task_rows(&self) -> usize {
        TASK_ROWS.next_multiple_of(self.tile.rows)
    }

    fn pack_inputs(&mut self, input: &[f32]) {
        let (rows, len) = (TileShape::of_rows(self.tile.rows), self.shape.inputs);
        panels::pack(self.tools, rows, self.images, len, self.inputs, |image| &input[image * len..][..len]);
    }

    fn pack_gradients(&mut self, d_output: &[f32]) {
        let len = self.shape.outputs;
        panels::pack(self.tools, self.tile, self.images, len, self.gradients, |image| &d_output[image * len..][..len]);
    }

    /// Writes the gradient of the weights of some inputs, from `first` on, a multiple of the tile's rows.
    fn multiply(&self, first: usize, d_weight: &mut [f32]) {
        let (images, tile, outputs) = (self.images, self.tile, self.shape.outputs);
        let (a_panels, b_panels) = (&self.inputs[first * images..], &*self.gradients);
        self.tools.kernel.run(WeightGradTask { outputs, images, tile, a_panels, b_panels, d_weight });
    }
}

/// The gradient of the weights of some inputs.
struct WeightGradTask<'a> {
    outputs: usize,
    images: usize,
    tile: TileShape,
    a_panels: &'a [f32],
    b_panels: &'a [f32],
    d_weight: &'a mut [f32],
}

impl WithSimd for WeightGradTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let TileShape { rows: tile_rows, columns: width, .. } = self.tile;
        let rows = self.d_weight.len() / self.outputs;
        for first in (0..rows).step_by(tile_rows) {
            for first_column in (0..self.outputs).step_by(width) {
                for SumBlock { start, len, .. } in sum_blocks(1, self.images) {
                    let a = &self.a_panels[first * self.images + start * tile_rows..];
                    let block = Block {
                        a: std::array::from_fn::<_, MAX_ROWS, _>(|r| a[r.min(tile_rows - 1)..].as_ptr()),
                        a_step: tile_rows,
                        a_run: 0,
                        b: self.b_panels[first_column * self.images + start * width..].as_ptr(),
                        b_step: width,
                        b_run: 0,
                        run_len: len,
                        runs: 1,
                        c: self.d_weight[first * self.outputs + first_column..].as_mut_ptr(),
                        c_stride: self.outputs,
                        rows: tile_rows.min(rows - first),
                        columns: width.min(self.outputs - first_column),
                        add: start > 0,
                    };
                    // SAFETY: panels have a row for each image; the gradient has rows of `outputs` floats.
                    unsafe { tile(simd, self.tile, &block) };
                }
            }
        }
    }
}
