//! Operands of a product on tensor cores: where an element lies in memory, and how a tile gets into shared memory.
//!
//! An operand is a function from row (or column) and term to a place. Where all extents and places are multiples of
//! [`CHUNK`], eight neighbours are in one place or all outside, and are copied in the background; otherwise elements
//! are read one by one, which is right for any shape and slow.

use super::{CHUNK, TILE};
use crate::arch::{copy_async, load_matrices, load_matrices_transposed, shared_store, thread};
use crate::product::Product;
use crate::product::copy::Windows;

/// An operand: `outer` counts rows of the left one, columns of the right one.
pub(super) trait Operand {
    /// Whether neighbouring terms are neighbours in memory; otherwise neighbouring rows or columns are.
    const TERMS_ARE_NEIGHBOURS: bool;

    /// The place of an element, and whether there is one: others are zero.
    fn at(&self, outer: u32, term: u32) -> (u32, bool);

    /// Starts the copies of a tile, which begins at `outer` and `term`.
    ///
    /// # Safety
    /// `from` points to the operand; `to` to a tile in the pool that no thread reads or writes before a barrier. With
    /// `chunked`, `from` is aligned to 16 bytes and extents are multiples of [`CHUNK`].
    #[inline(always)]
    unsafe fn start(&self, from: *const u16, to: u32, outer: u32, term: u32, chunked: bool) {
        unroll!(I in 4 {
            let (outer, term, to) = if Self::TERMS_ARE_NEIGHBOURS {
                let (chunk, row) = (thread() % 8, thread() / 8 + 32 * I as u32);
                (outer + row, term + CHUNK * chunk, to + row * 128 + ((chunk ^ (row % 8)) << 4))
            } else {
                let (chunk, row) = (thread() % 16, thread() / 16 + 16 * I as u32);
                (outer + CHUNK * chunk, term + row, to + row * (TILE * 2) + ((chunk ^ (row % 8)) << 4))
            };
            if chunked {
                let (offset, inside) = self.at(outer, term);
                // SAFETY: the caller's contract; every chunk of the tile is one thread's.
                unsafe { copy_async(to, from.wrapping_add(offset as usize), inside) };
            } else {
                let element = |i: u32| {
                    let (outer, term) =
                        if Self::TERMS_ARE_NEIGHBOURS { (outer, term + i) } else { (outer + i, term) };
                    let (offset, inside) = self.at(outer, term);
                    // SAFETY: there is an element where it is inside.
                    if inside { u32::from(unsafe { *from.add(offset as usize) }) } else { 0 }
                };
                let mut pair = 0;
                while pair < CHUNK / 2 {
                    let value = element(2 * pair) | element(2 * pair + 1) << 16;
                    // SAFETY: as above.
                    unsafe { shared_store(to + 4 * pair, value) };
                    pair += 1;
                }
            }
        });
    }

    /// Reads 16 rows or columns by 16 terms, as four matrices: lanes of the half `outer_half` or `term_half` give the
    /// address of the second eight.
    ///
    /// # Safety
    /// As [`load_matrices`].
    #[inline(always)]
    unsafe fn load(tile: u32, outer: u32, term: u32, outer_half: u32, term_half: u32) -> [u32; 4] {
        let row = thread() % 8;
        // SAFETY: the caller's contract; chunks lie where `start` puts them.
        unsafe {
            if Self::TERMS_ARE_NEIGHBOURS {
                let chunk = term / CHUNK + term_half;
                load_matrices(tile + (outer + 8 * outer_half + row) * 128 + ((chunk ^ row) << 4))
            } else {
                let chunk = outer / CHUNK + outer_half;
                load_matrices_transposed(tile + (term + 8 * term_half + row) * (TILE * 2) + ((chunk ^ row) << 4))
            }
        }
    }
}

/// The element of a window that a tap and channel see; `window` and `term` are inside of the product.
#[inline(always)]
fn pixel(windows: &Windows, window: u32, term: u32) -> (u32, bool) {
    /// Set in a number below zero.
    const SIGN: u32 = 1 << 31;
    let Windows { height, width, channels, stride, pad, .. } = *windows;
    let (rest, x) = windows.by_columns.divide(window);
    let (image, y) = windows.by_rows.divide(rest);
    let (tap, channel) = windows.by_channels.divide(term);
    let (tap_y, tap_x) = windows.by_size.divide(tap);
    let (y, x) = ((y * stride + tap_y).wrapping_sub(pad), (x * stride + tap_x).wrapping_sub(pad));
    let before = (y | x) & SIGN != 0;
    let ((y, y_rest), (x, x_rest)) = (windows.by_dilation.divide(y & !SIGN), windows.by_dilation.divide(x & !SIGN));
    let inside = !before && y_rest == 0 && x_rest == 0 && y < height && x < width;
    let pixel = (image * height).wrapping_add(y).wrapping_mul(width).wrapping_add(x);
    (pixel.wrapping_mul(channels).wrapping_add(channel), inside)
}

/// Rows are windows, terms are taps and channels.
pub(super) struct Pixels {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl Operand for Pixels {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let (place, inside) = pixel(&self.windows, outer, term);
        (place, inside && outer < self.product.m && term < self.product.k)
    }
}

/// Rows are taps and channels, terms are windows.
pub(super) struct Taps {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl Operand for Taps {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let (place, inside) = pixel(&self.windows, term, outer);
        (place, inside && outer < self.product.m && term < self.product.k)
    }
}

/// As it lies in memory, `k` rows of `n`.
pub(super) struct Rows {
    pub(super) product: Product,
}

impl Operand for Rows {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let Product { n, k, .. } = self.product;
        (term.wrapping_mul(n).wrapping_add(outer), outer < n && term < k)
    }
}

/// Weights `[taps, n, channels of the windows]`, whose terms are taps, last one first, and channels.
pub(super) struct Transposed {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl Operand for Transposed {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let Product { n, k, .. } = self.product;
        let (tap, channel) = self.windows.by_channels.divide(term);
        let row = self.windows.taps.wrapping_sub(1 + tap).wrapping_mul(n).wrapping_add(outer);
        (row.wrapping_mul(self.windows.channels).wrapping_add(channel), outer < n && term < k)
    }
}
