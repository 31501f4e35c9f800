//! From stored pixels to the network's input: crop, flip, mean, colour noise (paper, section 4.1).
//!
//! # Algorithm
//! ```text
//! image[n, y, x, c] = (rgb[n, top + y, left + (flip ? crop - 1 - x : x), c] - mean[y, x, c]) * scale + shift[c]
//! out[n, i, j, (y, x, c)] = image[n, i * tall + y - pad, j * wide + x - pad, c], 0 beyond the border
//! ```
//! with `top`, `left`, `flip`, `scale` and `shift` of image `n`. The mean is subtracted by position in the crop, never
//! flipped (`convdata.py`, 2012).
//! Blocks of `tall` rows and `wide` columns are one form of output for two readers: a block of a whole row of the crop
//! gives pixels, `[N, crop, crop, 3]`; blocks as wide as the first layer's stride are what [`crate::blocks`] turns a
//! convolution into.
//! # Thread mapping
//! A thread owns one pack of outputs: four neighbours, of two pixels in a row, with one load of the mean and one store,
//! or one element.
//! # Shared memory
//! None.
//! # Cost
//! A byte and the mean's float read, an element written: 59 MB for 128 crops of 224x224 in bf16.
//! # Tried
//! By the model for an H100, 128 images, 24 November 2026; nothing was measured. Requested is what SMs ask of the L2.
//!
//! | | time us | DRAM MB | requested MB | M instructions |
//! | --- | --- | --- | --- | --- |
//! | bf16: place and draw of each element; a second kernel makes blocks of pixels | 61.8 + 46.5 | 137 | 905 | 54 |
//! | blocks from here; place, draw and mean once for a pack, predicted | 37 | 60 | 300 | 21 |
//! | counted, kept | 38.6 | 60 | 315 | 27 |
//! | f32, pixels: before | 66.1 | 97 | 559 | 32 |
//! | predicted | 35 | 97 | 270 | |
//! | counted, kept | 34.0 | 97 | 275 | 26 |
//!
//! Crops that are no multiple of 4 (227) are written one element to a thread, which they were not before in batches
//! of a multiple of 4; not counted.

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
    /// Rows of a block.
    pub tall: u32,
    /// Zeros above and left of the crop.
    pub pad: u32,
    /// Divides by the elements of a block's row: three for each column.
    pub by_line: Divisor,
    /// Divides by the elements of a block.
    pub by_block: Divisor,
    /// Divides by the blocks in a row of an image.
    pub by_columns: Divisor,
    /// Divides by the rows of blocks of an image.
    pub by_rows: Divisor,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

impl Shape {
    /// The image of element `i` of the output, the crop's row that it is of, and the element of that row; beyond the
    /// crop one of the two is not below `crop` and `3 * crop`.
    #[inline(always)]
    pub const fn place(&self, i: u32) -> (u32, u32, u32) {
        let (block, i) = self.by_block.divide(i);
        let (rest, column) = self.by_columns.divide(block);
        let (image, row) = self.by_rows.divide(rest);
        let (y, i) = self.by_line.divide(i);
        let row = (row * self.tall + y).wrapping_sub(self.pad);
        (image, row, (column * self.by_line.divisor() + i).wrapping_sub(3 * self.pad))
    }
}

kernel! {
    /// Makes `n` elements of the input. Grid: [`crate::element::grid`] with `width` and one tower; block: [`THREADS`].
    ///
    /// # Safety
    /// - `output` is a device pointer to `n` elements, whole images in blocks; it overlaps nothing else.
    /// - `rgb` and `draws` are device pointers to `side * side * 3` bytes and a draw for each of these images; no draw
    ///   leaves the image. `mean` is one to `crop * crop * 3` floats.
    /// - The shape's divisors are those of its extents.
    /// - `width` is 1; or 4, `n`, the crop, its padding and the elements of a block's row are multiples of 4, and
    ///   `mean` and `output` are aligned to four elements.
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

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Shape;
    use crate::arch::fma;
    use crate::element::{Divisor, Element, Pack, first_element};
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
            // Of a pack all is inside or all beyond the crop: where rows begin and end, packs do.
            let (image, row, i) = shape.place(first);
            let mut values = P::splat(0.0);
            if row < shape.crop && i < 3 * shape.crop {
                // SAFETY: the row is one of the crop, and so of the stored image, and the pack inside of it.
                values = unsafe {
                    let draw = draws.add(image as usize);
                    let (flip, scale, shift) = ((*draw).flip, (*draw).scale, (&raw const (*draw).shift).cast::<f32>());
                    let row_of_mean = mean.add((row * shape.crop * 3) as usize);
                    let pixel = ((*draw).top + row) * shape.side + (*draw).left;
                    let line = rgb.add(image as usize * (shape.side * shape.side * 3) as usize + (pixel * 3) as usize);
                    let level = P::from_fn(|j| {
                        let (column, colour) = Divisor::new(3).divide(i + j);
                        let from = if flip != 0 { shape.crop - 1 - column } else { column };
                        f32::from(*line.add((from * 3 + colour) as usize))
                    });
                    let shift = P::from_fn(|j| *shift.add(Divisor::new(3).divide(i + j).1 as usize));
                    level.zip3(P::load(row_of_mean.add(i as usize)), shift, |level, mean, shift| {
                        fma(level - mean, scale, shift)
                    })
                };
            }
            // SAFETY: the pack is below `n`, and this thread's own.
            unsafe { values.store(output.add(first as usize)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape([tall, wide]: [u32; 2], pad: u32, [rows, columns]: [u32; 2]) -> Shape {
        Shape {
            side: 9,
            crop: 5,
            tall,
            pad,
            by_line: Divisor::new(3 * wide),
            by_block: Divisor::new(3 * wide * tall),
            by_columns: Divisor::new(columns),
            by_rows: Divisor::new(rows),
        }
    }

    #[test]
    fn pixels_are_blocks_of_a_row() {
        let shape = shape([1, 5], 0, [5, 1]);
        let places = (0..2).flat_map(|image| (0..5).flat_map(move |row| (0..15).map(move |i| (image, row, i))));
        assert!(places.eq((0..2 * 75).map(|i| shape.place(i))));
    }

    #[test]
    fn blocks_have_what_lies_under_them() {
        let shape = shape([2, 2], 1, [3, 2]);
        let blocks = (0..12).map(|block: u32| (block / 6, block / 2 % 3, block % 2));
        let places = blocks.flat_map(|(image, row, column)| {
            let within = (0..12).map(|i| (i / 6, i % 6));
            within.map(move |(y, x)| (image, (row * 2 + y).wrapping_sub(1), (column * 6 + x).wrapping_sub(3)))
        });
        assert!(places.eq((0..2 * 72).map(|i| shape.place(i))));
        assert_eq!(shape.place(0), (0, u32::MAX, u32::MAX - 2));
    }
}
