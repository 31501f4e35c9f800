//! How operands of a product come into shared memory: rows of terms, [`TILE_K`](super::TILE_K) of them, by copies in
//! the background of one float each. What lies outside of an operand becomes zero.

use crate::Argument;
use crate::element::Divisor;
use crate::kernel::Kind;

/// Windows over images `[N, height, width, channels]`, for a filter with `size * size` taps. Window `(y, x)` of
/// `rows * columns` begins at pixel `y * stride - pad`; with a dilation `d`, pixels lie `d` apart and zeros between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Windows {
    /// Rows of an image.
    pub height: u32,
    /// Columns of an image.
    pub width: u32,
    /// Floats of a pixel.
    pub channels: u32,
    /// Between windows.
    pub stride: u32,
    /// Zeros before the image: wraps where it is negative.
    pub pad: u32,
    /// Taps of a filter.
    pub taps: u32,
    /// By `channels`.
    pub by_channels: Divisor,
    /// By the filter's side.
    pub by_size: Divisor,
    /// By windows in a row.
    pub by_columns: Divisor,
    /// By rows of windows.
    pub by_rows: Divisor,
    /// By the dilation.
    pub by_dilation: Divisor,
}

impl Argument for Windows {
    const KIND: Kind = Kind::Struct;
}

/// Extents, strides, paddings and sizes are at most this, so that a place that is far outside can be told by one.
pub const MAX_EXTENT: u32 = 1 << 14;

#[cfg(target_arch = "nvptx64")]
pub use device::{Copy, Pixels, Rows, Taps, Transposed};

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::super::{LEFT_PITCH, Product, RIGHT_PITCH, TILE_N};
    use super::{MAX_EXTENT, Windows};
    use crate::arch::{copy_float_async, thread};

    /// A row or column that is outside of every image, divided by any dilation too.
    const OUTSIDE: u32 = MAX_EXTENT * (MAX_EXTENT << 1);

    /// What a thread copies of an operand.
    pub trait Copy {
        /// Starts the copies of terms `k ..` of the operand at `from` to the tile at `to`.
        ///
        /// # Safety
        /// `from` points to the operand; `to` to a tile in the pool that no thread reads or writes before a barrier.
        unsafe fn start(&self, from: *const f32, to: u32, k: u32);
    }

    /// A left operand with a window in each row, whose terms are taps and channels: consecutive terms, and so floats,
    /// go to the lanes of a warp, eight of each of four rows.
    pub struct Pixels<const DILATED: bool> {
        windows: Windows,
        k: u32,
        /// Of the image, or of the window's first pixel.
        base: [u32; 8],
        y: [u32; 8],
        x: [u32; 8],
    }

    impl<const DILATED: bool> Pixels<DILATED> {
        /// For the tile whose first row is `row`.
        #[inline(always)]
        pub fn new(windows: Windows, product: Product, row: u32) -> Self {
            let Windows { height, width, channels, stride, pad, .. } = windows;
            let mut pixels = Pixels { windows, k: product.k, base: [0; 8], y: [OUTSIDE; 8], x: [0; 8] };
            unroll!(I in 8 {
                let row = row + thread() / 8 + 16 * I as u32;
                if row < product.m {
                    let (rest, x) = windows.by_columns.divide(row);
                    let (image, y) = windows.by_rows.divide(rest);
                    let (y, x) = ((y * stride).wrapping_sub(pad), (x * stride).wrapping_sub(pad));
                    let image = image * height;
                    pixels.base[I] = if DILATED {
                        image * width * channels
                    } else {
                        image.wrapping_add(y).wrapping_mul(width).wrapping_add(x).wrapping_mul(channels)
                    };
                    pixels.y[I] = y;
                    pixels.x[I] = x;
                }
            });
            pixels
        }
    }

    impl<const DILATED: bool> Copy for Pixels<DILATED> {
        #[inline(always)]
        unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
            let Windows { height, width, channels, by_dilation, .. } = self.windows;
            let k = k + thread() % 8;
            let (tap, channel) = self.windows.by_channels.divide(k);
            let (tap_y, tap_x) = self.windows.by_size.divide(tap);
            let to = to + (thread() % 8 * LEFT_PITCH + thread() / 8) * 4;
            let ahead = (tap_y * width + tap_x) * channels + channel;
            unroll!(I in 8 {
                let (y, x) = (self.y[I].wrapping_add(tap_y), self.x[I].wrapping_add(tap_x));
                let (offset, inside) = if DILATED {
                    let ((y, y_rest), (x, x_rest)) = (by_dilation.divide(y & !SIGN), by_dilation.divide(x & !SIGN));
                    let pixel = (self.y[I].wrapping_add(tap_y) | self.x[I].wrapping_add(tap_x)) & SIGN == 0;
                    let inside = pixel && y_rest == 0 && x_rest == 0 && y < height && x < width;
                    (self.base[I].wrapping_add(y.wrapping_mul(width).wrapping_add(x).wrapping_mul(channels)).wrapping_add(channel), inside)
                } else {
                    (self.base[I].wrapping_add(ahead), y < height && x < width)
                };
                // SAFETY: a pixel inside of the image, and a term inside of the filter; the place in the tile is this
                // thread's alone.
                unsafe {
                    copy_float_async(to + 64 * I as u32, from.wrapping_add(offset as usize), inside && k < self.k);
                }
            });
        }
    }

    /// Set in a number below zero.
    const SIGN: u32 = 1 << 31;

    /// A left operand with a tap and channel in each row, whose terms are windows: consecutive rows, and so floats, go
    /// to the lanes of a warp.
    pub struct Taps {
        windows: Windows,
        k: u32,
        y: u32,
        x: u32,
        channel: u32,
    }

    impl Taps {
        /// For the tile whose first row is `row`.
        #[inline(always)]
        pub fn new(windows: Windows, product: Product, row: u32) -> Taps {
            let row = row + thread();
            let (tap, channel) = windows.by_channels.divide(row);
            let (y, x) = windows.by_size.divide(tap);
            let y = if row < product.m { y.wrapping_sub(windows.pad) } else { OUTSIDE };
            Taps { windows, k: product.k, y, x: x.wrapping_sub(windows.pad), channel }
        }
    }

    impl Copy for Taps {
        #[inline(always)]
        unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
            let Windows { height, width, channels, stride, by_columns, by_rows, .. } = self.windows;
            let (rest, mut column) = by_columns.divide(k);
            let (mut image, mut row) = by_rows.divide(rest);
            let to = to + thread() * 4;
            unroll!(I in 8 {
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
                let (y, x) = (self.y.wrapping_add(row * stride), self.x.wrapping_add(column * stride));
                let pixel = (image * height).wrapping_add(y).wrapping_mul(width).wrapping_add(x);
                let offset = pixel.wrapping_mul(channels).wrapping_add(self.channel);
                let inside = k + (I as u32) < self.k && y < height && x < width;
                // SAFETY: a pixel inside of an image of the batch; the place in the tile is this thread's alone.
                unsafe { copy_float_async(to + LEFT_PITCH * 4 * I as u32, from.wrapping_add(offset as usize), inside) };
            });
        }
    }

    /// A right operand that lies in memory as it is, `k` rows of `n`.
    pub struct Rows {
        n: u32,
        k: u32,
        column: u32,
    }

    impl Rows {
        /// For the tile whose first column is `column`.
        #[inline(always)]
        pub fn new(product: Product, column: u32) -> Rows {
            Rows { n: product.n, k: product.k, column: column + thread() % TILE_N }
        }
    }

    impl Copy for Rows {
        #[inline(always)]
        unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
            let row = thread() / TILE_N;
            let to = to + (row * RIGHT_PITCH + thread() % TILE_N) * 4;
            unroll!(I in 4 {
                let k = k + row + 2 * I as u32;
                let from = from.wrapping_add(k as usize * self.n as usize + self.column as usize);
                // SAFETY: inside of the matrix where it is wanted; the place in the tile is this thread's alone.
                unsafe { copy_float_async(to + RIGHT_PITCH * 8 * I as u32, from, k < self.k && self.column < self.n) };
            });
        }
    }

    /// A right operand whose terms are taps, last one first, and filters, of weights `[taps, n, filters]`: consecutive
    /// terms go to the lanes of a warp, eight of each of four columns.
    pub struct Transposed {
        windows: Windows,
        n: u32,
        k: u32,
        column: u32,
    }

    impl Transposed {
        /// For the tile whose first column is `column`.
        #[inline(always)]
        pub fn new(windows: Windows, product: Product, column: u32) -> Transposed {
            Transposed { windows, n: product.n, k: product.k, column: column + thread() / 8 }
        }
    }

    impl Copy for Transposed {
        #[inline(always)]
        unsafe fn start(&self, from: *const f32, to: u32, k: u32) {
            let k = k + thread() % 8;
            let (tap, filter) = self.windows.by_channels.divide(k);
            let row = self.windows.taps.wrapping_sub(1 + tap).wrapping_mul(self.n);
            let to = to + (thread() % 8 * RIGHT_PITCH + thread() / 8) * 4;
            unroll!(I in 4 {
                let column = self.column + 16 * I as u32;
                let offset = row.wrapping_add(column).wrapping_mul(self.windows.channels).wrapping_add(filter);
                // SAFETY: inside of the weights where it is wanted; the place in the tile is this thread's alone.
                unsafe {
                    copy_float_async(to + 64 * I as u32, from.wrapping_add(offset as usize), k < self.k && column < self.n);
                }
            });
        }
    }
}
