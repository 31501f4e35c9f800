//! Convolution forward and input gradient, both as a correlation of padded images with packed weights.
//!
//! # Algorithm
//! A task takes a few images. It pads them, then, block of terms by block of terms and panel of filters by panel,
//! slides the register tile over the output pixels: a panel's block stays in the first cache while all pixels pass.
//! The input gradient is the same with the roles changed: the padded (and, for a stride, spread) gradient of the
//! output, correlated with the filters turned by 180 degrees and transposed.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use super::pad::{Padding, with_buffer};
use super::prepared::Prepared;
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::{bf16, panels, winograd_conv};
use crate::ops::{Activation, ConvForward, ConvInputGrad, ConvShape, WeightedShape, sum_blocks};

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
    tile: TileShape,
    blocks: Vec<Terms>,
    /// Where the window of each output pixel of a task begins in its padded images.
    windows: Vec<usize>,
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
        // The pixels of one filter row are one run of memory.
        let run = size * padding.channels;
        let mut blocks = Vec::new();
        for source in 0..sources {
            blocks.extend(sum_blocks(size, run).map(|block| Terms {
                source,
                image_offset: block.run * padding.width * padding.channels + block.start,
                weight_row: (source * size + block.run) * run + block.start,
                run_rows: run,
                run_len: block.len,
                runs: block.runs,
            }));
        }
        let tile = tools.kernel.shape(columns);
        let windows = Vec::new();
        let mut correlation =
            Correlation { padding, sources, size, out_height, out_width, columns, tile, blocks, windows };
        for image in 0..correlation.images_per_task() {
            for y in 0..out_height {
                let row = image * padding.stride() + y * stride * padding.width * padding.channels;
                correlation.windows.extend((0..out_width).map(|x| row + x * stride * padding.channels));
            }
        }
        correlation
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
        let Correlation { padding, columns, tile: shape, blocks, windows, .. } = self.correlation;
        let (columns, shape) = (*columns, *shape);
        let pixels = self.output.len() / columns;
        let rows = self.correlation.weight_rows();
        for (index, terms) in blocks.iter().enumerate() {
            let source = self.sources[terms.source];
            for panel in 0..columns.div_ceil(shape.columns) {
                let first_column = panel * shape.columns;
                let b = &self.panels[(panel * rows + terms.weight_row) * shape.columns..];
                for pixel in (0..pixels).step_by(shape.rows) {
                    let valid = shape.rows.min(pixels - pixel);
                    let a = std::array::from_fn::<_, MAX_ROWS, _>(|r| {
                        source[windows[pixel + r.min(valid - 1)] + terms.image_offset..].as_ptr()
                    });
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
            let weights: Vec<&[f32]> =
                // SAFETY: the operation passed its check; weights are only read.
                tower.weights.iter().map(|&span| unsafe { memory.slice(span, span.len) }).collect();
            let rows_per_source = shape.size * shape.size * shape.channels;
            panels::pack(tools, correlation.tile, correlation.weight_rows(), shape.filters, panels, |row| {
                &weights[row / rows_per_source][row % rows_per_source * shape.filters..][..shape.filters]
            });
        }
    });

    // Each distinct input is padded once for all towers.
    let mut inputs = Vec::new();
    let mut tower_inputs = Vec::new();
    for tower in &op.towers {
        let positions = tower.inputs.iter().map(|&span| {
            inputs.iter().position(|&known| known == span).unwrap_or_else(|| {
                inputs.push(span);
                inputs.len() - 1
            })
        });
        tower_inputs.push(positions.collect::<Vec<_>>());
    }

    let per_task = correlation.images_per_task();
    // SAFETY: outputs overlap no other operand.
    let mut outputs: Vec<_> = op
        .towers
        .iter()
        .map(|tower| unsafe { memory.slice_mut(tower.output, images * shape.output_len()) })
        .map(|output| output.chunks_mut(per_task * shape.output_len()))
        .collect();
    let tasks: Vec<Vec<&mut [f32]>> =
        (0..images.div_ceil(per_task)).map(|_| outputs.iter_mut().filter_map(Iterator::next).collect()).collect();
    let work = |(index, outputs): (usize, Vec<&mut [f32]>)| {
        let first = index * per_task;
        let count = per_task.min(images - first);
        with_buffer(inputs.len() * correlation.padding.buffer_len(count), |buffer| {
            let mut buffers = buffer.chunks_exact_mut(correlation.padding.buffer_len(count).max(1));
            let padded: Vec<&[f32]> = inputs
                .iter()
                .map(|&span| {
                    // SAFETY: inputs are only read.
                    let input = unsafe { memory.slice(span, images * shape.input_len()) };
                    let target = buffers.next().unwrap_or_default();
                    correlation.padding.images(count, &input[first * shape.input_len()..], target)
                })
                .collect();
            for (tower, output) in outputs.into_iter().enumerate() {
                let sources: Vec<&[f32]> = tower_inputs[tower].iter().map(|&input| padded[input]).collect();
                // SAFETY: the bias is only read.
                let bias = unsafe { memory.slice(op.towers[tower].bias, shape.filters) };
                tools.kernel.run(Task {
                    correlation: &correlation,
                    panels: &panels[tower * panels_len..][..panels_len],
                    sources: &sources,
                    output,
                    finish: Some((bias, op.activation)),
                });
            }
        });
    };
    tools.threads.install(|| tasks.into_par_iter().enumerate().with_max_len(1).for_each(work));
}

pub(super) fn input_grad(tools: &Tools, memory: &Memory, scratch: &mut Vec<f32>, op: &ConvInputGrad, images: usize) {
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
        scratch.resize(scratch.len().max(panels_len * source.weights.len()), 0.0);
        for (&span, panels) in source.weights.iter().zip(scratch.chunks_exact_mut(panels_len)) {
            // SAFETY: the operation passed its check; weights are only read.
            let weights = unsafe { memory.slice(span, span.len) };
            let turned = turn(weights, size * size, channels, filters);
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
pub(super) fn turn(weights: &[f32], positions: usize, channels: usize, filters: usize) -> Vec<f32> {
    let mut turned = vec![0.0; weights.len()];
    let targets = turned.chunks_exact_mut(filters * channels);
    for (position, target) in (0..positions).rev().zip(targets) {
        let source = &weights[position * channels * filters..][..channels * filters];
        for (channel, row) in source.chunks_exact(filters).enumerate() {
            for (filter, &value) in row.iter().enumerate() {
                target[filter * channels + channel] = value;
            }
        }
    }
    turned
}
