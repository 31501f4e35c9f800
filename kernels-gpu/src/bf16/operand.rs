//! Operands of a product on tensor cores: where an element lies in memory, and how a tile gets into shared memory.
//!
//! An operand is a function from row (or column) and term to a place. Where all extents and places are multiples of
//! [`CHUNK`], eight neighbours are in one place or all outside, and are copied in the background, by operands that
//! know which part of a place stays the same from step to step. Any other shape goes through [`Elements`], one by one.

use super::{CHUNK, MAX_SIZE, THREADS, TILE_K};
use crate::arch::{copy_async, copy_async_if, load_matrices, load_matrices_transposed, shared_store, thread};
use crate::product::Product;
use crate::product::copy::{Tap, Window, Windows};

/// Rows of a left tile, or columns of a right one.
pub(super) trait Extent {
    /// How many: a multiple of 16.
    const OUTER: u32;
    /// Chunks of a row, where a tile has a row for each term.
    const CHUNKS: u32 = Self::OUTER / CHUNK;
}

/// The byte of a chunk in a tile with a row of [`TILE_K`] terms for each row or column.
#[inline(always)]
const fn place_of_terms(row: u32, chunk: u32) -> u32 {
    row * (TILE_K * 2) + ((chunk ^ (row / 2 % 4)) << 4)
}

/// The byte of a chunk in a tile with a row for each term: rows eight apart begin in the same banks, others where
/// their length says.
#[inline(always)]
const fn place_of_outers<E: Extent>(term: u32, chunk: u32) -> u32 {
    let permuted = match E::CHUNKS % 8 {
        0 => chunk ^ (term % 8),
        4 => chunk ^ (term / 2 % 4),
        _ => chunk ^ (term / 4 % 2),
    };
    (term * E::CHUNKS + permuted) << 4
}

/// An operand: `outer` counts rows of the left one, columns of the right one.
pub(super) trait Operand {
    /// Whether neighbouring terms are neighbours in memory; otherwise neighbouring rows or columns are.
    const TERMS_ARE_NEIGHBOURS: bool;

    /// Starts the copies of the tile whose first term is `term`.
    ///
    /// # Safety
    /// `from` points to the operand; `to` to a tile in the pool that no thread reads or writes before a barrier. Where
    /// chunks are copied, `from` is aligned to 16 bytes and extents are multiples of [`CHUNK`].
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32);

    /// Reads 16 rows or columns by 16 terms, as four matrices: lanes of the half `outer_half` or `term_half` give the
    /// address of the second eight.
    ///
    /// # Safety
    /// As [`load_matrices`].
    #[inline(always)]
    unsafe fn load<E: Extent>(tile: u32, outer: u32, term: u32, outer_half: u32, term_half: u32) -> [u32; 4] {
        let row = thread() % 8;
        // SAFETY: the caller's contract; chunks lie where `start` puts them.
        unsafe {
            if Self::TERMS_ARE_NEIGHBOURS {
                load_matrices(tile + place_of_terms(outer + 8 * outer_half + row, term / CHUNK + term_half))
            } else {
                let chunk = outer / CHUNK + outer_half;
                load_matrices_transposed(tile + place_of_outers::<E>(term + 8 * term_half + row, chunk))
            }
        }
    }
}

/// Rows are windows, 128 or 32 in a tile, terms are taps and channels; no dilation.
pub(super) struct Pixels {
    windows: Windows,
    k: u32,
    /// The window's first pixel.
    base: [u32; 4],
    /// The rows of taps that are inside of the image, and from bit 16 on the columns.
    inside: [u32; 4],
}

/// Bits `t` below [`MAX_SIZE`] for which `0 <= start + t < len`, where `start` may wrap below zero.
#[inline(always)]
fn inside_bits(start: u32, len: u32) -> u32 {
    let below = |limit: i32| {
        (1 << if limit < 0 {
            0
        } else if limit > MAX_SIZE as i32 {
            MAX_SIZE
        } else {
            limit as u32
        }) - 1
    };
    below(len.wrapping_sub(start) as i32) & !below(0_u32.wrapping_sub(start) as i32)
}

impl Pixels {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub(super) fn new(windows: Windows, product: Product, row: u32) -> Pixels {
        let mut pixels = Pixels { windows, k: product.k, base: [0; 4], inside: [0; 4] };
        unroll!(I in 4 {
            let window = Window::new::<false>(&windows, product, row + thread() / 4 + 32 * I as u32);
            pixels.base[I] = window.base;
            pixels.inside[I] = inside_bits(window.y, windows.height) | inside_bits(window.x, windows.width) << 16;
        });
        pixels
    }
}

impl Operand for Pixels {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32) {
        let Windows { width, channels, .. } = self.windows;
        let chunk = thread() % 4;
        let term = term + CHUNK * chunk;
        let (tap, channel) = self.windows.by_channels.divide(term);
        let (tap_y, tap_x) = self.windows.by_size.divide(tap);
        let ahead = (tap_y * width + tap_x) * channels + channel;
        let to = to + place_of_terms(thread() / 4, chunk);
        // Beyond the last term it is a bit that is never set.
        let wanted = if term < self.k { 1 << tap_y | 1 << (16 + tap_x) } else { 1 << 31 };
        unroll!(I in 4 {
            if 32 * (I as u32) < E::OUTER {
                let inside = self.inside[I] & wanted == wanted;
                let from = from.wrapping_add(self.base[I].wrapping_add(ahead) as usize);
                // SAFETY: the caller's contract; every chunk of the tile is one thread's.
                unsafe { copy_async(to + 32 * TILE_K * 2 * I as u32, from, inside) };
            }
        });
    }
}

/// Rows are taps and channels, 128 in a tile, terms are windows; no dilation.
pub(super) struct Taps {
    windows: Windows,
    k: u32,
    tap: Tap,
}

impl Taps {
    /// For the tile whose first row is `row`.
    #[inline(always)]
    pub(super) fn new(windows: Windows, product: Product, row: u32) -> Taps {
        Taps { windows, k: product.k, tap: Tap::new(&windows, product, row + thread() % 16 * CHUNK) }
    }
}

impl Operand for Taps {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32) {
        let row = thread() / 16;
        unroll!(I in 4 {
            let row = row + 8 * I as u32;
            let (rest, x) = self.windows.by_columns.divide(term + row);
            let (image, y) = self.windows.by_rows.divide(rest);
            let (place, inside) = self.tap.seen(&self.windows, image, y, x);
            let (from, inside) = (from.wrapping_add(place as usize), inside & (term + row < self.k));
            // SAFETY: the caller's contract; every chunk of the tile is one thread's.
            unsafe { copy_async(to + place_of_outers::<E>(row, thread() % 16), from, inside) };
        });
    }
}

/// As it lies in memory, `k` rows of `n`.
pub(super) struct Rows {
    n: u32,
    k: u32,
    column: u32,
}

impl Rows {
    /// For the tile whose first column is `column`.
    #[inline(always)]
    pub(super) fn new(product: Product, column: u32) -> Rows {
        Rows { n: product.n, k: product.k, column }
    }
}

impl Operand for Rows {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32) {
        unroll!(I in 4 {
            let i = thread() + THREADS * I as u32;
            if THREADS * (I as u32) < TILE_K * E::CHUNKS {
                let (row, chunk) = (i / E::CHUNKS, i % E::CHUNKS);
                let column = self.column + CHUNK * chunk;
                let from = from.wrapping_add((term + row).wrapping_mul(self.n).wrapping_add(column) as usize);
                let inside = term + row < self.k && column < self.n;
                let to = to + place_of_outers::<E>(row, chunk);
                // SAFETY: the caller's contract; every chunk of the tile is one thread's.
                unsafe { copy_async_if(row < TILE_K, to, from, inside) };
            }
        });
    }
}

/// Weights `[taps, n, channels of the windows]`, whose terms are taps, last one first, and channels.
pub(super) struct Transposed {
    windows: Windows,
    n: u32,
    k: u32,
    column: u32,
}

impl Transposed {
    /// For the tile whose first column is `column`.
    #[inline(always)]
    pub(super) fn new(windows: Windows, product: Product, column: u32) -> Transposed {
        Transposed { windows, n: product.n, k: product.k, column: column + thread() / 4 }
    }
}

impl Operand for Transposed {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32) {
        let (row, chunk) = (thread() / 4, thread() % 4);
        let term = term + CHUNK * chunk;
        let (tap, channel) = self.windows.by_channels.divide(term);
        let first = self.windows.taps.wrapping_sub(1 + tap).wrapping_mul(self.n).wrapping_add(self.column);
        let from = from.wrapping_add(first.wrapping_mul(self.windows.channels).wrapping_add(channel) as usize);
        let to = to + place_of_terms(row, chunk);
        unroll!(I in 4 {
            let ahead = 32 * I as u32;
            if ahead < E::OUTER {
                let inside = self.column + ahead < self.n && term < self.k;
                let from = from.wrapping_add(ahead as usize * self.windows.channels as usize);
                // SAFETY: the caller's contract; every chunk of the tile is one thread's.
                unsafe { copy_async_if(row + ahead < E::OUTER, to + ahead * TILE_K * 2, from, inside) };
            }
        });
    }
}

/// Where an element of an operand lies.
pub(super) trait At {
    /// As [`Operand::TERMS_ARE_NEIGHBOURS`].
    const TERMS_ARE_NEIGHBOURS: bool;

    /// The place of an element, and whether there is one: others are zero.
    fn at(&self, outer: u32, term: u32) -> (u32, bool);
}

/// An operand of any shape, whose tile begins at a row or column.
pub(super) struct Elements<A>(pub(super) A, pub(super) u32);

impl<A: At> Operand for Elements<A> {
    const TERMS_ARE_NEIGHBOURS: bool = A::TERMS_ARE_NEIGHBOURS;

    #[inline(always)]
    unsafe fn start<E: Extent>(&self, from: *const u16, to: u32, term: u32) {
        let &Elements(ref operand, first) = self;
        let mut pair = thread();
        while pair < E::OUTER * TILE_K / 2 {
            let (places, to) = if A::TERMS_ARE_NEIGHBOURS {
                let (outer, inner) = (pair / (TILE_K / 2), pair % (TILE_K / 2) * 2);
                let at = |i: u32| operand.at(first + outer, term + inner + i);
                ([at(0), at(1)], to + place_of_terms(outer, inner / CHUNK) + inner % CHUNK * 2)
            } else {
                let (inner, outer) = (pair / (E::OUTER / 2), pair % (E::OUTER / 2) * 2);
                let at = |i: u32| operand.at(first + outer + i, term + inner);
                ([at(0), at(1)], to + place_of_outers::<E>(inner, outer / CHUNK) + outer % CHUNK * 2)
            };
            // SAFETY: the caller's contract; there is an element where it is inside, and every pair of the tile is one
            // thread's.
            unsafe {
                let value =
                    |(place, inside): (u32, bool)| if inside { u32::from(*from.add(place as usize)) } else { 0 };
                shared_store(to, value(places[0]) | value(places[1]) << 16);
            }
            pair += THREADS;
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

/// [`Pixels`] of any shape and dilation.
pub(super) struct AnyPixels {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl At for AnyPixels {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let (place, inside) = pixel(&self.windows, outer, term);
        (place, inside && outer < self.product.m && term < self.product.k)
    }
}

/// [`Taps`] of any shape.
pub(super) struct AnyTaps {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl At for AnyTaps {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let (place, inside) = pixel(&self.windows, term, outer);
        (place, inside && outer < self.product.m && term < self.product.k)
    }
}

/// [`Rows`] of any shape.
pub(super) struct AnyRows {
    pub(super) product: Product,
}

impl At for AnyRows {
    const TERMS_ARE_NEIGHBOURS: bool = false;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let Product { n, k, .. } = self.product;
        (term.wrapping_mul(n).wrapping_add(outer), outer < n && term < k)
    }
}

/// [`Transposed`] of any shape.
pub(super) struct AnyTransposed {
    pub(super) windows: Windows,
    pub(super) product: Product,
}

impl At for AnyTransposed {
    const TERMS_ARE_NEIGHBOURS: bool = true;

    #[inline(always)]
    fn at(&self, outer: u32, term: u32) -> (u32, bool) {
        let Product { n, k, .. } = self.product;
        let (tap, channel) = self.windows.by_channels.divide(term);
        let row = self.windows.taps.wrapping_sub(1 + tap).wrapping_mul(n).wrapping_add(outer);
        (row.wrapping_mul(self.windows.channels).wrapping_add(channel), outer < n && term < k)
    }
}
