//! Images with zeros around them, so that windows never leave memory.

use std::cell::RefCell;

use super::floats::Floats;
use crate::ops::ConvShape;

/// Where an image lies in a larger one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padding {
    /// Rows of the image.
    pub in_height: usize,
    /// Columns of the image.
    pub in_width: usize,
    /// Maps.
    pub channels: usize,
    /// Rows of the padded image.
    pub height: usize,
    /// Columns of the padded image.
    pub width: usize,
    /// Zero rows above and columns to the left; if negative, rows and columns that are cut off.
    pub before: isize,
    /// Distance of the image's pixels in the padded image: over 1 puts zeros between them.
    pub spread: usize,
}

impl Padding {
    /// As far as the windows of a convolution reach.
    pub(super) fn of_windows(shape: &ConvShape) -> Padding {
        Padding {
            in_height: shape.in_height,
            in_width: shape.in_width,
            channels: shape.channels,
            height: (shape.out_height - 1) * shape.stride + shape.size,
            width: ((shape.out_width - 1) * shape.stride + shape.size).max(shape.in_width + shape.pad),
            before: shape.pad as isize,
            spread: 1,
        }
    }

    /// The gradient of the output, as far as the windows of turned filters reach around the input.
    pub(super) fn of_turned_windows(shape: &ConvShape) -> Padding {
        Padding {
            in_height: shape.out_height,
            in_width: shape.out_width,
            channels: shape.filters,
            height: shape.in_height + shape.size - 1,
            width: shape.in_width + shape.size - 1,
            before: shape.size as isize - 1 - shape.pad as isize,
            spread: shape.stride,
        }
    }

    /// Floats of a padded image.
    fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Floats that [`Padding::images`] needs as a buffer for `count` images.
    pub(super) fn buffer_len(&self, count: usize) -> usize {
        if self.is_none() { 0 } else { count * self.len() }
    }

    /// Whether padding changes nothing, apart from pixels that no window reaches.
    fn is_none(&self) -> bool {
        self.before == 0 && self.spread == 1 && self.height <= self.in_height && self.width == self.in_width
    }

    /// Floats of an image before padding.
    fn image_len(&self) -> usize {
        self.in_height * self.in_width * self.channels
    }

    /// Floats between the images that [`Padding::images`] gives.
    pub(super) fn stride(&self) -> usize {
        if self.is_none() { self.image_len() } else { self.len() }
    }

    /// The first `count` images of `source`, padded: in `buffer`, or `source` itself where there is nothing to pad.
    pub(super) fn images<'a, T: Copy + Default>(&self, count: usize, source: &'a [T], buffer: &'a mut [T]) -> &'a [T] {
        if self.is_none() {
            return source;
        }
        let pairs = source.chunks_exact(self.image_len()).zip(buffer.chunks_exact_mut(self.len()));
        pairs.take(count).for_each(|(image, target)| self.apply(image, target));
        buffer
    }

    /// Writes the padded image.
    fn apply<T: Copy + Default>(&self, image: &[T], padded: &mut [T]) {
        let Padding { in_height, in_width, channels, height, width, before, spread } = *self;
        padded.fill(T::default());
        let skip = before.min(0).unsigned_abs().div_ceil(spread);
        let first = before.max(0).unsigned_abs() + skip * spread - before.min(0).unsigned_abs();
        let fits = |n: usize, end: usize| n.saturating_sub(skip).min(end.saturating_sub(first).div_ceil(spread));
        let columns = fits(in_width, width);
        for y in 0..fits(in_height, height) {
            let source = &image[((skip + y) * in_width + skip) * channels..][..columns * channels];
            let target = &mut padded[((first + y * spread) * width + first) * channels..];
            if spread == 1 {
                target[..source.len()].copy_from_slice(source);
            } else {
                let pixels = target.chunks_mut(channels).step_by(spread);
                pixels.zip(source.chunks(channels)).for_each(|(target, pixel)| target.copy_from_slice(pixel));
            }
        }
    }
}

/// Lends the calling thread `len` floats that it keeps from task to task. Contents are whatever was there.
pub(super) fn with_buffer<T>(len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Floats> = RefCell::default();
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.grow(len);
        work(&mut buffer[..len])
    })
}
