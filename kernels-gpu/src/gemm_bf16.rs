//! GEMM on tensor cores: `c = a * b^T`, bf16 with f32 sums. Rows of `a` and `b` are `k` long.
//!
//! # Algorithm
//! ```text
//! for each tile of c (TILE_M x TILE_N), one block:
//!     copies of the first STAGES - 1 slices (TILE_K columns of a and b) are started
//!     for each slice: wait for it, barrier, start the copy of the slice STAGES - 1 further,
//!         for each 16 columns: ldmatrix, then mma.sync m16n8k16 on 4 x 4 fragments
//!     sums are rounded to bf16 and written
//! ```
//! # Thread mapping
//! Blocks walk the tiles in groups of [`GROUP`] tile rows. The 8 warps of a block own 64 x 32 elements
//! each, 2 down and 4 across. For the copies, thread `t` owns 16-byte chunk `t % 8` of rows `t / 8 + 32 * i`.
//! # Shared memory
//! [`STAGES`] stages of an `a` tile, then a `b` tile: rows of 128 bytes whose chunks are permuted
//! (`geometry::swizzled`); [`SHARED_BYTES`] in all, in the dynamic pool.
//! # Cost
//! `2 * m * n * k` flop; reads `m * k * ceil(n / TILE_N) + n * k * ceil(m / TILE_M)` bf16, writes `m * n`.
//! # Tried
//! Assembled by ptxas 13.0 for sm_80 on 2026-11-24; nothing is timed yet. A pointer and a flag for each of the eight
//! rows that a thread copies spill 8 bytes at two blocks per multiprocessor; one pointer per operand does not.

use crate::gemm::Dims;
use crate::geometry::ceil_div;

/// Rows of a block's tile.
pub const TILE_M: u32 = 128;
/// Columns of a block's tile.
pub const TILE_N: u32 = 128;
/// Columns of `a` and `b` in a stage.
pub const TILE_K: u32 = 64;
/// Threads of a block.
pub const THREADS: u32 = 256;
/// Stages of the copies.
pub const STAGES: u32 = 3;
/// Tile rows that blocks walk together.
pub const GROUP: u32 = 8;
/// `k` is a multiple of it: a chunk is 16 bytes.
pub const K_MULTIPLE: u32 = 8;
/// `n` is a multiple of it: sums are written in pairs.
pub const N_MULTIPLE: u32 = 2;
/// Dynamic shared memory of a block: over 48 KiB, so the launcher has to ask for it.
pub const SHARED_BYTES: u32 = STAGES * STAGE_BYTES;

const ROW_BYTES: u32 = TILE_K * 2;
const A_BYTES: u32 = TILE_M * ROW_BYTES;
const STAGE_BYTES: u32 = A_BYTES + TILE_N * ROW_BYTES;

const _: () = assert!(ROW_BYTES == 128, "rows are of eight chunks");
const _: () = assert!(2 * (SHARED_BYTES + 1024) <= 228 * 1024, "two blocks fit on a multiprocessor of an H100");
const _: () = assert!(SHARED_BYTES <= 99 * 1024, "a block fits on every card from sm_80 on");
const _: () = assert!(TILE_M == 2 * 64 && TILE_N == 4 * 32 && THREADS == 8 * 32);

/// The grid.
pub const fn grid(dims: Dims) -> [u32; 3] {
    [ceil_div(dims.m, TILE_M) * ceil_div(dims.n, TILE_N), 1, 1]
}

kernel! {
    /// `c (m x n) = a (m x k) * b (n x k)^T`. Grid: [`grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `a`, `b`, `c` are device pointers to `m * k`, `n * k`, `m * n` bf16, aligned to 16 bytes; `c`
    ///   overlaps neither.
    /// - `m`, `n` and `k` are not zero, `k` is a multiple of [`K_MULTIPLE`], `n` of [`N_MULTIPLE`].
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 2, shared_bytes = SHARED_BYTES]
    GEMM_BF16: fn gemm_bf16(a: *const u16, b: *const u16, c: *mut u16, dims: Dims) {
        use crate::arch::{barrier, commit_copies, thread, wait_for_copies};

        // 1. Identity.
        let (row, column) = device::tile(dims);
        let loader = device::Loader::new(a, b, dims, row, column, thread());
        let reader = device::Reader::new(thread());
        let n_steps = ceil_div(dims.k, TILE_K);

        // 2. The first copies.
        let mut step = 0;
        while step < STAGES - 1 {
            if step < n_steps {
                loader.start(step, step);
            }
            commit_copies();
            step += 1;
        }

        // 3. Multiply one stage while the next ones are copied.
        let mut sums = [[[0.0; 4]; 4]; 4];
        let (mut read, mut write) = (0, STAGES - 1);
        let mut step = 0;
        while step < n_steps {
            wait_for_copies::<{ STAGES - 2 }>();
            barrier();
            if step + STAGES - 1 < n_steps {
                loader.start(step + STAGES - 1, write);
            }
            commit_copies();
            reader.multiply(&mut sums, read);
            read = if read == STAGES - 1 { 0 } else { read + 1 };
            write = if write == STAGES - 1 { 0 } else { write + 1 };
            step += 1;
        }

        // 4. What is inside of c.
        device::store_sums(&sums, c, dims, row, column, thread());
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{A_BYTES, Dims, GROUP, ROW_BYTES, STAGE_BYTES, TILE_K, TILE_M, TILE_N};
    use crate::arch::{bf16_pair, block_x, converge, copy_async, load_matrices, multiply_bf16, shared_base, store_u32};
    use crate::geometry::{ceil_div, grouped_tile, swizzled};

    /// First row and column of the block's tile.
    #[inline(always)]
    pub(super) fn tile(dims: Dims) -> (u32, u32) {
        let (row, column) = grouped_tile(block_x(), ceil_div(dims.m, TILE_M), ceil_div(dims.n, TILE_N), GROUP);
        (row * TILE_M, column * TILE_N)
    }

    /// Where the warp's elements begin in the tile.
    #[inline(always)]
    fn warp_place(thread: u32) -> (u32, u32) {
        let warp = thread / 32;
        (warp % 2 * 64, warp / 2 * 32)
    }

    /// What a thread copies of each slice: one chunk of four rows of `a` and of `b`, 32 rows apart.
    pub(super) struct Loader {
        a: *const u16,
        b: *const u16,
        a_rows_left: u32,
        b_rows_left: u32,
        k: u32,
        chunk: u32,
        place: u32,
    }

    impl Loader {
        /// `row` and `column` are those of the block's tile.
        #[inline(always)]
        pub(super) fn new(a: *const u16, b: *const u16, dims: Dims, row: u32, column: u32, thread: u32) -> Loader {
            let (chunk, tile_row) = (thread % 8, thread / 8);
            let at = |row: u32| row as usize * dims.k as usize + chunk as usize * 8;
            Loader {
                a: a.wrapping_add(at(row + tile_row)),
                b: b.wrapping_add(at(column + tile_row)),
                a_rows_left: dims.m.saturating_sub(row + tile_row),
                b_rows_left: dims.n.saturating_sub(column + tile_row),
                k: dims.k,
                chunk,
                place: shared_base() + swizzled(tile_row, chunk),
            }
        }

        /// Starts the copies of a slice to a stage; what is outside becomes zero.
        ///
        /// # Safety
        /// The kernel's contract; no thread reads the stage.
        #[inline(always)]
        pub(super) unsafe fn start(&self, slice: u32, stage: u32) {
            let inside = slice * TILE_K + self.chunk * 8 < self.k;
            let to = self.place + stage * STAGE_BYTES;
            unroll!(I in 4 {
                let to = to + 32 * ROW_BYTES * I as u32;
                let offset = (slice * TILE_K) as usize + 32 * I * self.k as usize;
                // SAFETY: rows and chunks are inside of the matrices where they are wanted, chunks are
                // aligned because `k` is a multiple of 8, and every place in the stage is one thread's.
                unsafe {
                    copy_async(to, self.a.wrapping_add(offset), inside && 32 * (I as u32) < self.a_rows_left);
                    copy_async(to + A_BYTES, self.b.wrapping_add(offset), inside && 32 * (I as u32) < self.b_rows_left);
                }
            });
        }
    }

    /// Which rows and chunks a lane gives to `ldmatrix`.
    pub(super) struct Reader {
        a_row: u32,
        b_row: u32,
        a_chunk: u32,
        b_chunk: u32,
        swizzle: u32,
    }

    impl Reader {
        #[inline(always)]
        pub(super) fn new(thread: u32) -> Reader {
            let lane = thread % 32;
            let (row, column) = warp_place(thread);
            Reader {
                a_row: shared_base() + (row + lane % 16) * ROW_BYTES,
                b_row: shared_base() + A_BYTES + (column + lane / 16 * 8 + lane % 8) * ROW_BYTES,
                a_chunk: lane / 16,
                b_chunk: lane / 8 % 2,
                swizzle: lane % 8,
            }
        }

        /// Adds the products of a stage.
        ///
        /// # Safety
        /// All lanes of the warp reach it; the stage is copied, and a barrier lies between.
        #[inline(always)]
        pub(super) unsafe fn multiply(&self, sums: &mut [[[f32; 4]; 4]; 4], stage: u32) {
            let a = self.a_row + stage * STAGE_BYTES;
            let b = self.b_row + stage * STAGE_BYTES;
            unroll!(K in 4 {
                let a = a + (((2 * K as u32 + self.a_chunk) ^ self.swizzle) << 4);
                let b = b + (((2 * K as u32 + self.b_chunk) ^ self.swizzle) << 4);
                // SAFETY: the caller's contract; rows and chunks are those of the warp in the stage.
                unsafe {
                    converge();
                    let a = [
                        load_matrices(a),
                        load_matrices(a + 16 * ROW_BYTES),
                        load_matrices(a + 32 * ROW_BYTES),
                        load_matrices(a + 48 * ROW_BYTES),
                    ];
                    let b = [load_matrices(b), load_matrices(b + 16 * ROW_BYTES)];
                    unroll!(I in 4 {
                        unroll!(J in 4 {
                            let b = [b[J / 2][2 * (J % 2)], b[J / 2][2 * (J % 2) + 1]];
                            multiply_bf16(&mut sums[I][J], a[I], b);
                        });
                    });
                }
            });
        }
    }

    /// Writes the pairs that are inside of `c`.
    ///
    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn store_sums(
        sums: &[[[f32; 4]; 4]; 4],
        c: *mut u16,
        dims: Dims,
        row: u32,
        column: u32,
        thread: u32,
    ) {
        let lane = thread % 32;
        let (warp_row, warp_column) = warp_place(thread);
        let row = row + warp_row + lane / 4;
        let column = column + warp_column + lane % 4 * 2;
        let at = |row: u32, column: u32| c.wrapping_add(row as usize * dims.n as usize + column as usize).cast();
        unroll!(I in 4 {
            unroll!(J in 4 {
                let (row, column) = (row + 16 * I as u32, column + 8 * J as u32);
                let [first, second, third, fourth] = sums[I][J];
                if column < dims.n {
                    // SAFETY: the pair is inside, and aligned because `n` and `column` are even.
                    unsafe {
                        if row < dims.m {
                            store_u32(at(row, column), bf16_pair(first, second));
                        }
                        if row + 8 < dims.m {
                            store_u32(at(row + 8, column), bf16_pair(third, fourth));
                        }
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_the_tiles() {
        assert_eq!(grid(Dims { m: 1, n: 2, k: 8 }), [1, 1, 1]);
        assert_eq!(grid(Dims { m: 257, n: 130, k: 8 }), [3 * 2, 1, 1]);
    }
}
