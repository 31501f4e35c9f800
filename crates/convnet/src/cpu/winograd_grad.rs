//! The weight gradient of a convolution by Winograd: `winograd` has the algorithm.
//!
//! The tiles of the padded input and those of the gradient of the output are transformed; position by position the
//! products are summed over tiles, `d_filter[channel, filter] += sum over tiles of input[tile, channel] *
//! d_output[tile, filter]`; at the end of the group of images the sums are combined to filters.
//!
//! Order of sums: tiles row by row and image by image, in blocks of whole rows of at most [`PASS_TILES`].

use pulp::{Simd, WithSimd};

use super::Tools;
use super::pad::{Padding, with_buffer};
use super::tile::{Block, MAX_ROWS, TileShape, tile};
use super::winograd::{
    Grid, POSITIONS, SIDE, Tiles, Tiling, both, combine, data, evaluate, factor, load, transform_tiles,
};
use crate::ops::ConvShape;

/// Tiles of a block of a sum at most: the columns that a register tile reads stay in the first cache.
const PASS_TILES: usize = 128;

/// The tile of `B` may read so many floats behind the last row.
const SLACK: usize = 64;

/// Sums the gradient of the weights by which a tower reads one source over `count` images.
pub(super) fn weight_grad(
    tools: &Tools,
    shape: &ConvShape,
    tiling: &Tiling,
    (input, d_output, count): (&[f32], &[f32], usize),
    d_weight: &mut [f32],
) {
    let input_padding = Padding { height: tiling.height(), width: tiling.width(), ..Padding::of_windows(shape) };
    let output_padding = Padding {
        in_height: shape.out_height,
        in_width: shape.out_width,
        channels: shape.filters,
        height: tiling.rows * tiling.step,
        width: tiling.columns * tiling.step,
        before: 0,
        spread: 1,
    };
    let pass = (PASS_TILES / tiling.columns).clamp(1, count * tiling.rows);
    let grids = [shape.channels, shape.filters].map(|width| Grid::new(pass * tiling.columns, width));
    let lens = [input_padding.buffer_len(count), output_padding.buffer_len(count)];
    let sums_len = POSITIONS * shape.channels * shape.filters;
    with_buffer(lens[0] + lens[1] + grids[0].len() + grids[1].len() + SLACK + sums_len, |buffer| {
        let (input_buffer, rest) = buffer.split_at_mut(lens[0]);
        let (output_buffer, rest) = rest.split_at_mut(lens[1]);
        let (inputs, rest) = rest.split_at_mut(grids[0].len());
        let (outputs, sums) = rest.split_at_mut(grids[1].len() + SLACK);
        let input = Tiles { images: input_padding.images(count, input, input_buffer), padding: input_padding };
        let d_output = Tiles { images: output_padding.images(count, d_output, output_buffer), padding: output_padding };
        let task = Task {
            tiling,
            tile: tools.kernel.shape(shape.filters),
            channels: shape.channels,
            filters: shape.filters,
            sources: [input, d_output],
            grids,
            transformed: [inputs, outputs],
            rows: count * tiling.rows,
            pass,
            sums,
            d_weight,
        };
        tools.kernel.run(task);
    });
}

struct Task<'a> {
    tiling: &'a Tiling,
    tile: TileShape,
    channels: usize,
    filters: usize,
    /// The input and the gradient of the output.
    sources: [Tiles<'a>; 2],
    grids: [Grid; 2],
    transformed: [&'a mut [f32]; 2],
    /// Rows of tiles of all images, and of a pass.
    rows: usize,
    pass: usize,
    /// `[position][channel][filter]`
    sums: &'a mut [f32],
    d_weight: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.tiling.size == 3 { self.sized::<S, 3, 4>(simd) } else { self.sized::<S, 5, 2>(simd) }
    }
}

impl Task<'_> {
    /// For filters of `SIZE` and tiles of `STEP` output pixels a side.
    #[inline(always)]
    fn sized<S: Simd, const SIZE: usize, const STEP: usize>(mut self, simd: S) {
        for first in (0..self.rows).step_by(self.pass) {
            let rows = first..self.rows.min(first + self.pass);
            let [inputs, outputs] = &mut self.transformed;
            let [input, d_output] = &self.sources;
            let target = (self.grids[0], &mut **inputs);
            transform_tiles(
                simd,
                self.tiling,
                input,
                rows.clone(),
                target,
                #[inline(always)]
                |d: [S::f32s; SIDE]| data(simd, d),
            );
            let target = (self.grids[1], &mut **outputs);
            transform_tiles(
                simd,
                self.tiling,
                d_output,
                rows.clone(),
                target,
                #[inline(always)]
                |g: [S::f32s; STEP]| evaluate(simd, g),
            );
            self.multiply(simd, rows.len() * self.tiling.columns, first > 0);
        }
        self.finish::<S, SIZE>(simd);
    }

    /// Adds the products of `tiles` tiles to the sums.
    #[inline(always)]
    fn multiply<S: Simd>(&mut self, simd: S, tiles: usize, add: bool) {
        let ([inputs, outputs], width) = (self.grids, self.tile.columns);
        for position in 0..POSITIONS {
            for first_filter in (0..self.filters).step_by(width) {
                for first in (0..self.channels).step_by(self.tile.rows) {
                    let valid = self.tile.rows.min(self.channels - first);
                    let a = &self.transformed[0][position * inputs.position + first..];
                    let b = &self.transformed[1][position * outputs.position + first_filter..];
                    let c = (position * self.channels + first) * self.filters + first_filter;
                    let block = Block {
                        a: std::array::from_fn::<_, MAX_ROWS, _>(|r| a[r.min(valid - 1)..].as_ptr()),
                        a_step: inputs.stride,
                        a_run: 0,
                        b: b.as_ptr(),
                        b_step: outputs.stride,
                        b_run: 0,
                        run_len: tiles,
                        runs: 1,
                        c: self.sums[c..].as_mut_ptr(),
                        c_stride: self.filters,
                        rows: valid,
                        columns: width.min(self.filters - first_filter),
                        add,
                    };
                    // SAFETY: grids have a row for each tile and room behind the last one; sums have a row for each
                    // channel.
                    unsafe { tile(simd, self.tile, &block) };
                }
            }
        }
    }

    /// From sums to the gradient.
    #[inline(always)]
    fn finish<S: Simd, const SIZE: usize>(self, simd: S) {
        let len = self.channels * self.filters;
        assert!(self.sums.len() >= POSITIONS * len && self.d_weight.len() >= SIZE * SIZE * len);
        for first in (0..len).step_by(S::F32_LANES) {
            // SAFETY: the assertion, and that a number of vectors makes up `len`.
            let mut points = unsafe { load::<S, SIDE>(simd, self.sums.as_ptr().add(first), SIDE * len, len) };
            for (y, line) in points.iter_mut().enumerate() {
                for (x, point) in line.iter_mut().enumerate() {
                    *point = simd.mul_f32s(*point, simd.splat_f32s(factor(y, x)));
                }
            }
            let filter: [[S::f32s; SIZE]; SIZE] = both(
                simd,
                points,
                #[inline(always)]
                |x| combine(simd, x),
            );
            for (y, line) in filter.iter().enumerate() {
                for (x, &value) in line.iter().enumerate() {
                    S::as_mut_simd_f32s(&mut self.d_weight[(y * SIZE + x) * len + first..]).0[0] = value;
                }
            }
        }
    }
}
