//! Sums of the columns of a matrix, in parts of rows: the gradient of a bias, `db[f] = sum over rows of dy[row, f]`.
//!
//! # The order of sums
//! Of a part, warp `w` of 8 adds rows `w, w + 8, ..` in order; warps are added in order. [`crate::sum_parts`] adds
//! parts in order.
//! # Thread mapping
//! Block `(x, y, z)` owns columns `32 * x ..` of part `y` of problem `z`; a lane owns a column.
//! # Shared memory
//! A float for each thread.
//! # Cost
//! An element read and an addition for each.

use crate::element::Offsets;
use crate::geometry::ceil_div;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Dynamic shared memory of a block.
pub const SHARED_BYTES: u32 = THREADS * 4;

/// The grid for matrices of `columns` columns, in parts.
pub const fn grid(columns: u32, parts: u32, problems: u32) -> [u32; 3] {
    [ceil_div(columns, 32), parts, problems]
}

kernel! {
    /// Sums of `slice` rows each. Grid: [`grid`] with `ceil(rows / slice)` parts; block: [`THREADS`]; dynamic shared
    /// memory: [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `matrix + matrix_at` are device pointers to `rows * columns` elements for each problem of the grid.
    /// - `sums + sums_at` are device pointers to `columns` floats for each part, and overlap nothing else.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    COLUMN_SUMS: fn column_sums<E>(
        matrix: *const E,
        matrix_at: Offsets,
        sums: *mut f32,
        sums_at: Offsets,
        rows: u32,
        columns: u32,
        slice: u32,
    ) {
        use crate::arch::{barrier, block_x, block_y, block_z, shared_base, shared_load, shared_store, thread};
        use crate::element::Element;

        let (part, problem, thread) = (block_y(), block_z(), thread());
        let column = block_x() * 32 + thread % 32;
        let end = if rows - part * slice < slice { rows } else { (part + 1) * slice };
        let mut sum = 0.0;
        if column < columns {
            let matrix = matrix.add(matrix_at.of(problem) as usize + column as usize);
            let mut row = part * slice + thread / 32;
            while row < end {
                sum += E::load(matrix.add(row as usize * columns as usize));
                row += THREADS / 32;
            }
        }
        let place = shared_base() + thread * 4;
        shared_store(place, sum);
        barrier();
        if thread < 32 && column < columns {
            let mut warp = 1;
            while warp < THREADS / 32 {
                sum += shared_load(place + warp * 128);
                warp += 1;
            }
            *sums.add(sums_at.of(problem) as usize + part as usize * columns as usize + column as usize) = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_the_columns() {
        assert_eq!(grid(33, 4, 2), [2, 4, 2]);
    }
}
