//! Convolution forward and input gradient, both as a correlation of padded images with packed weights.
//!
//! # Algorithm
//! A task takes a few images. It pads them, then, block of terms by block of terms and panel of filters by panel,
//! slides the register tile over the output pixels: a panel's block stays in the first cache while all pixels pass.
//! The input gradient is the same with the roles changed: the padded (and, for a stride, spread) gradient of the
//! output, correlated with the filters turned by 180 degrees and transposed.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::floats::Floats;
use super::memory::Memory;
use super::pad::{Padding, with_buffer};
use super::prepared::Prepared;
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::{bf16, panels, winograd_conv};
use crate::ops::{Activation, ConvForward, ConvInputGrad, ConvShape, Span, WeightedShape, sum_blocks};

/// Output pixels that a task takes at least, to make use of the weights that it reads.
const TASK_PIXELS: usize = 512;

/// The geometry of a correlation with one source or several.
struct Correlation {
    padding: Padding,
    sources: usize,
    size: usize,
    out_height: usize,
    out_width: usize,
    columns: usize,
    stride: usize,
    tile: TileShape,
}

/// Walks through output pixels, row by row and image by image.
struct Windows {
    /// Floats between windows of neighbouring pixels, rows and images.
    steps: [usize; 3],
    /// Pixels of a row, rows of an image.
    extents: [usize; 2],
    /// Pixel, row and image that come next.
    place: [usize; 3],
}

impl Windows {
    /// Where the window of the next pixel begins in the padded images.
    #[inline(always)]
    fn next(&mut self) -> usize {
        let [x, y, image] = self.place;
        let [step, line, distance] = self.steps;
        let end_of_row = x + 1 == self.extents[0];
        let end_of_image = end_of_row && y + 1 == self.extents[1];
        self.place = match (end_of_row, end_of_image) {
            (false, _) => [x + 1, y, image],
            (true, false) => [0, y + 1, image],
            (true, true) => [0, 0, image + 1],
        };
        x * step + y * line + image * distance
    }
}

/// A block of terms of a sum: some filter rows of one source, or a piece of one.
struct Terms {
    source: usize,
    /// Where the block begins in the source's padded image, relative to a window.
    image_offset: usize,
    /// Where it begins in the rows of the packed weights.
    weight_row: usize,
    /// Rows of weights between its runs.
    run_rows: usize,
    run_len: usize,
    runs: usize,
}

impl Correlation {
    fn forward(tools: &Tools, shape: &ConvShape, sources: usize) -> Correlation {
        let ConvShape { out_height, out_width, filters, size, stride, .. } = *shape;
        let padding = Padding::of_windows(shape);
        Self::new(tools, padding, sources, (size, stride), (out_height, out_width), filters)
    }

    fn input_grad(tools: &Tools, shape: &ConvShape) -> Correlation {
        let ConvShape { in_height, in_width, channels, size, .. } = *shape;
        let padding = Padding::of_turned_windows(shape);
        Self::new(tools, padding, 1, (size, 1), (in_height, in_width), channels)
    }

    fn new(
        tools: &Tools,
        padding: Padding,
        sources: usize,
        (size, stride): (usize, usize),
        (out_height, out_width): (usize, usize),
        columns: usize,
    ) -> Correlation {
        Correlation {
            padding,
            sources,
            size,
            out_height,
            out_width,
            columns,
            stride,
            tile: tools.kernel.shape(columns),
        }
    }

    /// The blocks of a sum, in order. The pixels under one filter row are one run of memory.
    fn blocks(&self) -> impl Iterator<Item = Terms> {
        let Padding { width, channels, .. } = self.padding;
        let (size, run) = (self.size, self.size * channels);
        (0..self.sources).flat_map(move |source| {
            sum_blocks(size, run).map(move |block| Terms {
                source,
                image_offset: block.run * width * channels + block.start,
                weight_row: (source * size + block.run) * run + block.start,
                run_rows: run,
                run_len: block.len,
                runs: block.runs,
            })
        })
    }

    /// The windows of the output pixels, from the first on.
    fn windows(&self) -> Windows {
        let Correlation { padding, stride, .. } = self;
        let step = stride * padding.channels;
        let line = stride * padding.width * padding.channels;
        Windows { steps: [step, line, padding.stride()], extents: [self.out_width, self.out_height], place: [0; 3] }
    }

    /// Rows of the packed weights.
    fn weight_rows(&self) -> usize {
        self.sources * self.size * self.size * self.padding.channels
    }

    fn panels_len(&self) -> usize {
        panels::len(self.tile, self.weight_rows(), self.columns)
    }

    fn output_len(&self) -> usize {
        self.out_height * self.out_width * self.columns
    }

    fn images_per_task(&self) -> usize {
        TASK_PIXELS.div_ceil(self.out_height * self.out_width)
    }
}

/// One task: some images through all blocks and panels.
struct Task<'a> {
    correlation: &'a Correlation,
    panels: &'a [f32],
    sources: &'a [&'a [f32]],
    output: &'a mut [f32],
    finish: Option<(&'a [f32], Option<Activation>)>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Correlation { padding, columns, tile: shape, .. } = *self.correlation;
        let pixels = self.output.len() / columns;
        let rows = self.correlation.weight_rows();
        for (index, terms) in self.correlation.blocks().enumerate() {
            let source = self.sources[terms.source];
            for panel in 0..columns.div_ceil(shape.columns) {
                let first_column = panel * shape.columns;
                let b = &self.panels[(panel * rows + terms.weight_row) * shape.columns..];
                let mut windows = self.correlation.windows();
                for pixel in (0..pixels).step_by(shape.rows) {
                    let valid = shape.rows.min(pixels - pixel);
                    // Rows behind the last valid one repeat it.
                    let mut a = [source.as_ptr(); MAX_ROWS];
                    for r in 0..MAX_ROWS {
                        a[r] = if r < valid {
                            source[windows.next() + terms.image_offset..].as_ptr()
                        } else {
                            a[valid - 1]
                        };
                    }
                    let block = Block {
                        a,
                        a_step: 1,
                        a_run: padding.width * padding.channels,
                        b: b.as_ptr(),
                        b_step: shape.columns,
                        b_run: terms.run_rows * shape.columns,
                        run_len: terms.run_len,
                        runs: terms.runs,
                        c: self.output[pixel * columns + first_column..].as_mut_ptr(),
                        c_stride: columns,
                        rows: valid,
                        columns: shape.columns.min(columns - first_column),
                        add: index > 0,
                    };
                    // SAFETY: padding reaches as far as the last window, panels hold all rows of the weights, and the
                    // output has `pixels` rows of `columns` floats.
                    unsafe { tile(simd, shape, &block) };
                }
            }
        }
        if let Some((bias, activation)) = self.finish {
            for row in self.output.chunks_exact_mut(columns) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
            super::activation::apply(activation, self.output);
        }
    }
}

pub(super) fn forward(tools: &Tools, memory: &Memory, prepared: &mut Prepared, op: &ConvForward, images: usize) {
    let shape = &op.shape;
    if let Some(bf16) = tools.bf16 {
        return bf16::conv::forward(tools, bf16, memory, prepared, op, images);
    }
    if let Some(tiling) = tools.tiling(shape, shape.out_height, shape.out_width) {
        return winograd_conv::forward(tools, memory, prepared, op, tiling, images);
    }
    let sources = op.towers[0].inputs.len();
    let correlation = Correlation::forward(tools, shape, sources);
    let panels_len = correlation.panels_len();
    let panels = prepared.of(op, panels_len * op.towers.len(), |panels| {
        for (tower, panels) in op.towers.iter().zip(panels.chunks_exact_mut(panels_len)) {
            let weights: SmallVec<[&[f32]; 8]> =
                // SAFETY: the operation passed its check; weights are only read.
                tower.weights.iter().map(|&span| unsafe { memory.slice(span, span.len) }).collect();
            let rows_per_source = shape.size * shape.size * shape.channels;
            panels::pack(tools, correlation.tile, correlation.weight_rows(), shape.filters, panels, |row| {
                &weights[row / rows_per_source][row % rows_per_source * shape.filters..][..shape.filters]
            });
        }
    });

    // Each distinct input is padded once for all towers of a task, which are all where there are images enough.
    let per_task = correlation.images_per_task();
    let chunks = images.div_ceil(per_task);
    let together = if chunks < tools.threads.current_num_threads() { 1 } else { op.towers.len() };
    let groups = op.towers.len().div_ceil(together);
    let work = |task: usize| {
        let (first, group) = (task / groups * per_task, task % groups * together);
        let count = per_task.min(images - first);
        let towers = &op.towers[group..op.towers.len().min(group + together)];
        let mut inputs = SmallVec::<[Span; 8]>::new();
        for &input in towers.iter().flat_map(|tower| &tower.inputs) {
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        let padded_len = correlation.padding.buffer_len(count);
        with_buffer(inputs.len() * padded_len, |buffer| {
            let mut buffers = buffer.chunks_exact_mut(padded_len.max(1));
            let padded: SmallVec<[&[f32]; 8]> = inputs
                .iter()
                .map(|&span| {
                    // SAFETY: inputs are only read.
                    let input = unsafe { memory.slice(span, images * shape.input_len()) };
                    let target = buffers.next().unwrap_or_default();
                    correlation.padding.images(count, &input[first * shape.input_len()..], target)
                })
                .collect();
            for (index, tower) in towers.iter().enumerate() {
                let place = |input| inputs.iter().position(|known| known == input);
                let sources: SmallVec<[&[f32]; 8]> =
                    tower.inputs.iter().filter_map(place).map(|input| padded[input]).collect();
                let part = first * shape.output_len()..(first + count) * shape.output_len();
                // SAFETY: the bias is only read; these images of the output are this task's, and it overlaps no other
                // operand.
                let (bias, output) =
                    unsafe { (memory.slice(tower.bias, shape.filters), memory.part_mut(tower.output, part)) };
                tools.kernel.run(Task {
                    correlation: &correlation,
                    panels: &panels[(group + index) * panels_len..][..panels_len],
                    sources: &sources,
                    output,
                    finish: Some((bias, op.activation)),
                });
            }
        });
    };
    tools.threads.install(|| (0..chunks * groups).into_par_iter().with_max_len(1).for_each(work));
}

pub(super) fn input_grad(tools: &Tools, memory: &Memory, scratch: &mut Floats, op: &ConvInputGrad, images: usize) {
    let shape = &op.shape;
    if let Some(bf16) = tools.bf16 {
        return bf16::conv::input_grad(tools, bf16, memory, scratch, op, images);
    }
    if let Some(tiling) = tools.tiling(shape, shape.in_height, shape.in_width) {
        return winograd_conv::input_grad(tools, memory, scratch, op, tiling, images);
    }
    let correlation = Correlation::input_grad(tools, shape);
    let panels_len = correlation.panels_len();
    let ConvShape { size, filters, channels, .. } = *shape;
    for source in &op.sources {
        let turned_len = shape.weight_len();
        scratch.grow(turned_len + panels_len * source.weights.len());
        let (turned, scratch) = scratch.split_at_mut(turned_len);
        for (&span, panels) in source.weights.iter().zip(scratch.chunks_exact_mut(panels_len)) {
            // SAFETY: the operation passed its check; weights are only read.
            let weights = unsafe { memory.slice(span, span.len) };
            turn(tools, weights, (size * size, channels, filters), turned);
            panels::pack(tools, correlation.tile, correlation.weight_rows(), channels, panels, |row| {
                &turned[row * channels..][..channels]
            });
        }
        let per_task = correlation.images_per_task();
        // SAFETY: the gradient of the input overlaps no other operand.
        let d_input = unsafe { memory.slice_mut(source.d_input, images * shape.input_len()) };
        let work = |(index, output): (usize, &mut [f32])| {
            let first = index * per_task;
            let count = per_task.min(images - first);
            let padded_len = correlation.padding.buffer_len(count);
            with_buffer(padded_len + output.len(), |buffer| {
                let (buffer, partial) = buffer.split_at_mut(padded_len);
                for (consumer, &span) in source.d_outputs.iter().enumerate() {
                    // SAFETY: gradients of outputs are only read.
                    let d_output = unsafe { memory.slice(span, images * shape.output_len()) };
                    let padded = correlation.padding.images(count, &d_output[first * shape.output_len()..], buffer);
                    let panels = &scratch[consumer * panels_len..][..panels_len];
                    let target = if consumer == 0 { &mut *output } else { &mut *partial };
                    let sources = &[padded];
                    tools.kernel.run(Task { correlation: &correlation, panels, sources, output: target, finish: None });
                    if consumer > 0 {
                        output.iter_mut().zip(&*partial).for_each(|(sum, partial)| *sum += partial);
                    }
                }
            });
        };
        let tasks = d_input.par_chunks_mut(per_task * correlation.output_len());
        tools.threads.install(|| tasks.enumerate().with_max_len(1).for_each(work));
    }
}

/// `[positions, channels, filters]` to `[positions from the last to the first, filters, channels]`.
pub(super) fn turn(
    tools: &Tools,
    weights: &[f32],
    (positions, channels, filters): (usize, usize, usize),
    turned: &mut [f32],
) {
    /// Channels and filters of a square, whose lines of either side stay in the first cache.
    const SIDE: usize = 16;
    let work = |(index, target): (usize, &mut [f32])| {
        let source = &weights[(positions - 1 - index) * channels * filters..][..channels * filters];
        for first in (0..filters).step_by(SIDE) {
            for from in (0..channels).step_by(SIDE) {
                for filter in first..filters.min(first + SIDE) {
                    let row = &mut target[filter * channels..][from..channels.min(from + SIDE)];
                    for (channel, value) in row.iter_mut().enumerate() {
                        *value = source[(from + channel) * filters + filter];
                    }
                }
            }
        }
    };
    tools.threads.install(|| turned.par_chunks_exact_mut(filters * channels).enumerate().for_each(work));
}
