//! Convolution forward and input gradient: padded images of pairs correlated with packed weights, as in
//! [`crate::cpu::conv`].

use bytemuck::cast_slice_mut;
use rayon::prelude::*;

use super::product::{Left, Panels, Sums, Terms, pack, panels_len};
use super::{Bf16, Pair};
use crate::cpu::floats::Floats;
use crate::cpu::memory::Memory;
use crate::cpu::pad::{Padding, with_buffer};
use crate::cpu::prepared::Prepared;
use crate::cpu::tile::TileShape;
use crate::cpu::{Tools, activation};
use crate::ops::{ConvForward, ConvInputGrad, ConvShape, WeightedShape, sum_blocks};

/// Output pixels that a task takes at least, to make use of the weights that it reads.
const TASK_PIXELS: usize = 512;

/// Either operation, for one source.
struct Correlation {
    /// Maps of a pixel before they were paired.
    maps: usize,
    /// Of images of pairs.
    padding: Padding,
    columns: usize,
    tile: TileShape,
    /// Pixels of a side of a filter, and from a window to the next.
    size: usize,
    stride: usize,
    /// Output pixels of a row and of an image.
    width: usize,
    pixels: usize,
    /// Images of a task.
    images: usize,
}

impl Correlation {
    fn forward(tools: &Tools, shape: &ConvShape) -> Correlation {
        let extent = (shape.out_height, shape.out_width);
        Self::new(tools, Padding::of_windows(shape), (shape.size, shape.stride), extent, shape.filters)
    }

    fn input_grad(tools: &Tools, shape: &ConvShape) -> Correlation {
        let extent = (shape.in_height, shape.in_width);
        Self::new(tools, Padding::of_turned_windows(shape), (shape.size, 1), extent, shape.channels)
    }

    fn new(
        tools: &Tools,
        padding: Padding,
        (size, stride): (usize, usize),
        (height, width): (usize, usize),
        columns: usize,
    ) -> Correlation {
        let maps = padding.channels;
        let padding = Padding { channels: maps.div_ceil(2), ..padding };
        let pixels = height * width;
        let images = TASK_PIXELS.div_ceil(pixels);
        let tile = tools.kernel.shape(columns);
        Correlation { maps, padding, columns, tile, size, stride, width, pixels, images }
    }

    /// The blocks of a sum, in order.
    fn terms(&self) -> impl Iterator<Item = Terms> {
        let (row, run) = (self.padding.width * self.padding.channels, self.size * self.padding.channels);
        sum_blocks(self.size, run).map(move |block| Terms {
            a: block.run * row + block.start,
            a_step: 1,
            a_run: row,
            b_row: block.run * run + block.start,
            b_run: run,
            block,
        })
    }

    /// Where the window of an output pixel of a task begins in its padded images.
    fn window(&self, pixel: usize) -> u32 {
        let (image, y, x) = (pixel / self.pixels, pixel % self.pixels / self.width, pixel % self.width);
        let Padding { width, channels, .. } = self.padding;
        (image * self.padding.stride() + (y * width + x) * channels * self.stride) as u32
    }

    /// Rows of the packed weights.
    fn weight_rows(&self) -> usize {
        self.size * self.size * self.padding.channels
    }

    /// Pairs of weights before they are turned.
    fn turned_len(&self) -> usize {
        self.weight_rows() * self.columns
    }

    fn panels_len(&self) -> usize {
        panels_len(self.tile, self.weight_rows(), self.columns)
    }

    fn output_len(&self) -> usize {
        self.pixels * self.columns
    }

    /// Packs weights, `[positions, channels, filters]`: pairs of channels.
    fn pack(&self, bf16: Bf16, weights: &[f32], panels: &mut [Pair]) {
        pack(self.tile, self.weight_rows(), self.columns, panels, |row, first, target| {
            let (position, pair) = (row / self.padding.channels, row % self.padding.channels);
            let weights = &weights[position * self.maps * self.columns..][..self.maps * self.columns];
            bf16.pair_rows(&weights[2 * pair * self.columns..], self.columns, first, target);
        });
    }

    /// Packs weights, `[positions, channels, filters]`, turned and transposed: pairs of filters. `pairs` is room.
    fn pack_turned(&self, bf16: Bf16, weights: &[f32], pairs: &mut [Pair], panels: &mut [Pair]) {
        let filters = self.padding.channels;
        bf16.pair_neighbours(self.maps, weights, pairs);
        pack(self.tile, self.weight_rows(), self.columns, panels, |row, first, target| {
            let (position, pair) = (self.size * self.size - 1 - row / filters, row % filters);
            let column = pairs[(position * self.columns + first) * filters + pair..].iter().step_by(filters);
            target.iter_mut().zip(column).for_each(|(target, &pair)| *target = pair);
        });
    }

    /// Windows of a task, and pairs of its images as they are and padded.
    fn buffer_len(&self) -> usize {
        let Padding { in_height, in_width, channels, .. } = self.padding;
        self.images * (self.pixels + in_height * in_width * channels + self.padding.stride())
    }

    /// Computes `output`, some images from the `first` on.
    fn run(
        &self,
        bf16: Bf16,
        (source, first): (&[f32], usize),
        weights: &[Pair],
        (output, add): (&mut [f32], bool),
        buffer: &mut [Pair],
    ) {
        let Padding { in_height, in_width, channels, .. } = self.padding;
        let count = output.len() / self.output_len();
        let image = in_height * in_width;
        let (windows, buffer) = buffer.split_at_mut(count * self.pixels);
        windows.iter_mut().enumerate().for_each(|(pixel, window)| *window = self.window(pixel));
        let (pairs, padded) = buffer.split_at_mut(count * image * channels);
        bf16.pair_neighbours(self.maps, &source[first * image * self.maps..][..count * image * self.maps], pairs);
        let padded = self.padding.images(count, pairs, &mut padded[..self.padding.buffer_len(count)]);
        let left = Left { pairs: padded, rows: windows };
        let right = Panels { pairs: weights, rows: self.weight_rows(), columns: self.columns };
        let sums = Sums { floats: output, stride: self.columns, add };
        bf16.multiply(self.tile, self.terms(), &left, right, sums);
    }
}

pub(in crate::cpu) fn forward(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    prepared: &mut Prepared,
    op: &ConvForward,
    images: usize,
) {
    let shape = &op.shape;
    let correlation = Correlation::forward(tools, shape);
    let (len, sources) = (correlation.panels_len(), op.towers[0].inputs.len());
    let panels = prepared.of(op, len * sources * op.towers.len(), |panels| {
        let weights = op.towers.iter().flat_map(|tower| &tower.weights);
        for (&span, panels) in weights.zip(cast_slice_mut(panels).chunks_exact_mut(len)) {
            // SAFETY: the operation passed its check; weights are only read.
            correlation.pack(bf16, unsafe { memory.slice(span, span.len) }, panels);
        }
    });
    let panels: &[Pair] = bytemuck::cast_slice(panels);
    let per_tower = images.div_ceil(correlation.images);
    let work = |task: usize| {
        let (index, first) = (task / per_tower, task % per_tower * correlation.images);
        let tower = &op.towers[index];
        let part = first * shape.output_len()..images.min(first + correlation.images) * shape.output_len();
        // SAFETY: these images of the output are this task's, and it overlaps no other operand.
        let output = unsafe { memory.part_mut(tower.output, part) };
        with_buffer(correlation.buffer_len(), |buffer| {
            for (source, &span) in tower.inputs.iter().enumerate() {
                // SAFETY: inputs are only read.
                let input = unsafe { memory.slice(span, images * shape.input_len()) };
                let weights = &panels[(index * sources + source) * len..][..len];
                let target = (&mut *output, source > 0);
                correlation.run(bf16, (input, first), weights, target, cast_slice_mut(buffer));
            }
        });
        // SAFETY: the bias is only read.
        let bias = unsafe { memory.slice(tower.bias, shape.filters) };
        for row in output.chunks_exact_mut(shape.filters) {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        activation::apply(op.activation, output);
    };
    tools.threads.install(|| (0..op.towers.len() * per_tower).into_par_iter().with_max_len(1).for_each(work));
}

pub(in crate::cpu) fn input_grad(
    tools: &Tools,
    bf16: Bf16,
    memory: &Memory,
    scratch: &mut Floats,
    op: &ConvInputGrad,
    images: usize,
) {
    let shape = &op.shape;
    let correlation = Correlation::input_grad(tools, shape);
    let len = correlation.panels_len();
    for source in &op.sources {
        scratch.grow(correlation.turned_len() + len * source.weights.len());
        let (pairs, panels) = cast_slice_mut::<_, Pair>(scratch).split_at_mut(correlation.turned_len());
        for (&span, panels) in source.weights.iter().zip(panels.chunks_exact_mut(len)) {
            // SAFETY: the operation passed its check; weights are only read.
            correlation.pack_turned(bf16, unsafe { memory.slice(span, span.len) }, pairs, panels);
        }
        let panels = &*panels;
        // SAFETY: the gradient of the input overlaps no other operand.
        let d_input = unsafe { memory.slice_mut(source.d_input, images * shape.input_len()) };
        let work = |(task, output): (usize, &mut [f32])| {
            with_buffer(correlation.buffer_len() + output.len(), |buffer| {
                let (partial, buffer) = buffer.split_at_mut(output.len());
                for (consumer, &span) in source.d_outputs.iter().enumerate() {
                    // SAFETY: gradients of outputs are only read.
                    let d_output = unsafe { memory.slice(span, images * shape.output_len()) };
                    let weights = &panels[consumer * len..][..len];
                    let target = if consumer == 0 { &mut *output } else { &mut *partial };
                    let from = (d_output, task * correlation.images);
                    correlation.run(bf16, from, weights, (target, false), cast_slice_mut(buffer));
                    if consumer > 0 {
                        output.iter_mut().zip(&*partial).for_each(|(sum, partial)| *sum += partial);
                    }
                }
            });
        };
        let tasks = d_input.par_chunks_mut(correlation.images * correlation.output_len());
        tools.threads.install(|| tasks.enumerate().with_max_len(1).for_each(work));
    }
}
