//! Index arithmetic that kernels and launchers share.

/// How many pieces of `size` cover `n`.
pub const fn ceil_div(n: u32, size: u32) -> u32 {
    n.div_ceil(size)
}

/// The tile `(row, column)` that block `block` owns, walking the tiles in groups of `group` tile
/// rows: blocks that run at the same time then share operands in the L2 cache.
///
/// `tiles_n` and `group` are at least 1, and `block` is below `tiles_m * tiles_n`.
#[inline(always)]
pub const fn grouped_tile(block: u32, tiles_m: u32, tiles_n: u32, group: u32) -> (u32, u32) {
    let per_group = group * tiles_n;
    let first_row = block / per_group * group;
    let rows_left = tiles_m - first_row;
    let rows = if rows_left < group { rows_left } else { group };
    let inside = block % per_group;
    (first_row + inside % rows, inside / rows)
}

/// The byte at which 16-byte chunk `chunk` (0 to 7) of a 128-byte row lies in shared memory.
///
/// Chunks are permuted by the row's number, so that the eight rows of an `ldmatrix` load lie in
/// eight different groups of banks.
#[inline(always)]
pub const fn swizzled(row: u32, chunk: u32) -> u32 {
    row * 128 + ((chunk ^ (row & 7)) << 4)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_tile_is_owned_once() {
        for (tiles_m, tiles_n, group) in [(1, 1, 8), (3, 5, 8), (8, 1, 8), (17, 4, 8), (20, 7, 3), (1, 9, 1)] {
            let owned: HashSet<(u32, u32)> =
                (0..tiles_m * tiles_n).map(|block| grouped_tile(block, tiles_m, tiles_n, group)).collect();
            assert_eq!(owned.len() as u32, tiles_m * tiles_n, "{tiles_m} x {tiles_n} in groups of {group}");
            assert!(owned.iter().all(|&(row, column)| row < tiles_m && column < tiles_n));
        }
    }

    #[test]
    fn blocks_of_a_group_stay_in_its_rows() {
        let rows: HashSet<u32> = (0..8 * 5).map(|block| grouped_tile(block, 20, 5, 8).0).collect();
        assert_eq!(rows, (0..8).collect());
    }

    #[test]
    fn chunks_of_a_tile_do_not_collide() {
        let places: HashSet<u32> = (0..128).flat_map(|row| (0..8).map(move |chunk| swizzled(row, chunk))).collect();
        assert_eq!(places.len(), 128 * 8);
        assert!(places.iter().all(|&place| place < 128 * 128 && place.is_multiple_of(16)));
    }

    #[test]
    fn eight_rows_of_a_chunk_use_all_banks() {
        for first_row in (0..128).step_by(8) {
            for chunk in 0..8 {
                let banks: HashSet<u32> = (0..8).map(|row| swizzled(first_row + row, chunk) / 4 % 32).collect();
                assert_eq!(banks.len(), 8);
            }
        }
    }
}
