//! The weight gradient of a convolution.
//!
//! # Algorithm
//! A task takes one group of images, pads them and sums their gradient: rows of the tile are neighbouring weights of
//! a filter row (neighbours in the padded image, too), columns are filters, terms are output pixels, a block is at
//! most SUM_BLOCK pixels of one image. The first group sums into the result, the others beside it; then the groups
//! are added in order.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::memory::Memory;
use super::pad::{Padding, with_buffer};
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::{Tools, bf16, panels, winograd_grad};
use crate::ops::{
    ConvShape, ConvWeightGrad, GRADIENT_GROUP, SUM_BLOCK, Span, SumBlock, WeightGradTower, WeightedShape, sum_blocks,
};

pub(super) fn weight_grad(tools: &Tools, memory: &Memory, scratch: &mut Vec<f32>, op: &ConvWeightGrad, images: usize) {
    let shape = &op.shape;
    let groups = images.div_ceil(GRADIENT_GROUP);
    let results: Vec<Span> = op.towers.iter().flat_map(results_of).collect();
    let group_len: usize = results.iter().map(|span| span.len).sum();
    scratch.resize(scratch.len().max((groups - 1) * group_len), 0.0);

    // SAFETY: the operation passed its check; results overlap no other operand.
    let first: Vec<&mut [f32]> = results.iter().map(|&span| unsafe { memory.slice_mut(span, span.len) }).collect();
    let rest = scratch.chunks_exact_mut(group_len.max(1)).take(groups - 1);
    let mut tasks = vec![first];
    tasks.extend(rest.map(|group| split(group, &results)));

    let tiling = tools.tiling(shape, shape.out_height, shape.out_width);
    let padding = Padding::of_windows(shape);
    let tile = tools.kernel.shape(shape.filters);
    let panels_len = panels::len(tile, SUM_BLOCK, shape.filters);
    let work = |(group, results): (usize, &mut Vec<&mut [f32]>)| {
        let images = group * GRADIENT_GROUP..images.min((group + 1) * GRADIENT_GROUP);
        let mut results = results.iter_mut();
        for tower in &op.towers {
            let of_group = |span: Span, len: usize| {
                // SAFETY: inputs and the gradient of the output are only read.
                let all = unsafe { memory.slice(span, images.end * len) };
                &all[images.start * len..]
            };
            let d_output = of_group(tower.d_output, shape.output_len());
            for &input in &tower.inputs {
                let input = of_group(input, shape.input_len());
                let Some(d_weight) = results.next() else { return };
                if let Some(bf16) = tools.bf16 {
                    bf16::conv_grad::weight_grad(tools, bf16, shape, (input, d_output, images.len()), d_weight);
                    continue;
                }
                if let Some(tiling) = &tiling {
                    winograd_grad::weight_grad(tools, shape, tiling, (input, d_output, images.len()), d_weight);
                    continue;
                }
                let padded_len = padding.buffer_len(images.len());
                with_buffer(padded_len + panels_len, |buffer| {
                    let (buffer, panels) = buffer.split_at_mut(padded_len);
                    let pixels = padding.images(images.len(), input, buffer);
                    let image_stride = padding.stride();
                    let row_len = padding.width * padding.channels;
                    tools.kernel.run(Task { shape, tile, pixels, image_stride, row_len, d_output, panels, d_weight });
                });
            }
            let Some(d_bias) = results.next() else { return };
            sum_rows(tools, d_output, d_bias);
        }
    };
    tools.threads.install(|| {
        tasks.par_iter_mut().enumerate().with_max_len(1).for_each(work);
        add_groups(tasks);
    });
}

/// What a tower writes, in order.
fn results_of(tower: &WeightGradTower) -> impl Iterator<Item = Span> {
    tower.d_weights.iter().copied().chain([tower.d_bias])
}

/// Cuts `group` into pieces as long as `results`.
fn split<'a>(mut group: &'a mut [f32], results: &[Span]) -> Vec<&'a mut [f32]> {
    let mut pieces = Vec::with_capacity(results.len());
    for span in results {
        let (piece, rest) = group.split_at_mut(span.len);
        pieces.push(piece);
        group = rest;
    }
    pieces
}

/// Adds all groups to the first, in order.
fn add_groups(mut tasks: Vec<Vec<&mut [f32]>>) {
    const CHUNK: usize = 1 << 14;
    let rest = tasks.split_off(1);
    for (index, first) in tasks.into_iter().flatten().enumerate() {
        first.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sums)| {
            for group in &rest {
                let partials = &group[index][chunk * CHUNK..];
                sums.iter_mut().zip(partials).for_each(|(sum, partial)| *sum += partial);
            }
        });
    }
}

/// The column sums of `matrix`, row by row.
pub(super) fn sum_rows(tools: &Tools, matrix: &[f32], sums: &mut [f32]) {
    tools.vectorise(
        #[inline(always)]
        || {
            sums.fill(0.0);
            for row in matrix.chunks_exact(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        },
    );
}

/// The gradient of one tower's weights for one source, over the images of a group.
struct Task<'a> {
    shape: &'a ConvShape,
    tile: TileShape,
    /// Padded images, `image_stride` floats apart, their rows `row_len`.
    pixels: &'a [f32],
    image_stride: usize,
    row_len: usize,
    d_output: &'a [f32],
    /// Room for a block of it in panels.
    panels: &'a mut [f32],
    d_weight: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ConvShape { channels, out_height, out_width, filters, size, stride, .. } = *self.shape;
        let width = self.tile.columns;
        let weights_in_row = size * channels;
        for (image, d_output) in self.d_output.chunks_exact(out_height * out_width * filters).enumerate() {
            for (index, block) in sum_blocks(out_height, out_width).enumerate() {
                let SumBlock { run: y, runs, start: x, len: run_len } = block;
                let pixels = runs * run_len;
                let pixel = |k: usize| ((y + k / run_len) * out_width + x + k % run_len) * filters;
                for (panel, first) in self.panels.chunks_exact_mut(pixels * width).zip((0..filters).step_by(width)) {
                    let columns = width.min(filters - first);
                    for (k, target) in panel.chunks_exact_mut(width).enumerate() {
                        target[..columns].copy_from_slice(&d_output[pixel(k) + first..][..columns]);
                        target[columns..].fill(0.0);
                    }
                }
                let window = image * self.image_stride + (y * self.row_len + x * channels) * stride;
                for ky in 0..size {
                    for first in (0..weights_in_row).step_by(self.tile.rows) {
                        let rows = self.tile.rows.min(weights_in_row - first);
                        let a = &self.pixels[window + ky * self.row_len + first..];
                        let weight = ky * weights_in_row + first;
                        for first_column in (0..filters).step_by(width) {
                            let block = Block {
                                a: std::array::from_fn::<_, MAX_ROWS, _>(|r| a[r.min(rows - 1)..].as_ptr()),
                                a_step: stride * channels,
                                a_run: stride * self.row_len,
                                b: self.panels[first_column * pixels..].as_ptr(),
                                b_step: width,
                                b_run: run_len * width,
                                run_len,
                                runs,
                                c: self.d_weight[weight * filters + first_column..].as_mut_ptr(),
                                c_stride: filters,
                                rows,
                                columns: width.min(filters - first_column),
                                add: image > 0 || index > 0,
                            };
                            // SAFETY: padding reaches as far as the last window, panels have a row for each pixel of
                            // the block, and the weights have rows of `filters` floats.
                            unsafe { tile(simd, self.tile, &block) };
                        }
                    }
                }
            }
        }
    }
}
