//! Sums of the columns of a matrix, in parts of rows: the gradient of a bias, `db[f] = sum over rows of dy[row, f]`.
//!
//! # The order of sums
//! A part of [`slice()`] rows is added in [`Shape::down`] running sums, the `i`-th of rows `i, i + down, ..`; these are added
//! in order. [`crate::sum_parts`] adds parts in order. All follows from rows and columns.
//! # Thread mapping
//! Block `(x, y, z)` owns [`Shape::across`] packs (four neighbouring columns, or one) of part `y` of problem `z`; thread
//! `i * across + j` adds the `i`-th rows of pack `j`, four loads at a time.
//! # Shared memory
//! A pack of floats for each thread.
//! # Cost
//! An element read and an addition for each.
//! # Tried
//! On an H100 a lane for each column, in the product's own 5 to 13 parts, reached 255 to 456 GB/s: too few loads under way.

use crate::Argument;
use crate::element::Offsets;
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Dynamic shared memory of a block.
pub const SHARED_BYTES: u32 = THREADS * 16;
/// The most packs of a block.
const MAX_ACROSS: u32 = 32;
/// The most parts.
const MAX_PARTS: u32 = 64;
/// The fewest rows of a part, where there is more than one.
const MIN_SLICE: u32 = 256;

/// Extents.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Rows of the matrix.
    pub rows: u32,
    /// Columns of the matrix.
    pub columns: u32,
    /// Rows of a part.
    pub slice: u32,
    /// Columns of a pack: 1 or 4.
    pub width: u32,
    /// Packs of a block.
    pub across: u32,
    /// Rows that a block adds at a time.
    pub down: u32,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

impl Shape {
    /// For a matrix, in packs of `width` columns.
    pub const fn new(rows: u32, columns: u32, width: u32) -> Shape {
        let packs = columns / width;
        let across = ceil_div(packs, ceil_div(packs, MAX_ACROSS));
        Shape { rows, columns, slice: slice(rows), width, across, down: THREADS / across }
    }

    /// The grid for a number of problems.
    pub const fn grid(self, problems: u32) -> [u32; 3] {
        [ceil_div(self.columns / self.width, self.across), ceil_div(self.rows, self.slice), problems]
    }
}

/// Rows of a part.
pub const fn slice(rows: u32) -> u32 {
    let slice = ceil_div(rows, MAX_PARTS);
    if slice < MIN_SLICE { MIN_SLICE } else { slice }
}

kernel! {
    /// Sums of parts. Grid: [`Shape::grid`]; block: [`THREADS`]; dynamic shared memory: [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `matrix + matrix_at` are device pointers to `rows * columns` elements for each problem of the grid.
    /// - `sums + sums_at` are device pointers to `columns` floats for each part, and overlap nothing else.
    /// - `shape` is from [`Shape::new`]; with a width of 4 columns and places are multiples of 4, and bases aligned to 16
    ///   bytes.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    COLUMN_SUMS: fn column_sums<E>(
        matrix: *const E,
        matrix_at: Offsets,
        sums: *mut f32,
        sums_at: Offsets,
        shape: Shape,
    ) {
        let problem = crate::arch::block_z();
        let (matrix, sums) = (matrix.add(matrix_at.of(problem) as usize), sums.add(sums_at.of(problem) as usize));
        if shape.width == 4 {
            device::sums::<crate::arch::F32x4, E>(matrix, sums, shape);
        } else {
            device::sums::<f32, E>(matrix, sums, shape);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Shape;
    use crate::arch::{F32x4, barrier, block_x, block_y, shared_base, shared_load4, shared_store, thread};
    use crate::element::{Element, Pack};

    /// # Safety
    /// The kernel's contract, for one problem; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn sums<P: InShared, E: Element>(matrix: *const E, sums: *mut f32, shape: Shape) {
        let Shape { rows, columns, slice, across, down, .. } = shape;
        let (thread, part) = (thread(), block_y());
        let (i, j) = (thread / across, thread % across);
        let column = (block_x() * across + j) * P::WIDTH;
        let end = if rows - part * slice < slice { rows } else { (part + 1) * slice };
        let works = i < down && column < columns;
        let mut sum = P::splat(0.0);
        if works {
            // SAFETY: the row and the pack are inside of the matrix.
            let load = |row: u32| unsafe { P::load(matrix.add(row as usize * columns as usize + column as usize)) };
            let add = |sum: P, x: P| sum.zip(x, |sum, x| sum + x);
            let mut row = part * slice + i;
            while row + 3 * down < end {
                let next = [load(row), load(row + down), load(row + 2 * down), load(row + 3 * down)];
                sum = add(add(add(add(sum, next[0]), next[1]), next[2]), next[3]);
                row += 4 * down;
            }
            while row < end {
                sum = add(sum, load(row));
                row += down;
            }
        }
        let place = shared_base() + thread * 16;
        // SAFETY: a place for each thread; all threads reach the barrier.
        unsafe {
            shared_store(place, sum.to_four());
            barrier();
        }
        if works && i == 0 {
            let mut sum = sum;
            let mut other = 1;
            while other < down {
                // SAFETY: the thread `other * across + j` wrote it.
                let x = P::of_four(unsafe { shared_load4(place + other * across * 16) });
                sum = sum.zip(x, |sum, x| sum + x);
                other += 1;
            }
            // SAFETY: the pack is inside of the part's sums.
            unsafe { sum.store(sums.add(part as usize * columns as usize + column as usize)) };
        }
    }

    /// A pack in 16 bytes of shared memory.
    pub(super) trait InShared: Pack {
        fn to_four(self) -> F32x4;
        fn of_four(four: F32x4) -> Self;
    }

    impl InShared for f32 {
        #[inline(always)]
        fn to_four(self) -> F32x4 {
            F32x4::splat(self)
        }

        #[inline(always)]
        fn of_four(four: F32x4) -> f32 {
            four.x
        }
    }

    impl InShared for F32x4 {
        #[inline(always)]
        fn to_four(self) -> F32x4 {
            self
        }

        #[inline(always)]
        fn of_four(four: F32x4) -> F32x4 {
            four
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_rows_and_columns() {
        for (rows, columns, width) in
            [(1, 1, 1), (387_200, 48, 4), (93_312, 128, 4), (128, 2048, 4), (128, 1000, 4), (700, 33, 1)]
        {
            let shape = Shape::new(rows, columns, width);
            let [x, parts, _] = shape.grid(1);
            assert!(
                x * shape.across * width >= columns && shape.across * shape.down <= THREADS && shape.down > 0,
                "{shape:?}"
            );
            assert!(parts * shape.slice >= rows && (parts - 1) * shape.slice < rows && parts <= MAX_PARTS, "{shape:?}");
        }
    }
}
