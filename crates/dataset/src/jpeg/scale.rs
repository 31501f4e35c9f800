//! From planes to pixels of another size.
//!
//! Planes are scaled before they become colours, each from its own resolution: that is half the work of scaling
//! colours, and colours of what lies outside the cut are never made. Samples at half the resolution lie in the
//! middle of those that they stand for, so places are halved, too.
//!
//! A plane comes column by column, so that the first pass, along rows, is sums of whole columns; then it is turned,
//! and the second pass is sums of whole rows. Sums are f32 and are rounded once, as colours. The result is made in
//! strips, whose buffers stay in the second cache.

use std::array;
use std::ops::Range;

use super::decode::{Jpeg, Plane};
use super::idct::nearest;
use crate::decode::cut;

/// Columns of the result that are made together.
const STRIP: usize = 64;
/// Lines that are added up have a multiple of as many values.
pub(super) const LINE: usize = 32;
/// Columns and rows are turned in squares of as many.
const SQUARE: usize = 8;

impl Jpeg<'_> {
    /// The picture with its shorter side scaled to `side` and the centre cut out, as `side x side` RGB; nothing if
    /// the data is damaged.
    ///
    /// # Panics
    /// If `rgb` has another length.
    pub(crate) fn scale_and_cut(&self, side: usize, rgb: &mut [u8]) -> Option<()> {
        assert!(side > 0 && rgb.len() == side * side * 3, "rgb has {} bytes for side {side}", rgb.len());
        let shorter = self.width().min(self.height());
        let (left, columns) = cut(self.width(), shorter, side);
        let (top, rows) = cut(self.height(), shorter, side);
        let planes = self.planes(reach(left, columns, side, self.width()), reach(top, rows, side, self.height()))?;
        let mut sources: Vec<Source> = Vec::with_capacity(planes.len());
        for plane in planes {
            let (across, down) = match sources.last() {
                Some(before) if before.plane.is_like(&plane) => (before.across.clone(), before.down.clone()),
                _ => {
                    let (x, y) = (1.0 / plane.across as f64, 1.0 / plane.down as f64);
                    let across = Filter::new(left * x, columns * x, side, plane.left..plane.width);
                    let down = Filter::new(top * y, rows * y, side, plane.top..plane.height);
                    (across, down)
                }
            };
            sources.push(Source { plane, across, down });
        }
        pulp::Arch::new().dispatch(Scale { sources: &sources, side, rgb });
        Some(())
    }
}

/// The source pixels that the filter reads when `length` of them from `start` become `side`, also where colours have
/// half the resolution.
fn reach(start: f64, length: f64, side: usize, all: usize) -> Range<usize> {
    let radius = (length / side as f64).max(2.0);
    let (from, to) = ((start - radius).floor(), (start + length + radius).ceil());
    from.max(0.0) as usize..(to as usize).min(all)
}

/// A plane and the filters that scale it.
struct Source {
    plane: Plane,
    across: Filter,
    down: Filter,
}

/// The triangle filter, widened by the scale when shrinking, along one dimension.
#[derive(Clone)]
struct Filter {
    /// For each result the first sample that it is a weighted sum of, counted in what is stored of the plane.
    first: Vec<usize>,
    /// Samples in a sum.
    taps: usize,
    /// As many weights for each result.
    weights: Vec<f32>,
}

impl Filter {
    /// For `side` results from the `length` samples of a plane from `start`, of which those in `stored` are there.
    fn new(start: f64, length: f64, side: usize, stored: Range<usize>) -> Filter {
        let scale = length / side as f64;
        let radius = scale.max(1.0);
        let taps = 2 * radius.ceil() as usize + 1;
        let mut filter = Filter { first: Vec::with_capacity(side), taps, weights: vec![0.0; side * taps] };
        for (at, weights) in filter.weights.chunks_exact_mut(taps).enumerate() {
            let centre = start + (at as f64 + 0.5) * scale;
            let from = ((centre - radius).floor() as usize).max(stored.start);
            let to = ((centre + radius).ceil() as usize).min(stored.end);
            let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - centre) / radius).abs()).max(0.0);
            let factor = 1.0 / (from..to).map(weight).sum::<f64>();
            weights.iter_mut().zip(from..to).for_each(|(to, i)| *to = (weight(i) * factor) as f32);
            filter.first.push(from - stored.start);
        }
        filter
    }

    /// Weighted sums of the lines of `length` values that `source` has: a line for each result in `part`.
    #[inline(always)]
    fn apply<T: Copy + Into<f32>>(&self, part: Range<usize>, source: &[T], length: usize, results: &mut [f32]) {
        let weights = self.weights.chunks_exact(self.taps);
        let sums = self.first.iter().zip(weights).skip(part.start).take(part.len());
        for ((first, weights), result) in sums.zip(results.chunks_exact_mut(length)) {
            let source = &source[first * length..];
            for (i, result) in result.as_chunks_mut::<LINE>().0.iter_mut().enumerate() {
                let mut sums = [0.0; LINE];
                for (line, &weight) in source.chunks_exact(length).zip(weights) {
                    let values = &line.as_chunks::<LINE>().0[i];
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum += weight * value.into();
                    }
                }
                *result = sums;
            }
        }
    }
}

/// Scaling planes of grey, or of Y, Cb and Cr, into RGB, to be compiled for the processor at hand.
struct Scale<'a> {
    sources: &'a [Source],
    side: usize,
    rgb: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Scale { sources, side, rgb } = self;
        let most = sources[0].plane.stride;
        let mut columns = vec![0.0; most * STRIP];
        let mut rows = vec![0.0; most * STRIP];
        let mut scaled = vec![vec![0.0; side * STRIP]; sources.len()];
        for left in (0..side).step_by(STRIP) {
            let width = STRIP.min(side - left);
            for (Source { plane, across, down }, scaled) in sources.iter().zip(&mut scaled) {
                across.apply(left..left + width, &plane.samples, plane.stride, &mut columns);
                turn(&columns, plane.stride, &mut rows);
                down.apply(0..side, &rows, STRIP, scaled);
            }
            for (y, row) in rgb.chunks_exact_mut(side * 3).enumerate() {
                let line = |plane: usize| &scaled[plane].as_chunks::<STRIP>().0[y];
                let colours = match sources.len() {
                    3 => colours(line(0), line(1), line(2)),
                    _ => [line(0).map(nearest); 3],
                };
                for (i, pixel) in row[left * 3..][..width * 3].as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    *pixel = [colours[0][i], colours[1][i], colours[2][i]];
                }
            }
        }
    }
}

/// Turns columns of `length` values into rows of a strip.
#[inline(always)]
fn turn(columns: &[f32], length: usize, rows: &mut [f32]) {
    let rows = rows.as_chunks_mut::<STRIP>().0;
    for (x, columns) in columns[..STRIP * length].chunks_exact(SQUARE * length).enumerate() {
        let columns: [&[[f32; SQUARE]]; SQUARE] = array::from_fn(|i| columns[i * length..][..length].as_chunks().0);
        for (y, rows) in rows[..length].as_chunks_mut::<SQUARE>().0.iter_mut().enumerate() {
            let square: [[f32; SQUARE]; SQUARE] = array::from_fn(|i| columns[i][y]);
            for (i, row) in rows.iter_mut().enumerate() {
                row.as_chunks_mut::<SQUARE>().0[x] = array::from_fn(|j| square[j][i]);
            }
        }
    }
}

/// Red, green and blue of Y, Cb and Cr.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "one index for six arrays")]
fn colours(luma: &[f32; STRIP], blue: &[f32; STRIP], red: &[f32; STRIP]) -> [[u8; STRIP]; 3] {
    let mut colours = [[0; STRIP]; 3];
    let [r, g, b] = &mut colours;
    for i in 0..STRIP {
        let (y, cb, cr) = (luma[i], blue[i] - 128.0, red[i] - 128.0);
        r[i] = nearest(y + 1.402 * cr);
        g[i] = nearest(y - 0.344_136_3 * cb - 0.714_136_3 * cr);
        b[i] = nearest(y + 1.772 * cb);
    }
    colours
}
