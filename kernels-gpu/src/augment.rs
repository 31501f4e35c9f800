//! From stored pixels to the network's input: crop, flip, mean, colour noise (paper, section 4.1).
//!
//! # Algorithm
//! ```text
//! out[n, y, x, c] = (rgb[n, top + y, left + (flip ? crop - 1 - x : x), c] - mean[y, x, c]) * scale + shift[c]
//! ```
//! with `top`, `left`, `flip`, `scale` and `shift` of image `n`. The mean is subtracted by position in the crop, never
//! flipped (`convdata.py`, 2012).
//! # Thread mapping
//! A thread owns one pack of outputs: four neighbouring floats, of two pixels, with one 16-byte store, or one float.
//! # Shared memory
//! None.
//! # Cost
//! A byte and the mean's float read, 4 bytes written a float: 96 MB for 128 crops of 224x224, and some 20 instructions
//! a float, most of them to find its place.

use crate::Argument;
use crate::element::{Divisor, THREADS};
use crate::kernel::Kind;
use crate::step::Draw;

/// Extents.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Side of a stored image.
    pub side: u32,
    /// Side of the crop.
    pub crop: u32,
    /// Divides by the crop.
    pub by_crop: Divisor,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

kernel! {
    /// Makes `n` elements of the input. Grid: [`crate::element::grid`] with `width` and one tower; block: [`THREADS`].
    ///
    /// # Safety
    /// - `output` is a device pointer to `n` elements, whole images of `crop * crop * 3`; it overlaps nothing else.
    /// - `rgb` and `draws` are device pointers to `side * side * 3` bytes and a draw for each of these images; no draw
    ///   leaves the image. `mean` is one to `crop * crop * 3` floats.
    /// - `width` is 1; or 4, `n` is a multiple of 4 and `output` is aligned to four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    AUGMENT: fn augment<E>(
        rgb: *const u8,
        draws: *const Draw,
        mean: *const f32,
        output: *mut E,
        shape: Shape,
        n: u32,
        width: u32,
    ) {
        if width == 4 {
            device::augment::<crate::arch::F32x4, E>(rgb, draws, mean, output, shape, n);
        } else {
            device::augment::<f32, E>(rgb, draws, mean, output, shape, n);
        }
    }
}

/// Image, row, column and colour of float `i` of the input.
#[inline(always)]
pub const fn place(shape: &Shape, i: u32) -> (u32, u32, u32, u32) {
    const BY_COLOURS: Divisor = Divisor::new(3);
    let (pixel, colour) = BY_COLOURS.divide(i);
    let (row, column) = shape.by_crop.divide(pixel);
    let (image, row) = shape.by_crop.divide(row);
    (image, row, column, colour)
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{Shape, place};
    use crate::arch::fma;
    use crate::element::{Element, Pack, first_element};
    use crate::step::Draw;

    /// # Safety
    /// The kernel's contract; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn augment<P: Pack, E: Element>(
        rgb: *const u8,
        draws: *const Draw,
        mean: *const f32,
        output: *mut E,
        shape: Shape,
        n: u32,
    ) {
        let first = first_element(P::WIDTH);
        if first < n {
            let value = |j: u32| {
                let (image, row, column, colour) = place(&shape, first + j);
                // SAFETY: the float is one of an image's, and its pixel inside the stored image.
                unsafe {
                    let draw = draws.add(image as usize);
                    let from = if (*draw).flip != 0 { shape.crop - 1 - column } else { column };
                    let pixel = ((*draw).top + row) * shape.side + (*draw).left + from;
                    let level = *rgb
                        .add(image as usize * (shape.side * shape.side * 3) as usize + (pixel * 3 + colour) as usize);
                    let mean = *mean.add(((row * shape.crop + column) * 3 + colour) as usize);
                    let shift = *(&raw const (*draw).shift).cast::<f32>().add(colour as usize);
                    fma(level as f32 - mean, (*draw).scale, shift)
                }
            };
            // SAFETY: the pack is below `n`, and this thread's own.
            unsafe { P::from_fn(value).store(output.add(first as usize)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_taken_in_order() {
        let shape = Shape { side: 9, crop: 5, by_crop: Divisor::new(5) };
        let places = (0..2).flat_map(|image| {
            (0..25).flat_map(move |pixel| (0..3).map(move |colour| (image, pixel / 5, pixel % 5, colour)))
        });
        assert!(places.eq((0..2 * 75).map(|i| place(&shape, i))));
    }
}
