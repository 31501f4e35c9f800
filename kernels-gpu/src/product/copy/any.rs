//! Copies of single floats.

use super::{Copy, Tap, Window, Windows};
use crate::arch::{copy_float_async, thread};
use crate::product::layout::{TermsFirst, TermsLast};
use crate::product::{Product, THREADS, TILE_K, Tile};

/// Rows of a left tile.
const TILE_M: u32 = Tile::Narrow.rows();
/// Rows that all threads together copy at once, with a term for each thread.
const ROWS: u32 = THREADS / TILE_K;

/// A left operand with a window in each row, whose terms are taps and channels: consecutive terms, and so floats,
/// go to consecutive threads.
pub struct Pixels<const DILATED: bool> {
    windows: Windows,
    k: u32,
    rows: [Window; (TILE_M / ROWS) as usize],
}

impl<const DILATED: bool> Pixels<DILATED> {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub fn new(windows: Windows, product: Product, row: u32) -> Self {
        let row = row + thread() / TILE_K;
        let mut rows = [Window::NONE; (TILE_M / ROWS) as usize];
        unroll!(I in 16 {
            rows[I] = Window::new::<DILATED>(&windows, product, row + ROWS * I as u32);
        });
        Pixels { windows, k: product.k, rows }
    }
}

impl<const DILATED: bool> Copy for Pixels<DILATED> {
    type Layout = TermsLast;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        let Windows { height, width, channels, by_dilation, .. } = self.windows;
        let k = k + thread() % TILE_K;
        let (tap, channel) = self.windows.by_channels.divide(k);
        let (tap_y, tap_x) = self.windows.by_size.divide(tap);
        let to = to + thread() / TILE_K * TermsLast::PITCH + thread() % TILE_K * 4;
        let ahead = (tap_y * width + tap_x) * channels + channel;
        unroll!(I in 16 {
            let row = self.rows[I];
            let (y, x) = (row.y.wrapping_add(tap_y), row.x.wrapping_add(tap_x));
            let (ahead, inside) = if DILATED {
                let pixel = (y | x) & SIGN == 0;
                let ((y, y_rest), (x, x_rest)) = (by_dilation.divide(y & !SIGN), by_dilation.divide(x & !SIGN));
                let ahead = y.wrapping_mul(width).wrapping_add(x).wrapping_mul(channels).wrapping_add(channel);
                (ahead, pixel & (y_rest == 0) & (x_rest == 0) & (y < height) & (x < width))
            } else {
                (ahead, (y < height) & (x < width))
            };
            let from = from.wrapping_add(row.base.wrapping_add(ahead) as usize);
            // SAFETY: a pixel inside of the image, and a term inside of the filter; the place in the tile is this
            // thread's alone.
            unsafe { copy_float_async(to + ROWS * TermsLast::PITCH * I as u32, from, inside & (k < self.k)) };
        });
    }
}

/// Set in a number below zero.
const SIGN: u32 = 1 << 31;

/// A left operand with a tap and channel in each row, whose terms are windows: consecutive rows, and so floats, go
/// to consecutive threads.
pub struct Taps {
    windows: Windows,
    k: u32,
    tap: Tap,
}

impl Taps {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub fn new(windows: Windows, product: Product, row: u32) -> Taps {
        Taps { windows, k: product.k, tap: Tap::new(&windows, product, row + thread()) }
    }
}

impl Copy for Taps {
    type Layout = TermsFirst;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        let Windows { by_columns, by_rows, .. } = self.windows;
        let (rest, mut column) = by_columns.divide(k);
        let (mut image, mut row) = by_rows.divide(rest);
        let to = to + thread() * 4;
        unroll!(I in 16 {
            if I > 0 {
                column += 1;
                if column == by_columns.divisor() {
                    column = 0;
                    row += 1;
                }
                if row == by_rows.divisor() {
                    row = 0;
                    image += 1;
                }
            }
            let (place, inside) = self.tap.seen(&self.windows, image, row, column);
            let (from, inside) = (from.wrapping_add(place as usize), inside & (k + (I as u32) < self.k));
            // SAFETY: a pixel inside of an image of the batch; the place in the tile is this thread's alone.
            unsafe { copy_float_async(to + TermsFirst::pitch(TILE_M) * I as u32, from, inside) };
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
        Rows { n: product.n, k: product.k, column: column + thread() % 16 }
    }
}

impl<const N: u32> Copy for Rows<N> {
    type Layout = TermsFirst;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        unroll!(T in 2 {
            let term = thread() / 16 + 8 * T as u32;
            let from = from.wrapping_add((k + term).wrapping_mul(self.n).wrapping_add(self.column) as usize);
            let to = to + term * TermsFirst::pitch(N) + thread() % 16 * 4;
            unroll!(I in 4 {
                let own = 16 * I as u32;
                if own < N {
                    let inside = (k + term < self.k) & (self.column + own < self.n);
                    // SAFETY: inside of the matrix where it is wanted; the place in the tile is this thread's alone.
                    unsafe { copy_float_async(to + own * 4, from.wrapping_add(own as usize), inside) };
                }
            });
        });
    }
}

/// A right operand whose terms are taps, last one first, and filters, of weights `[taps, n, filters]`: consecutive
/// terms go to consecutive threads.
pub struct Transposed<const N: u32> {
    windows: Windows,
    n: u32,
    k: u32,
    column: u32,
}

impl<const N: u32> Transposed<N> {
    /// For the tile whose first column is `column`.
    #[inline(always)]
    pub fn new(windows: Windows, product: Product, column: u32) -> Self {
        Transposed { windows, n: product.n, k: product.k, column: column + thread() / TILE_K }
    }
}

impl<const N: u32> Copy for Transposed<N> {
    type Layout = TermsFirst;

    #[inline(always)]
    unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
        let k = k + thread() % TILE_K;
        let (tap, filter) = self.windows.by_channels.divide(k);
        let row = self.windows.taps.wrapping_sub(1 + tap).wrapping_mul(self.n).wrapping_add(self.column);
        let to = to + thread() % TILE_K * TermsFirst::pitch(N) + thread() / TILE_K * 4;
        unroll!(I in 8 {
            let own = ROWS * I as u32;
            if own < N {
                let place = row.wrapping_add(own).wrapping_mul(self.windows.channels).wrapping_add(filter);
                let inside = (k < self.k) & (self.column + own < self.n);
                // SAFETY: inside of the weights where it is wanted; the place in the tile is this thread's alone.
                unsafe { copy_float_async(to + own * 4, from.wrapping_add(place as usize), inside) };
            }
        });
    }
}
