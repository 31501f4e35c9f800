//! The weight gradient of a convolution.
//!
//! # Algorithm
//! A task takes one group of images and one source of a tower, pads them and sums their gradient: rows of the tile are
//! neighbouring weights of a filter row (neighbours in the padded image, too), columns are filters, terms are output
//! pixels, a block is at most SUM_BLOCK pixels of one image. The first group sums into the result, the others beside
//! it; then the groups are added in order.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::floats::Floats;
use super::memory::Memory;
use super::pad::{Padding, with_buffer};
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::{Tools, bf16, panels, winograd_grad};
use crate::ops::{ConvShape, ConvWeightGrad, GRADIENT_GROUP, SUM_BLOCK, Span, SumBlock, WeightedShape, sum_blocks};

pub(super) fn weight_grad(tools: &Tools, memory: &Memory, scratch: &mut Floats, op: &ConvWeightGrad, images: usize) {
    let shape = &op.shape;
    let groups = images.div_ceil(GRADIENT_GROUP);
    let sources = op.towers[0].inputs.len();
    // Of a group, what every tower writes: the weights of each source, then the bias.
    let tower_len = sources * shape.weight_len() + shape.filters;
    let group_len = op.towers.len() * tower_len;
    scratch.grow((groups - 1) * group_len);
    let partials = Partials { start: scratch.start(), group_len, tower_len };

    let tiling = tools.tiling(shape, shape.out_height, shape.out_width);
    let padding = Padding::of_windows(shape);
    let tile = tools.kernel.shape(shape.filters);
    let panels_len = panels::len(tile, SUM_BLOCK, shape.filters);
    let work = |task: usize| {
        let (group, tower, source) =
            (task / sources / op.towers.len(), task / sources % op.towers.len(), task % sources);
        let operands = &op.towers[tower];
        let images = group * GRADIENT_GROUP..images.min((group + 1) * GRADIENT_GROUP);
        let of_group = |span: Span, len: usize| {
            // SAFETY: the operation passed its check; inputs and the gradient of the output are only read.
            let all = unsafe { memory.slice(span, images.end * len) };
            &all[images.start * len..]
        };
        let result = |span: Span, place: usize| match group.checked_sub(1) {
            // SAFETY: results overlap no other operand, and this task alone writes this one.
            None => unsafe { memory.slice_mut(span, span.len) },
            // SAFETY: scratch has room for the groups behind the first, and this task alone writes this part.
            Some(group) => unsafe { partials.part(group, tower, place, span.len) },
        };
        let d_output = of_group(operands.d_output, shape.output_len());
        let input = of_group(operands.inputs[source], shape.input_len());
        let d_weight = result(operands.d_weights[source], source * shape.weight_len());
        if let Some(bf16) = tools.bf16 {
            bf16::conv_grad::weight_grad(tools, bf16, shape, (input, d_output, images.len()), d_weight);
        } else if let Some(tiling) = &tiling {
            winograd_grad::weight_grad(tools, shape, tiling, (input, d_output, images.len()), d_weight);
        } else {
            let padded_len = padding.buffer_len(images.len());
            with_buffer(padded_len + panels_len, |buffer| {
                let (buffer, panels) = buffer.split_at_mut(padded_len);
                let pixels = padding.images(images.len(), input, buffer);
                let image_stride = padding.stride();
                let row_len = padding.width * padding.channels;
                tools.kernel.run(Task { shape, tile, pixels, image_stride, row_len, d_output, panels, d_weight });
            });
        }
        if source == 0 {
            sum_rows(tools, d_output, result(operands.d_bias, sources * shape.weight_len()));
        }
    };
    tools.threads.install(|| {
        (0..groups * op.towers.len() * sources).into_par_iter().with_max_len(1).for_each(work);
        for (tower, operands) in op.towers.iter().enumerate() {
            let places = (0..).step_by(shape.weight_len());
            for (&span, place) in operands.d_weights.iter().chain([&operands.d_bias]).zip(places) {
                // SAFETY: results overlap no other operand; every task has ended.
                let first = unsafe { memory.slice_mut(span, span.len) };
                add_groups(first, scratch.get(tower * tower_len + place..).unwrap_or_default(), group_len, groups - 1);
            }
        }
    });
}

/// What the groups behind the first sum, in scratch memory: for each group the results of all towers.
#[derive(Clone, Copy)]
struct Partials {
    start: *mut f32,
    group_len: usize,
    tower_len: usize,
}

// SAFETY: a pointer to floats that outlive the tasks, each of which takes parts of its own.
unsafe impl Sync for Partials {}

impl Partials {
    /// `len` floats from `place` on of what `tower` sums in `group`.
    ///
    /// # Safety
    /// They lie inside the scratch memory, and nobody else uses them as long as they are borrowed.
    unsafe fn part<'a>(&self, group: usize, tower: usize, place: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's word.
        unsafe {
            let start = self.start.add(group * self.group_len + tower * self.tower_len + place);
            std::slice::from_raw_parts_mut(start, len)
        }
    }
}

/// Adds `groups` partials, `distance` floats apart, to `sums`, in order.
fn add_groups(sums: &mut [f32], partials: &[f32], distance: usize, groups: usize) {
    const CHUNK: usize = 1 << 14;
    sums.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sums)| {
        for partials in partials.chunks(distance).take(groups) {
            sums.iter_mut().zip(&partials[chunk * CHUNK..]).for_each(|(sum, partial)| *sum += partial);
        }
    });
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
