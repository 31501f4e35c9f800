//! How operands of a product come into shared memory, by copies in the background. What lies outside of an operand
//! becomes zero.
//!
//! `wide` copies 16 bytes at a time, where four neighbours in memory are always inside or outside together: channels,
//! columns and places are multiples of four. `any` copies single floats, for any shape. Tiles are the same for both,
//! and so are sums.

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
pub mod any;
#[cfg(target_arch = "nvptx64")]
pub mod wide;

#[cfg(target_arch = "nvptx64")]
pub use device::Copy;
#[cfg(target_arch = "nvptx64")]
pub use device::{OUTSIDE, Tap, Window};

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{MAX_EXTENT, Windows};
    use crate::product::Product;
    use crate::product::layout::Layout;

    /// A row or column that is outside of every image, divided by any dilation too.
    pub const OUTSIDE: u32 = MAX_EXTENT * (MAX_EXTENT << 1);

    /// What a thread copies of an operand.
    pub trait Copy {
        /// How its tile lies in shared memory.
        type Layout: Layout;

        /// Starts the copies of terms `k ..` of the operand at `from` to the tile at `to`.
        ///
        /// # Safety
        /// `from` points to the operand; `to` to a tile in the pool that no thread reads or writes before a barrier.
        unsafe fn start(&self, from: *const f32, to: u32, k: u32);
    }

    /// Where a window begins.
    #[derive(Clone, Copy)]
    pub struct Window {
        /// Its first float, which may lie before the image; of a dilated image, the image's first.
        pub base: u32,
        /// Its first row, which wraps where it lies before the image.
        pub y: u32,
        /// Its first column.
        pub x: u32,
    }

    impl Window {
        /// Outside of every image.
        pub const NONE: Window = Window { base: 0, y: OUTSIDE, x: 0 };

        /// The window of row `row` of the left operand.
        #[inline(always)]
        pub fn new<const DILATED: bool>(windows: &Windows, product: Product, row: u32) -> Window {
            if row >= product.m {
                return Window::NONE;
            }
            let &Windows { height, width, channels, stride, pad, .. } = windows;
            let (rest, x) = windows.by_columns.divide(row);
            let (image, y) = windows.by_rows.divide(rest);
            let (y, x) = ((y * stride).wrapping_sub(pad), (x * stride).wrapping_sub(pad));
            let image = image * height;
            let base = if DILATED { image * width } else { image.wrapping_add(y).wrapping_mul(width).wrapping_add(x) };
            Window { base: base.wrapping_mul(channels), y, x }
        }
    }

    /// A tap and channel, which every window sees at a place of its own; no dilation.
    #[derive(Clone, Copy)]
    pub struct Tap {
        y: u32,
        x: u32,
        channel: u32,
    }

    impl Tap {
        /// The tap and channel of row `row` of the left operand.
        #[inline(always)]
        pub fn new(windows: &Windows, product: Product, row: u32) -> Tap {
            let (tap, channel) = windows.by_channels.divide(row);
            let (y, x) = windows.by_size.divide(tap);
            let y = if row < product.m { y.wrapping_sub(windows.pad) } else { OUTSIDE };
            Tap { y, x: x.wrapping_sub(windows.pad), channel }
        }

        /// What the window in a row and column of an image sees: its place, and whether it is inside of the image.
        #[inline(always)]
        pub fn seen(&self, windows: &Windows, image: u32, row: u32, column: u32) -> (u32, bool) {
            let &Windows { height, width, channels, stride, .. } = windows;
            let (y, x) = (self.y.wrapping_add(row * stride), self.x.wrapping_add(column * stride));
            let pixel = (image * height).wrapping_add(y).wrapping_mul(width).wrapping_add(x);
            (pixel.wrapping_mul(channels).wrapping_add(self.channel), (y < height) & (x < width))
        }
    }
}
