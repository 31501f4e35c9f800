//! Fully connected layers: forward and input gradient; `fc_grad` has the weight gradient.
//!
//! A batch has few rows, so what counts is that each weight is read once. Forward: a task owns some columns, packs them
//! block by block and passes all images over the block (few images, in bf16 too: `fc_thin`). Input gradient: rows of the tile are
//! weights as they lie in memory, columns are images.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::fc_thin::{self, ThinTask};
use super::floats::Floats;
use super::memory::Memory;
use super::pad::with_buffer;
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::{Tools, panels};
use crate::ops::{FcForward, FcInputGrad, FcShape, SUM_BLOCK, SumBlock, sum_blocks};

/// Rows of weights that a task of the input gradient owns.
const TASK_ROWS: usize = 96;

/// Columns that a task of the forward pass owns at most: whole kilobytes of each row of weights.
const TASK_COLUMNS: usize = 256;

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &FcForward, images: usize) {
    let shape = op.shape;
    let tile = tools.kernel.shape(shape.outputs);
    let thin = images <= fc_thin::IMAGES;
    let most = if thin { fc_thin::TASK_COLUMNS } else { TASK_COLUMNS };
    let wide = (most / tile.columns).max(1) * tile.columns;
    let per_tower = shape.outputs.div_ceil(wide);
    let work = |task: usize| {
        let tower = &op.towers[task / per_tower];
        let first = task % per_tower * wide;
        // SAFETY: the operation passed its check; these are only read.
        let sources = tower.inputs.iter().zip(&tower.weights).map(|(&input, &weight)| unsafe {
            (memory.slice(input, images * shape.inputs), memory.slice(weight, weight.len))
        });
        // SAFETY: as above.
        let bias = unsafe { memory.slice(tower.bias, shape.outputs) };
        let columns = wide.min(shape.outputs - first);
        let wide = columns.next_multiple_of(tile.columns);
        with_buffer(SUM_BLOCK * wide + images * wide, |buffer| {
            let (panels, sums) = buffer.split_at_mut(SUM_BLOCK * wide);
            for (index, (input, weight)) in sources.enumerate() {
                let add = index > 0;
                if thin {
                    let block = &mut panels[..images * wide];
                    let (stride, bf16) = (wide, tools.bf16.is_some());
                    let sums = &mut *sums;
                    tools.kernel.run(ThinTask { shape, input, weight, first, columns, block, sums, stride, add, bf16 });
                    continue;
                }
                tools.kernel.run(ForwardTask { shape, tile, input, weight, first, columns, panels, sums, add });
            }
            // SAFETY: this task owns these columns of the output, which overlaps no other operand.
            let output = unsafe { memory.pointer(tower.output, images * shape.outputs) };
            for (image, row) in sums.chunks_exact_mut(wide).enumerate() {
                let row = &mut row[..columns];
                row.iter_mut().zip(&bias[first..]).for_each(|(sum, bias)| *sum += bias);
                super::activation::apply(op.activation, row);
                // SAFETY: the columns are this task's, inside the output.
                unsafe {
                    let target = output.add(image * shape.outputs + first);
                    std::ptr::copy_nonoverlapping(row.as_ptr(), target, columns);
                }
            }
        });
    };
    tools.threads.install(|| (0..op.towers.len() * per_tower).into_par_iter().with_max_len(1).for_each(work));
}

/// The sums of some columns over one source.
struct ForwardTask<'a> {
    shape: FcShape,
    tile: TileShape,
    input: &'a [f32],
    weight: &'a [f32],
    /// The columns of this task.
    first: usize,
    columns: usize,
    /// Room for a block of terms: `[panel][term][columns of a tile]`.
    panels: &'a mut [f32],
    /// `[image][columns, a whole number of tiles]`
    sums: &'a mut [f32],
    add: bool,
}

impl WithSimd for ForwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let FcShape { inputs, outputs } = self.shape;
        let width = self.tile.columns;
        let wide = self.columns.next_multiple_of(width);
        let images = self.input.len() / inputs;
        for SumBlock { start, len, .. } in sum_blocks(1, inputs) {
            for k in 0..len {
                let row = &self.weight[(start + k) * outputs + self.first..][..self.columns];
                for (columns, panel) in row.chunks(width).zip(self.panels.chunks_exact_mut(len * width)) {
                    let target = &mut panel[k * width..][..width];
                    target[..columns.len()].copy_from_slice(columns);
                    target[columns.len()..].fill(0.0);
                }
            }
            for column in (0..wide).step_by(width) {
                for image in (0..images).step_by(self.tile.rows) {
                    let rows = self.tile.rows.min(images - image);
                    let row = |r: usize| self.input[(image + r.min(rows - 1)) * inputs + start..].as_ptr();
                    let block = Block {
                        a: std::array::from_fn::<_, MAX_ROWS, _>(row),
                        a_step: 1,
                        a_run: 0,
                        b: self.panels[column * len..].as_ptr(),
                        b_step: width,
                        b_run: 0,
                        run_len: len,
                        runs: 1,
                        c: self.sums[image * wide + column..].as_mut_ptr(),
                        c_stride: wide,
                        rows,
                        columns: width,
                        add: self.add || start > 0,
                    };
                    // SAFETY: inputs and sums have a row for each image, panels one for each term.
                    unsafe { tile(simd, self.tile, &block) };
                }
            }
        }
    }
}

pub(super) fn input_grad(tools: &Tools, memory: &Memory, scratch: &mut Floats, op: &FcInputGrad, images: usize) {
    let FcShape { inputs, outputs } = op.shape;
    let tile = tools.kernel.shape(images);
    let panels_len = panels::len(tile, outputs, images);
    let wide = images.next_multiple_of(tile.columns);
    for source in &op.sources {
        scratch.grow(panels_len * source.weights.len());
        for (&span, panels) in source.d_outputs.iter().zip(scratch.chunks_exact_mut(panels_len)) {
            // SAFETY: the operation passed its check; gradients of outputs are only read.
            let d_output = unsafe { memory.slice(span, images * outputs) };
            panels::pack_columns(tools, tile, outputs, images, panels, |image| &d_output[image * outputs..]);
        }
        let work = |task: usize| {
            let first = task * TASK_ROWS;
            let rows = TASK_ROWS.min(inputs - first);
            with_buffer(2 * TASK_ROWS * wide, |buffer| {
                let (total, partial) = buffer.split_at_mut(TASK_ROWS * wide);
                for (consumer, &span) in source.weights.iter().enumerate() {
                    // SAFETY: weights are only read.
                    let weight = unsafe { memory.slice(span, span.len) };
                    let weight = &weight[first * outputs..][..rows * outputs];
                    let panels = &scratch[consumer * panels_len..][..panels_len];
                    let sums = if consumer == 0 { &mut *total } else { &mut *partial };
                    tools.kernel.run(InputGradTask { outputs, tile, weight, panels, wide, sums });
                    if consumer > 0 {
                        total.iter_mut().zip(&*partial).for_each(|(sum, partial)| *sum += partial);
                    }
                }
                // SAFETY: this task owns these columns of the gradient, which overlaps no other operand.
                let d_input = unsafe { memory.pointer(source.d_input, images * inputs) };
                for image in 0..images {
                    for row in 0..rows {
                        // SAFETY: the column is this task's, inside the gradient.
                        unsafe { *d_input.add(image * inputs + first + row) = total[row * wide + image] };
                    }
                }
            });
        };
        let tasks = inputs.div_ceil(TASK_ROWS);
        tools.threads.install(|| (0..tasks).into_par_iter().with_max_len(1).for_each(work));
    }
}

/// The sums of some inputs' gradients, transposed: a row for each input, a column for each image.
struct InputGradTask<'a> {
    outputs: usize,
    tile: TileShape,
    weight: &'a [f32],
    panels: &'a [f32],
    wide: usize,
    sums: &'a mut [f32],
}

impl WithSimd for InputGradTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.tile.columns;
        let rows = self.weight.len() / self.outputs;
        for SumBlock { start, len, .. } in sum_blocks(1, self.outputs) {
            for first in (0..rows).step_by(self.tile.rows) {
                let valid = self.tile.rows.min(rows - first);
                let row = |r: usize| self.weight[(first + r.min(valid - 1)) * self.outputs + start..].as_ptr();
                let a = std::array::from_fn::<_, MAX_ROWS, _>(row);
                for column in (0..self.wide).step_by(width) {
                    let block = Block {
                        a,
                        a_step: 1,
                        a_run: 0,
                        b: self.panels[column * self.outputs + start * width..].as_ptr(),
                        b_step: width,
                        b_run: 0,
                        run_len: len,
                        runs: 1,
                        c: self.sums[first * self.wide + column..].as_mut_ptr(),
                        c_stride: self.wide,
                        rows: valid,
                        columns: width,
                        add: start > 0,
                    };
                    // SAFETY: weights have a row for each input, panels for each output, sums are `wide`.
                    unsafe { tile(simd, self.tile, &block) };
                }
            }
        }
    }
}
