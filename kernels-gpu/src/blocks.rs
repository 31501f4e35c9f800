//! Space to depth: a convolution with a stride as one without, over blocks of pixels.
//!
//! # Algorithm
//! ```text
//! blocks[n, i, j, (y, x, c)] = image[n, i * stride + y - pad, j * stride + x - pad, c], 0 beyond the border
//! filter[(i, j), (y, x, c), f] = weight[i * stride + y, j * stride + x, c, f], 0 beyond the filter
//! ```
//! with `stride * stride * channels` maps in a block. AlexNet's first layer, 11x11 filters at stride 4 over 3 maps, is
//! then 3x3 filters over 48 maps: chunks of eight can be copied, and the tensor cores' 16 terms are all there, for
//! 432 terms instead of 363. The gradient of the filters goes back the same way.
//! The first layer's images are written in blocks by [`crate::augment`]. Others are turned here, in each pass that reads
//! them: an input that is to be looked at as pixels, and a layer with a stride behind others.
//! # Thread mapping
//! A thread owns eight neighbouring maps of a block, or one element of a filter or of its gradient. Tower `t` is row `t`
//! of the grid.
//! # Shared memory
//! None.
//! # Cost
//! Images read and written once; the filters are small.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::geometry::ceil_div;
use crate::kernel::Kind;
use crate::precision::Bf16;

/// Maps of a block that a thread writes together.
pub const PACK: u32 = 8;

/// Extents.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Rows of an image.
    pub height: u32,
    /// Columns of an image.
    pub width: u32,
    /// Zeros above and left of an image.
    pub pad: u32,
    /// Side of a filter.
    pub size: u32,
    /// Divides by the side of a block.
    pub by_stride: Divisor,
    /// Divides by the maps of an image.
    pub by_channels: Divisor,
    /// Divides by the maps of a block.
    pub by_maps: Divisor,
    /// Divides by the blocks in a row of an image.
    pub by_columns: Divisor,
    /// Divides by the rows of blocks of an image.
    pub by_rows: Divisor,
    /// Divides by the side of a filter, in blocks.
    pub by_taps: Divisor,
    /// Divides by the side of a filter, in pixels.
    pub by_size: Divisor,
    /// Divides by the filters.
    pub by_filters: Divisor,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

impl Shape {
    /// The place of a map of a block in it: row, column, and the map of the image.
    #[inline(always)]
    const fn pixel(&self, map: u32) -> (u32, u32, u32) {
        let (pixel, channel) = self.by_channels.divide(map);
        let (y, x) = self.by_stride.divide(pixel);
        (y, x, channel)
    }

    /// The element of weights that an element of the filter is, where there is one.
    #[inline(always)]
    pub const fn weight(&self, i: u32) -> Option<u32> {
        let (rest, filter) = self.by_filters.divide(i);
        let (tap, map) = self.by_maps.divide(rest);
        let (tap_y, tap_x) = self.by_taps.divide(tap);
        let (y, x, channel) = self.pixel(map);
        let stride = self.by_stride.divisor();
        let (y, x) = (tap_y * stride + y, tap_x * stride + x);
        if y < self.size && x < self.size {
            let row = (y * self.size + x) * self.by_channels.divisor() + channel;
            Some(row * self.by_filters.divisor() + filter)
        } else {
            None
        }
    }

    /// The element of the filter that an element of the weights is.
    #[inline(always)]
    pub const fn filter(&self, i: u32) -> u32 {
        let (rest, filter) = self.by_filters.divide(i);
        let (pixel, channel) = self.by_channels.divide(rest);
        let (y, x) = self.by_size.divide(pixel);
        let ((tap_y, y), (tap_x, x)) = (self.by_stride.divide(y), self.by_stride.divide(x));
        let tap = tap_y * self.by_taps.divisor() + tap_x;
        let map = (y * self.by_stride.divisor() + x) * self.by_channels.divisor() + channel;
        (tap * self.by_maps.divisor() + map) * self.by_filters.divisor() + filter
    }
}

/// The grid for `n` threads of each tower.
pub const fn grid(n: u32, towers: u32) -> [u32; 3] {
    [ceil_div(n, THREADS), towers, 1]
}

kernel! {
    /// Makes blocks of images, `n` packs of [`PACK`] maps of one tower. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `input` is a device pointer to whole images, `output` to `n` packs, aligned to 16 bytes; they do not overlap.
    /// - The shape's divisors are those of its extents; the maps of a block are a multiple of [`PACK`].
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    IMAGES: fn blocks_of_images(input: *const Bf16, output: *mut Bf16, shape: Shape, n: u32) {
        use crate::arch::{block_x, thread};
        use crate::element::Element;

        let i = block_x() * THREADS + thread();
        if i < n {
            let (block, map) = shape.by_maps.divide(i * PACK);
            let (rest, column) = shape.by_columns.divide(block);
            let (image, row) = shape.by_rows.divide(rest);
            let stride = shape.by_stride.divisor();
            let (top, left) = ((row * stride).wrapping_sub(shape.pad), (column * stride).wrapping_sub(shape.pad));
            let mut maps = [0.0; PACK as usize];
            unroll!(J in 8 {
                let (y, x, channel) = shape.pixel(map + J as u32);
                let (y, x) = (top.wrapping_add(y), left.wrapping_add(x));
                if y < shape.height && x < shape.width {
                    let pixel = (image * shape.height + y) * shape.width + x;
                    maps[J] = Element::load(input.add((pixel * shape.by_channels.divisor() + channel) as usize));
                }
            });
            Element::store8(output.add((i * PACK) as usize), maps);
        }
    }
}

kernel! {
    /// Makes filters over blocks, of `n` elements each. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `weight + weight_at` are device pointers to its weights, and `filter + filter_at` to
    ///   `n` elements; they do not overlap.
    /// - The shape's divisors are those of its extents.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    WEIGHTS: fn blocks_of_weights(
        weight: *const Bf16,
        weight_at: Offsets,
        filter: *mut Bf16,
        filter_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        use crate::arch::{block_x, block_y, thread};

        let (i, tower) = (block_x() * THREADS + thread(), block_y());
        if i < n {
            let value = match shape.weight(i) {
                Some(place) => *weight.add(weight_at.of(tower) as usize + place as usize),
                None => Bf16(0),
            };
            *filter.add(filter_at.of(tower) as usize + i as usize) = value;
        }
    }
}

kernel! {
    /// Gives `n` elements of the weights' gradient from that of filters over blocks. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `d_filter + d_filter_at` are device pointers to the gradient of its filters, and
    ///   `d_weight + d_weight_at` to `n` floats; they do not overlap.
    /// - The shape's divisors are those of its extents.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    GRADIENT: fn gradient_of_blocks(
        d_filter: *const f32,
        d_filter_at: Offsets,
        d_weight: *mut f32,
        d_weight_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        use crate::arch::{block_x, block_y, thread};

        let (i, tower) = (block_x() * THREADS + thread(), block_y());
        if i < n {
            let from = d_filter_at.of(tower) as usize + shape.filter(i) as usize;
            *d_weight.add(d_weight_at.of(tower) as usize + i as usize) = *d_filter.add(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_weights_are_each_other() {
        let [size, stride, channels, filters] = [11, 4, 3, 5];
        let taps = ceil_div(size, stride);
        let shape = Shape {
            height: 1,
            width: 1,
            pad: 0,
            size,
            by_stride: Divisor::new(stride),
            by_channels: Divisor::new(channels),
            by_maps: Divisor::new(stride * stride * channels),
            by_columns: Divisor::new(1),
            by_rows: Divisor::new(1),
            by_taps: Divisor::new(taps),
            by_size: Divisor::new(size),
            by_filters: Divisor::new(filters),
        };
        let elements = taps * taps * stride * stride * channels * filters;
        let weights = size * size * channels * filters;
        assert!((0..weights).all(|i| shape.filter(i) < elements && shape.weight(shape.filter(i)) == Some(i)));
        assert_eq!((0..elements).filter(|&i| shape.weight(i).is_some()).count() as u32, weights);
    }
}
