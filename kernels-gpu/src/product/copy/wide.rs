//! Copies of four floats.

use super::{Copy, OUTSIDE, Tap, Window, Windows};
use crate::arch::{copy_async, thread};
use crate::product::layout::{TermsFirst, TermsLast};
use crate::product::{Product, THREADS, TILE_K, Tile};

/// Pieces of four terms in a row of a tile.
const PIECES: u32 = TILE_K / 4;
/// Rows that all threads together copy at once.
const ROWS: u32 = THREADS / PIECES;

/// Rows of a left tile whose rows are no windows.
const TILE_M: u32 = Tile::Wide.rows();

/// A left operand with a window in each row of a tile of `M`, 32 or 128, whose terms are taps and channels.
pub struct Pixels<const M: u32> {
    windows: Windows,
    k: u32,
    rows: [Window; 4],
}

impl<const M: u32> Pixels<M> {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub fn new(windows: Windows, product: Product, row: u32) -> Self {
        let row = row + thread() / PIECES;
        let mut rows = [Window::NONE; 4];
        unroll!(I in 4 {
            if ROWS * (I as u32) < M {
                rows[I] = Window::new::<false>(&windows, product, row + ROWS * I as u32);
            }
        });
        Pixels { windows, k: product.k, rows }
    }
}

impl<const M: u32> Copy for Pixels<M> {
    type Layout = TermsLast;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        let Windows { height, width, channels, .. } = self.windows;
        let k = k + thread() % PIECES * 4;
        let (tap, channel) = self.windows.by_channels.divide(k);
        let (tap_y, tap_x) = self.windows.by_size.divide(tap);
        let tap_y = if k < self.k { tap_y } else { OUTSIDE };
        let ahead = (tap_y.wrapping_mul(width).wrapping_add(tap_x)).wrapping_mul(channels).wrapping_add(channel);
        let to = to + thread() / PIECES * TermsLast::PITCH + thread() % PIECES * 16;
        unroll!(I in 4 {
            if ROWS * (I as u32) < M {
                let row = self.rows[I];
                let inside = (row.y.wrapping_add(tap_y) < height) & (row.x.wrapping_add(tap_x) < width);
                let from = from.wrapping_add(row.base.wrapping_add(ahead) as usize);
                // SAFETY: four channels of a pixel inside of the image, for a term inside of the filter; the place in
                // the tile is this thread's alone.
                unsafe { copy_async(to + ROWS * TermsLast::PITCH * I as u32, from.cast(), inside) };
            }
        });
    }
}

/// A left operand with a tap and channel in each row, whose terms are windows.
pub struct Taps {
    windows: Windows,
    k: u32,
    tap: Tap,
}

impl Taps {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub fn new(windows: Windows, product: Product, row: u32) -> Taps {
        Taps { windows, k: product.k, tap: Tap::new(&windows, product, row + thread() % (TILE_M / 4) * 4) }
    }
}

impl Copy for Taps {
    type Layout = TermsFirst;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        /// Terms that all threads together copy at once.
        const TERMS: u32 = THREADS / (TILE_M / 4);
        let Windows { by_columns, by_rows, .. } = self.windows;
        let term = thread() / (TILE_M / 4);
        let to = to + term * TermsFirst::pitch(TILE_M) + thread() % (TILE_M / 4) * 16;
        unroll!(I in 4 {
            let k = k + term + TERMS * I as u32;
            let (rest, column) = by_columns.divide(k);
            let (image, row) = by_rows.divide(rest);
            let (place, inside) = self.tap.seen(&self.windows, image, row, column);
            let (from, inside) = (from.wrapping_add(place as usize), inside & (k < self.k));
            // SAFETY: four channels of a pixel inside of an image of the batch; the place in the tile is this thread's
            // alone.
            unsafe { copy_async(to + TERMS * TermsFirst::pitch(TILE_M) * I as u32, from.cast(), inside) };
        });
    }
}

/// A right operand that lies in memory as it is, `k` rows of `n`.
pub struct Rows<const N: u32> {
    n: u32,
    k: u32,
    column: u32,
}

impl<const N: u32> Rows<N> {
    /// For the tile whose first column is `column`.
    #[inline(always)]
    pub fn new(product: Product, column: u32) -> Self {
        Rows { n: product.n, k: product.k, column: column + thread() % 16 * 4 }
    }
}

impl<const N: u32> Copy for Rows<N> {
    type Layout = TermsFirst;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        let (term, piece) = (thread() / 16, thread() % 16);
        let to = to + term * TermsFirst::pitch(N) + piece * 16;
        unroll!(I in 2 {
            if piece < N / 4 {
                let k = k + term + 8 * I as u32;
                let from = from.wrapping_add(k.wrapping_mul(self.n).wrapping_add(self.column) as usize);
                let inside = (k < self.k) & (self.column < self.n);
                // SAFETY: inside of the matrix where it is wanted; the place in the tile is this thread's alone.
                unsafe { copy_async(to + 8 * TermsFirst::pitch(N) * I as u32, from.cast(), inside) };
            }
        });
    }
}
