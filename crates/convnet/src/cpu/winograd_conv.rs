//! Convolution forward and input gradient by Winograd: `winograd` has the algorithm.
//!
//! A task takes a few images of one tower and pads them. Some rows of tiles at a time, and source by source, it
//! transforms the tiles and multiplies position by position with the transformed weights; then it combines, adds the
//! bias and writes the pixels.
//! The input gradient is the same with the padded gradient of the output and the filters turned and transposed.
//!
//! Order of sums: for each position the sources in their order, the channels of each in blocks of at most
//! [`CHANNEL_BLOCK`].
//!
//! Long: forward and input gradient are one algorithm with three loops over tiles that share its geometry.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::conv::turn;
use super::floats::Floats;
use super::memory::Memory;
use super::pad::{Padding, with_buffer};
use super::prepared::Prepared;
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::winograd::{
    Grid, POSITIONS, SIDE, Tiles, Tiling, both, combine, data, evaluate, factor, load, store, transform_tiles,
};
use crate::ops::{Activation, ConvForward, ConvInputGrad, ConvShape, WeightedShape};

/// Tiles that a task takes at most, to make use of the weights that it reads.
const TASK_TILES: usize = 128;

/// Tiles of a pass at most: what is between the transforms stays in the second cache.
const PASS_TILES: usize = 128;

/// Channels of a block of a sum at most: a panel of so many rows stays in the first cache.
const CHANNEL_BLOCK: usize = 128;

/// What becomes of the sums of a pixel.
#[derive(Clone, Copy)]
enum Finish<'a> {
    /// They overwrite what is there, with bias and activation if there are any.
    Write(Option<(&'a [f32], Option<Activation>)>),
    /// They are added to it: the partial of another consumer.
    Add,
}

/// Either operation, as a correlation of padded images.
struct Correlation {
    tiling: Tiling,
    padding: Padding,
    height: usize,
    width: usize,
    /// Maps that come out.
    columns: usize,
    tile: TileShape,
    /// Images of a task.
    images: usize,
}

impl Correlation {
    fn new(
        tools: &Tools,
        tiling: Tiling,
        padding: Padding,
        (height, width): (usize, usize),
        columns: usize,
        images: usize,
    ) -> Correlation {
        let padding = Padding { height: tiling.height(), width: tiling.width(), ..padding };
        // Fewer where there would not be a task for every thread.
        let share = images.div_ceil(tools.threads.current_num_threads());
        let images = (TASK_TILES / tiling.tiles()).clamp(1, share);
        Correlation { tiling, padding, height, width, columns, tile: tools.kernel.shape(columns), images }
    }

    fn panels(&self) -> usize {
        self.columns.div_ceil(self.tile.columns)
    }

    /// Floats of the transformed weights of `sources` sources: `[panel][position][row][columns of a tile]`.
    fn weights_len(&self, sources: usize) -> usize {
        self.panels() * POSITIONS * sources * self.padding.channels * self.tile.columns
    }

    fn output_len(&self) -> usize {
        self.height * self.width * self.columns
    }

    /// Transforms the weights, `[size, size, channels, columns]` of each source.
    fn transform(&self, tools: &Tools, weights: &[&[f32]], target: &mut [f32]) {
        let len = POSITIONS * weights.len() * self.padding.channels * self.tile.columns;
        let work = |(panel, target): (usize, &mut [f32])| {
            tools.kernel.run(WeightsTask { correlation: self, weights, panel, target });
        };
        tools.threads.install(|| target.par_chunks_mut(len).enumerate().with_max_len(1).for_each(work));
    }

    /// Computes `output`, some images from the `first` on.
    fn run(
        &self,
        tools: &Tools,
        (sources, first): (&[&[f32]], usize),
        weights: &[f32],
        finish: Finish,
        output: &mut [f32],
    ) {
        let count = output.len() / self.output_len();
        let rows = count * self.tiling.rows;
        let pass = (PASS_TILES / self.tiling.columns).clamp(1, rows);
        let [inputs, products] =
            [self.padding.channels, self.columns].map(|width| Grid::new(pass * self.tiling.columns, width));
        let padded_len = self.padding.buffer_len(count);
        with_buffer(sources.len() * padded_len + inputs.len() + products.len(), |buffer| {
            let (padded, rest) = buffer.split_at_mut(sources.len() * padded_len);
            let (transformed, sums) = rest.split_at_mut(inputs.len());
            let image_len = self.padding.in_height * self.padding.in_width * self.padding.channels;
            let mut padded = padded.chunks_exact_mut(padded_len.max(1));
            let sources: SmallVec<[Tiles; 8]> = sources
                .iter()
                .map(|source| {
                    let target = padded.next().unwrap_or_default();
                    let images = self.padding.images(count, &source[first * image_len..], target);
                    Tiles { images, padding: self.padding }
                })
                .collect();
            for first in (0..rows).step_by(pass) {
                let rows = first..rows.min(first + pass);
                for (index, source) in sources.iter().enumerate() {
                    tools.kernel.run(SourceTask {
                        correlation: self,
                        source,
                        rows: rows.clone(),
                        inputs: (inputs, &mut *transformed),
                        weights,
                        weight_rows: sources.len() * self.padding.channels,
                        index,
                        products: (products, &mut *sums),
                    });
                }
                tools.kernel.run(OutputTask { correlation: self, rows, products, sums, finish, output: &mut *output });
            }
        });
    }
}
/// The transformed weights of one panel.
struct WeightsTask<'a> {
    correlation: &'a Correlation,
    weights: &'a [&'a [f32]],
    panel: usize,
    target: &'a mut [f32],
}

impl WithSimd for WeightsTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.correlation.tiling.size == 3 { self.sized::<S, 3>(simd) } else { self.sized::<S, 5>(simd) }
    }
}

impl WeightsTask<'_> {
    #[inline(always)]
    fn sized<S: Simd, const N: usize>(self, simd: S) {
        let Correlation { padding, columns, tile, .. } = self.correlation;
        let (channels, columns, width) = (padding.channels, *columns, tile.columns);
        let first = self.panel * width;
        let valid = width.min(columns - first);
        let rows = self.weights.len() * channels;
        assert!(self.target.len() >= POSITIONS * rows * width && valid % S::F32_LANES == 0);
        for (index, weights) in self.weights.iter().enumerate() {
            assert!(weights.len() >= N * N * channels * columns);
            for channel in 0..channels {
                for column in (0..valid).step_by(S::F32_LANES) {
                    let from = channel * columns + first + column;
                    let to = (index * channels + channel) * width + column;
                    // SAFETY: the assertions: weights have rows of `columns` floats, the panel has `rows` of `width`.
                    unsafe {
                        let from = weights.as_ptr().add(from);
                        let values = load::<S, N>(simd, from, N * channels * columns, channels * columns);
                        let mut points = both(
                            simd,
                            values,
                            #[inline(always)]
                            |g| evaluate(simd, g),
                        );
                        for (y, line) in points.iter_mut().enumerate() {
                            for (x, point) in line.iter_mut().enumerate() {
                                *point = simd.mul_f32s(*point, simd.splat_f32s(factor(y, x)));
                            }
                        }
                        store::<S>(points, self.target.as_mut_ptr().add(to), rows * width);
                    }
                }
            }
        }
    }
}

/// One source of a task: its tiles, and their products with the weights.
struct SourceTask<'a> {
    correlation: &'a Correlation,
    source: &'a Tiles<'a>,
    /// The rows of tiles of this pass.
    rows: Range<usize>,
    inputs: (Grid, &'a mut [f32]),
    weights: &'a [f32],
    /// Those of all sources.
    weight_rows: usize,
    /// Which source.
    index: usize,
    products: (Grid, &'a mut [f32]),
}

impl WithSimd for SourceTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Correlation { tiling, padding, columns, tile: shape, .. } = self.correlation;
        let channels = padding.channels;
        let ((inputs, transformed), (products, sums)) = (self.inputs, self.products);
        let target = (inputs, &mut *transformed);
        transform_tiles(
            simd,
            tiling,
            self.source,
            self.rows.clone(),
            target,
            #[inline(always)]
            |d: [_; SIDE]| data(simd, d),
        );

        let tiles = self.rows.len() * tiling.columns;
        let pieces = channels.div_ceil(CHANNEL_BLOCK);
        let piece = channels.div_ceil(pieces);
        for position in 0..POSITIONS {
            for start in (0..channels).step_by(piece) {
                for (panel, first_column) in (0..*columns).step_by(shape.columns).enumerate() {
                    let row = (panel * POSITIONS + position) * self.weight_rows + self.index * channels + start;
                    let b = self.weights[row * shape.columns..].as_ptr();
                    for first in (0..tiles).step_by(shape.rows) {
                        let valid = shape.rows.min(tiles - first);
                        let a = &transformed[position * inputs.position + first * inputs.stride + start..];
                        let c = position * products.position + first * products.stride + first_column;
                        let block = Block {
                            a: std::array::from_fn::<_, MAX_ROWS, _>(|r| {
                                a[r.min(valid - 1) * inputs.stride..].as_ptr()
                            }),
                            a_step: 1,
                            a_run: 0,
                            b,
                            b_step: shape.columns,
                            b_run: 0,
                            run_len: piece.min(channels - start),
                            runs: 1,
                            c: sums[c..].as_mut_ptr(),
                            c_stride: products.stride,
                            rows: valid,
                            columns: shape.columns.min(columns - first_column),
                            add: self.index > 0 || start > 0,
                        };
                        // SAFETY: grids have a row for each tile, panels one for each channel of each source.
                        unsafe { tile(simd, *shape, &block) };
                    }
                }
            }
        }
    }
}

/// From the products to pixels.
struct OutputTask<'a> {
    correlation: &'a Correlation,
    /// The rows of tiles of this pass, counted through all images of the task.
    rows: Range<usize>,
    products: Grid,
    sums: &'a [f32],
    finish: Finish<'a>,
    output: &'a mut [f32],
}

impl WithSimd for OutputTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.correlation.tiling.step == 4 { self.sized::<S, 4>(simd) } else { self.sized::<S, 2>(simd) }
    }
}

impl OutputTask<'_> {
    #[inline(always)]
    fn sized<S: Simd, const N: usize>(self, simd: S) {
        let Correlation { tiling, height, width, columns, .. } = *self.correlation;
        assert!(columns % S::F32_LANES == 0 && self.products.stride >= columns);
        let zero = simd.splat_f32s(0.0);
        let (bias, activation, add) = match self.finish {
            Finish::Write(Some((bias, activation))) => (Some(bias), activation, false),
            Finish::Write(None) => (None, None, false),
            Finish::Add => (None, None, true),
        };
        for (index, row) in self.rows.enumerate() {
            let output = &mut self.output[row / tiling.rows * height * width * columns..];
            for tile in 0..tiling.columns {
                let (top, left) = (row % tiling.rows * N, tile * N);
                let sums = &self.sums[(index * tiling.columns + tile) * self.products.stride..];
                assert!(sums.len() >= (POSITIONS - 1) * self.products.position + columns);
                for column in (0..columns).step_by(S::F32_LANES) {
                    let from = sums[column..].as_ptr();
                    // SAFETY: the assertion: there are `columns` sums for every position.
                    let points =
                        unsafe { load::<S, SIDE>(simd, from, SIDE * self.products.position, self.products.position) };
                    let pixels: [[S::f32s; N]; N] = both(
                        simd,
                        points,
                        #[inline(always)]
                        |x| combine(simd, x),
                    );
                    let bias = match bias {
                        Some(bias) => S::as_simd_f32s(&bias[column..]).0[0],
                        None => zero,
                    };
                    for (y, line) in pixels.iter().enumerate().take(height - top) {
                        for (x, &pixel) in line.iter().enumerate().take(width - left) {
                            let sum = simd.add_f32s(pixel, bias);
                            // A NaN stays, as in `activation`.
                            let sum = match activation {
                                Some(Activation::Relu) => {
                                    let negative = simd.less_than_f32s(sum, zero);
                                    simd.select_f32s(negative, zero, sum)
                                }
                                _ => sum,
                            };
                            let to = ((top + y) * width + left + x) * columns + column;
                            let target = &mut S::as_mut_simd_f32s(&mut output[to..]).0[0];
                            *target = if add { simd.add_f32s(*target, sum) } else { sum };
                        }
                    }
                }
            }
        }
    }
}

/// The forward pass, if its shape is one for Winograd.
pub(super) fn forward(
    tools: &Tools,
    memory: &Memory,
    prepared: &mut Prepared,
    op: &ConvForward,
    tiling: Tiling,
    images: usize,
) {
    let shape = &op.shape;
    let extent = (shape.out_height, shape.out_width);
    let correlation = Correlation::new(tools, tiling, Padding::of_windows(shape), extent, shape.filters, images);
    let len = correlation.weights_len(op.towers[0].inputs.len());
    let weights = prepared.of(op, len * op.towers.len(), |target| {
        for (tower, target) in op.towers.iter().zip(target.chunks_exact_mut(len)) {
            let weights: SmallVec<[&[f32]; 8]> =
                // SAFETY: the operation passed its check; weights are only read.
                tower.weights.iter().map(|&span| unsafe { memory.slice(span, span.len) }).collect();
            correlation.transform(tools, &weights, target);
        }
    });
    let chunks = images.div_ceil(correlation.images);
    let work = |task: usize| {
        let (index, first) = (task / chunks, task % chunks * correlation.images);
        let tower = &op.towers[index];
        // SAFETY: inputs and bias are only read.
        let input = |&span| unsafe { memory.slice(span, images * shape.input_len()) };
        let sources: SmallVec<[&[f32]; 8]> = tower.inputs.iter().map(input).collect();
        let part = first * shape.output_len()..images.min(first + correlation.images) * shape.output_len();
        // SAFETY: as above; these images of the output are this task's, and it overlaps no other operand.
        let (bias, output) = unsafe { (memory.slice(tower.bias, shape.filters), memory.part_mut(tower.output, part)) };
        let weights = &weights[index * len..][..len];
        // The tile writes ReLU at once; anything else goes over what was written.
        correlation.run(tools, (&sources, first), weights, Finish::Write(Some((bias, op.activation))), output);
        if let Some(Activation::Tanh { .. }) = op.activation {
            super::activation::apply(op.activation, output);
        }
    };
    tools.threads.install(|| (0..op.towers.len() * chunks).into_par_iter().with_max_len(1).for_each(work));
}

/// The input gradient, if its shape is one for Winograd.
pub(super) fn input_grad(
    tools: &Tools,
    memory: &Memory,
    scratch: &mut Floats,
    op: &ConvInputGrad,
    tiling: Tiling,
    images: usize,
) {
    let shape = &op.shape;
    let ConvShape { in_height, in_width, channels, filters, size, .. } = *shape;
    let padding = Padding::of_turned_windows(shape);
    let correlation = Correlation::new(tools, tiling, padding, (in_height, in_width), channels, images);
    let len = correlation.weights_len(1);
    for source in &op.sources {
        let turned_len = shape.weight_len();
        scratch.grow(turned_len + len * source.weights.len());
        let (turned, scratch) = scratch.split_at_mut(turned_len);
        for (&span, target) in source.weights.iter().zip(scratch.chunks_exact_mut(len)) {
            // SAFETY: the operation passed its check; weights are only read.
            let weights = unsafe { memory.slice(span, span.len) };
            turn(tools, weights, (size * size, channels, filters), turned);
            correlation.transform(tools, &[turned], target);
        }
        // SAFETY: the gradient of the input overlaps no other operand.
        let d_input = unsafe { memory.slice_mut(source.d_input, images * shape.input_len()) };
        let work = |(chunk, output): (usize, &mut [f32])| {
            for (consumer, &span) in source.d_outputs.iter().enumerate() {
                // SAFETY: gradients of outputs are only read.
                let d_output = unsafe { memory.slice(span, images * shape.output_len()) };
                let weights = &scratch[consumer * len..][..len];
                let finish = if consumer == 0 { Finish::Write(None) } else { Finish::Add };
                correlation.run(tools, (&[d_output], chunk * correlation.images), weights, finish, output);
            }
        };
        let chunks = d_input.par_chunks_mut(correlation.images * shape.input_len());
        tools.threads.install(|| chunks.enumerate().with_max_len(1).for_each(work));
    }
}
