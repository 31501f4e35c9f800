//! Fully connected layers: forward and input gradient, shared out as in [`crate::cpu::fc`].

use std::array;
use std::iter;

use bytemuck::cast_slice_mut;
use rayon::prelude::*;
use smallvec::SmallVec;

use super::product::{Left, Panels, Sums, Terms, pack, panels_len};
use super::{Bf16, Pair};
use crate::cpu::floats::Floats;
use crate::cpu::memory::Memory;
use crate::cpu::pad::with_buffer;
use crate::cpu::{Tools, activation};
use crate::ops::{FcForward, FcInputGrad, FcShape, SUM_BLOCK, Span, sum_blocks};

/// Rows of weights that a task of the input gradient owns.
const TASK_ROWS: usize = 96;

/// Columns that a task of the forward pass owns at most.
const TASK_COLUMNS: usize = 256;

pub(in crate::cpu) fn forward(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    scratch: &mut Floats,
    op: &FcForward,
    images: usize,
) {
    let FcShape { inputs, outputs } = op.shape;
    let tile = tools.kernel.shape(outputs);
    let wide = (TASK_COLUMNS / tile.columns).max(1) * tile.columns;
    let per_tower = outputs.div_ceil(wide);
    let row_len = inputs.div_ceil(2);
    let sources = op.towers[0].inputs.len();
    let pairs_len = images * row_len;
    scratch.grow(images + op.towers.len() * sources * pairs_len);
    let (rows, pairs) = cast_slice_mut::<_, Pair>(scratch).split_at_mut(images);
    rows.iter_mut().zip(0..).for_each(|(row, image)| *row = image * row_len as u32);
    let spans: SmallVec<[Span; 8]> = op.towers.iter().flat_map(|tower| tower.inputs.iter().copied()).collect();
    tools.threads.install(|| {
        spans.par_iter().zip(pairs.par_chunks_exact_mut(pairs_len)).for_each(|(&span, pairs)| {
            // SAFETY: the operation passed its check; inputs are only read.
            bf16.pair_neighbours(inputs, unsafe { memory.slice(span, images * inputs) }, pairs);
        });
    });
    let (rows, pairs) = (&*rows, &*pairs);
    let work = |task: usize| {
        let (index, first) = (task / per_tower, task % per_tower * wide);
        let tower = &op.towers[index];
        let columns = wide.min(outputs - first);
        with_buffer(SUM_BLOCK * wide + images * columns, |buffer| {
            let (panels, sums) = buffer.split_at_mut(SUM_BLOCK * wide);
            for (source, &span) in tower.weights.iter().enumerate() {
                // SAFETY: weights are only read.
                let weight = unsafe { memory.slice(span, span.len) };
                let left = Left { pairs: &pairs[(index * sources + source) * pairs_len..][..pairs_len], rows };
                for block in sum_blocks(1, row_len) {
                    let panels = &mut cast_slice_mut(panels)[..panels_len(tile, block.len, columns)];
                    pack(tile, block.len, columns, panels, |row, column, target| {
                        let rows = &weight[2 * (block.start + row) * outputs..];
                        bf16.pair_rows(rows, outputs, first + column, target);
                    });
                    let terms = Terms { b_row: 0, ..Terms::side_by_side(block) };
                    let right = Panels { pairs: panels, rows: block.len, columns };
                    let add = source > 0 || block.start > 0;
                    let sums = Sums { floats: &mut *sums, stride: columns, add };
                    bf16.multiply(tile, iter::once(terms), &left, right, sums);
                }
            }
            // SAFETY: the bias is only read; this task owns these columns of the output, which overlaps no operand.
            let (bias, output) =
                unsafe { (memory.slice(tower.bias, outputs), memory.pointer(tower.output, images * outputs)) };
            for (image, row) in sums.chunks_exact_mut(columns).take(images).enumerate() {
                row.iter_mut().zip(&bias[first..]).for_each(|(sum, bias)| *sum += bias);
                activation::apply(op.activation, row);
                // SAFETY: the columns are this task's, inside the output.
                unsafe {
                    let target = output.add(image * outputs + first);
                    std::ptr::copy_nonoverlapping(row.as_ptr(), target, columns);
                }
            }
        });
    };
    tools.threads.install(|| (0..op.towers.len() * per_tower).into_par_iter().with_max_len(1).for_each(work));
}

pub(in crate::cpu) fn input_grad(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    scratch: &mut Floats,
    op: &FcInputGrad,
    images: usize,
) {
    let FcShape { inputs, outputs } = op.shape;
    // Transposed: rows are weights as they lie in memory, columns are images.
    let tile = tools.kernel.shape(images);
    let row_len = outputs.div_ceil(2);
    let starts: [u32; TASK_ROWS] = array::from_fn(|row| (row * row_len) as u32);
    let len = panels_len(tile, row_len, images);
    for source in &op.sources {
        let consumers = source.weights.len();
        scratch.grow(len * consumers + images * row_len);
        let (panels, rest) = cast_slice_mut(scratch).split_at_mut(len * consumers);
        let pairs = &mut rest[..images * row_len];
        for (&span, panels) in source.d_outputs.iter().zip(panels.chunks_exact_mut(len)) {
            // SAFETY: the operation passed its check; gradients of outputs are only read.
            bf16.pair_neighbours(outputs, unsafe { memory.slice(span, images * outputs) }, pairs);
            pack(tile, row_len, images, panels, |row, first, target| {
                let column = pairs[first * row_len + row..].iter().step_by(row_len);
                target.iter_mut().zip(column).for_each(|(target, &pair)| *target = pair);
            });
        }
        let panels = &*panels;
        let work = |task: usize| {
            let first = task * TASK_ROWS;
            let rows = TASK_ROWS.min(inputs - first);
            with_buffer(rows * (row_len + 2 * images), |buffer| {
                let (weights, rest) = buffer.split_at_mut(rows * row_len);
                let (total, partial) = rest.split_at_mut(rows * images);
                for (consumer, &span) in source.weights.iter().enumerate() {
                    let weights = cast_slice_mut(weights);
                    // SAFETY: weights are only read.
                    let weight = unsafe { memory.slice(span, span.len) };
                    bf16.pair_neighbours(outputs, &weight[first * outputs..][..rows * outputs], weights);
                    let left = Left { pairs: weights, rows: &starts[..rows] };
                    let terms = sum_blocks(1, row_len).map(Terms::side_by_side);
                    let right = Panels { pairs: &panels[consumer * len..][..len], rows: row_len, columns: images };
                    let floats = if consumer == 0 { &mut *total } else { &mut *partial };
                    bf16.multiply(tile, terms, &left, right, Sums { floats, stride: images, add: false });
                    if consumer > 0 {
                        total.iter_mut().zip(&*partial).for_each(|(sum, partial)| *sum += partial);
                    }
                }
                // SAFETY: this task owns these columns of the gradient, which overlaps no other operand.
                let d_input = unsafe { memory.pointer(source.d_input, images * inputs) };
                for image in 0..images {
                    for row in 0..rows {
                        // SAFETY: the column is this task's, inside the gradient.
                        unsafe { *d_input.add(image * inputs + first + row) = total[row * images + image] };
                    }
                }
            });
        };
        tools.threads.install(|| (0..inputs.div_ceil(TASK_ROWS)).into_par_iter().with_max_len(1).for_each(work));
    }
}
