//! Winograd's minimal filtering, for convolutions of 3x3 and 5x5 at stride 1: fewer multiply-adds for the same sums.
//!
//! # Algorithm
//! An output of `step` x `step` pixels of a filter of `size` x `size` needs `step + size - 1 = 6` input pixels a side,
//! and is a product of polynomials in disguise: both factors are evaluated at six points, multiplied point by point,
//! and the product is interpolated.
//! ```text
//! output = combine(sum over channels of data(input) * evaluate(filter) / norms)      36 products a tile, not (step * size)^2
//! d_filter = combine(sum over tiles of data(input) * evaluate(d_output)) / norms     the same with roles changed
//! ```
//! So 3x3 filters give 4x4 outputs (4 times fewer products) and 5x5 filters 2x2 outputs (2.8 times fewer), with one
//! set of transforms. For each of the 36 positions the sum is a matrix product over all tiles.
//!
//! # Accuracy
//! The points are 0, +-3/4, +-3/2 and infinity rather than the usual +-1, +-2: every factor of `data` is then exact in
//! f32, and the rounding error is half as large. Measured against f64, relative L2 error of conv3's forward pass:
//! see ARCHITECTURE.md.

use std::ops::Range;

use pulp::Simd;

use super::pad::Padding;
use crate::ops::ConvShape;

/// Points, and pixels along the side of a tile of the input.
pub(super) const SIDE: usize = 6;
/// Products of a tile.
pub(super) const POSITIONS: usize = SIDE * SIDE;
/// Channels and filters come in multiples of this many floats: the widest vector, a cache line.
const LINE: usize = 16;

/// The points +-A and +-B; the others are 0 and infinity.
const A: f32 = 0.75;
const B: f32 = 1.5;

/// `evaluate`'s results have to be divided by these.
const NORMS: [f32; SIDE] = {
    let (a, b) = (A * A, B * B);
    [a * b, 2.0 * a * (a - b), 2.0 * a * (a - b), 2.0 * b * (b - a), 2.0 * b * (b - a), 1.0]
};

/// What the product of position `(row, column)` has to be multiplied by.
#[inline(always)]
pub(super) fn factor(row: usize, column: usize) -> f32 {
    1.0 / (NORMS[row] * NORMS[column])
}

/// How an image is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// The side of a filter.
    pub size: usize,
    /// Output pixels along the side of a tile.
    pub step: usize,
    /// Tiles down an image.
    pub rows: usize,
    /// Tiles across an image.
    pub columns: usize,
}

impl Tiling {
    /// The tiles of an output of `height` x `width` pixels, if they save enough to pay for the transforms.
    pub(super) fn new(shape: &ConvShape, height: usize, width: usize) -> Option<Tiling> {
        let ConvShape { channels, filters, size, stride, .. } = *shape;
        let fits = stride == 1 && (size == 3 || size == 5) && channels % LINE == 0 && filters % LINE == 0;
        let step = (SIDE + 1).checked_sub(size).filter(|_| fits)?;
        let tiling = Tiling { size, step, rows: height.div_ceil(step), columns: width.div_ceil(step) };
        let saved = 1.0 - (tiling.tiles() * POSITIONS) as f64 / (height * width * size * size) as f64;
        (saved >= 0.4 && channels.min(filters) >= 2 * LINE).then_some(tiling)
    }

    /// Tiles of an image.
    pub(super) fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Rows of the input that the tiles cover.
    pub(super) fn height(&self) -> usize {
        self.rows * self.step + self.size - 1
    }

    /// Columns of the input that the tiles cover.
    pub(super) fn width(&self) -> usize {
        self.columns * self.step + self.size - 1
    }
}

/// A matrix for each position: `[POSITIONS][tiles][width]`, with gaps. Rows and matrices are an odd number of cache
/// lines apart, so that neither a column nor one element of all positions falls into a few sets of the first cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Floats between rows.
    pub stride: usize,
    /// Floats between positions.
    pub position: usize,
}

impl Grid {
    pub(super) fn new(tiles: usize, width: usize) -> Grid {
        let odd = |len: usize| (len.div_ceil(LINE) | 1) * LINE;
        let stride = odd(width);
        Grid { stride, position: odd(tiles * stride) }
    }

    /// Floats of all matrices.
    pub(super) fn len(&self) -> usize {
        POSITIONS * self.position
    }
}

/// `factor * x + y`.
#[inline(always)]
fn fma<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

/// `even + point * odd` and `even - point * odd`: a polynomial at both signs of a point.
#[inline(always)]
fn signs<S: Simd>(simd: S, point: f32, even: S::f32s, odd: S::f32s) -> (S::f32s, S::f32s) {
    (fma(simd, point, odd, even), fma(simd, -point, odd, even))
}

/// Six input pixels to the six points: the transpose of interpolation.
#[inline(always)]
pub(super) fn data<S: Simd>(simd: S, [d0, d1, d2, d3, d4, d5]: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let (a, b) = (A * A, B * B);
    let (plus_a, minus_a) = signs(simd, A, fma(simd, -b, d2, d4), fma(simd, -b, d1, d3));
    let (plus_b, minus_b) = signs(simd, B, fma(simd, -a, d2, d4), fma(simd, -a, d1, d3));
    let first = fma(simd, a * b, d0, fma(simd, -(a + b), d2, d4));
    let last = fma(simd, a * b, d1, fma(simd, -(a + b), d3, d5));
    [first, plus_a, minus_a, plus_b, minus_b, last]
}

/// The polynomial with coefficients `g` at the six points.
#[inline(always)]
pub(super) fn evaluate<S: Simd, const N: usize>(simd: S, g: [S::f32s; N]) -> [S::f32s; SIDE] {
    let (even_a, odd_a) = (every_second::<S, N>(simd, g, 0, A * A), every_second::<S, N>(simd, g, 1, A * A));
    let (even_b, odd_b) = (every_second::<S, N>(simd, g, 0, B * B), every_second::<S, N>(simd, g, 1, B * B));
    let (plus_a, minus_a) = signs(simd, A, even_a, odd_a);
    let (plus_b, minus_b) = signs(simd, B, even_b, odd_b);
    [g[0], plus_a, minus_a, plus_b, minus_b, g[N - 1]]
}

/// The polynomial in `square` whose coefficients are every second one of `g`, from the first or second on, by Horner.
#[inline(always)]
fn every_second<S: Simd, const N: usize>(simd: S, g: [S::f32s; N], first: usize, square: f32) -> S::f32s {
    let mut index = N - 1 - (N - 1 - first) % 2;
    let mut sum = g[index];
    while index > first {
        index -= 2;
        sum = fma(simd, square, sum, g[index]);
    }
    sum
}

/// The transpose of [`evaluate`]: from the points to `N` outputs.
#[inline(always)]
pub(super) fn combine<S: Simd, const N: usize>(simd: S, x: [S::f32s; SIDE]) -> [S::f32s; N] {
    let [x0, plus_a, minus_a, plus_b, minus_b, last] = x;
    let even = (simd.add_f32s(plus_a, minus_a), simd.add_f32s(plus_b, minus_b));
    let odd = (simd.sub_f32s(plus_a, minus_a), simd.sub_f32s(plus_b, minus_b));
    let mut outputs = [simd.add_f32s(x0, simd.add_f32s(even.0, even.1)); N];
    let (mut a_power, mut b_power) = (A, B);
    for (k, output) in outputs.iter_mut().enumerate().skip(1) {
        let (a, b) = if k % 2 == 0 { even } else { odd };
        *output = fma(simd, a_power, a, simd.mul_f32s(simd.splat_f32s(b_power), b));
        (a_power, b_power) = (a_power * A, b_power * B);
    }
    outputs[N - 1] = simd.add_f32s(outputs[N - 1], last);
    outputs
}

/// Applies `transform` along columns, then along rows. Only what is inlined gets the processor's instructions: closures
/// have to be `#[inline(always)]`.
#[inline(always)]
pub(super) fn both<S: Simd, const N: usize, const M: usize>(
    simd: S,
    values: [[S::f32s; N]; N],
    transform: impl Fn([S::f32s; N]) -> [S::f32s; M],
) -> [[S::f32s; M]; M] {
    let mut half = [[simd.splat_f32s(0.0); N]; M];
    for column in 0..N {
        let mut line = [simd.splat_f32s(0.0); N];
        for row in 0..N {
            line[row] = values[row][column];
        }
        for (half, value) in half.iter_mut().zip(transform(line)) {
            half[column] = value;
        }
    }
    let mut all = [[simd.splat_f32s(0.0); M]; M];
    for row in 0..M {
        all[row] = transform(half[row]);
    }
    all
}

/// `N` x `N` vectors, rows and columns so many floats apart.
///
/// # Safety
/// All of them may be read.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const N: usize>(
    simd: S,
    from: *const f32,
    row: usize,
    column: usize,
) -> [[S::f32s; N]; N] {
    let mut values = [[simd.splat_f32s(0.0); N]; N];
    for (y, line) in values.iter_mut().enumerate() {
        for (x, value) in line.iter_mut().enumerate() {
            // SAFETY: the caller's word; the vector may be unaligned.
            *value = unsafe { from.add(y * row + x * column).cast::<S::f32s>().read_unaligned() };
        }
    }
    values
}

/// Writes one vector per position, `distance` floats apart.
///
/// # Safety
/// All of them may be written.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(values: [[S::f32s; SIDE]; SIDE], to: *mut f32, distance: usize) {
    for (row, line) in values.iter().enumerate() {
        for (column, &value) in line.iter().enumerate() {
            // SAFETY: the caller's word; the vector may be unaligned.
            unsafe { to.add((row * SIDE + column) * distance).cast::<S::f32s>().write_unaligned(value) };
        }
    }
}

/// Padded images, at least as large as the tiles reach.
#[derive(Clone, Copy)]
pub(super) struct Tiles<'a> {
    /// As [`Padding::images`] gave them.
    pub images: &'a [f32],
    /// How they are padded.
    pub padding: Padding,
}

/// Transforms some rows of tiles, counted through all images, into a grid. `N` pixels a side are read of each tile.
#[inline(always)]
pub(super) fn transform_tiles<S: Simd, const N: usize>(
    simd: S,
    tiling: &Tiling,
    tiles: &Tiles,
    rows: Range<usize>,
    (grid, target): (Grid, &mut [f32]),
    transform: impl Fn([S::f32s; N]) -> [S::f32s; SIDE] + Copy,
) {
    let Padding { width, channels, .. } = tiles.padding;
    assert!(target.len() >= grid.len() && grid.position >= rows.len() * tiling.columns * grid.stride);
    assert!(grid.stride >= channels && channels % S::F32_LANES == 0);
    for (index, row) in rows.enumerate() {
        let top = row / tiling.rows * tiles.padding.stride() + row % tiling.rows * tiling.step * width * channels;
        let line = &tiles.images[top..];
        assert!(line.len() >= ((N - 1) * width + (tiling.columns - 1) * tiling.step + N) * channels);
        for column in 0..tiling.columns {
            let tile = index * tiling.columns + column;
            for channel in (0..channels).step_by(S::F32_LANES) {
                // SAFETY: the assertions: all tiles of the row lie inside `line`, each has a row in `target`.
                unsafe {
                    let from = line.as_ptr().add(column * tiling.step * channels + channel);
                    let values = both(simd, load::<S, N>(simd, from, width * channels, channels), transform);
                    store::<S>(values, target.as_mut_ptr().add(tile * grid.stride + channel), grid.position);
                }
            }
        }
    }
}
