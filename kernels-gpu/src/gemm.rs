//! GEMM: `c = a * b`, f32, row-major, any shape.
//!
//! # Algorithm
//! ```text
//! for each tile of c (TILE_M x TILE_N), one block:
//!     for k0 in 0, TILE_K, ..: tiles of a and b go through registers to shared memory;
//!         while the next ones are on their way, each thread adds TILE_K products
//!         to its 8 x 8 elements
//! ```
//! Both kernels add the products of an element in ascending `k` by fused multiply-adds from zero, so
//! they give the same bits.
//! # Thread mapping
//! `gemm_naive`: a thread owns an element; a block 256 elements of one row.
//! `gemm_tiled`: block `(x, y)` owns tile column `x` and tile row `y`. With `tx = thread % 16` and
//! `ty = thread / 16` a thread owns rows `4 * ty ..` and `64 + 4 * ty ..`, columns `4 * tx ..` and
//! `64 + 4 * tx ..`, four of each: the reads of a warp are then without bank conflicts.
//! Where rows of an operand are multiples of 16 bytes, device memory is read and written 16 bytes at a time.
//! # Shared memory
//! Two stages of an `a` tile, transposed (`TILE_K` rows of [`A_PITCH`] floats), then a `b` tile; [`SHARED_BYTES`] in
//! all, in the dynamic pool. While one stage is read the other is written: one barrier per step.
//! # Cost
//! `2 * m * n * k` flop. `gemm_naive` reads `2 * m * n * k` floats, mostly from caches; `gemm_tiled`
//! `m * k * ceil(n / TILE_N) + k * n * ceil(m / TILE_M)`. Both write `m * n`.
//! # Tried
//! Assembled by ptxas 13.0 for sm_80 on 2026-11-24; nothing is timed yet. 16 columns per step instead of 8 spill 20 bytes
//! at two blocks per multiprocessor. Plain Rust stores of four floats are merged with the scalar ones at the edge, and
//! come out as pieces of 4 and 8 bytes; so `F32x4::store` is assembly.

use crate::geometry::ceil_div;
use crate::{Argument, Kind};

/// Rows of a block's tile.
pub const TILE_M: u32 = 128;
/// Columns of a block's tile.
pub const TILE_N: u32 = 128;
/// Products that are added per step.
pub const TILE_K: u32 = 8;
/// Threads of a block, of both kernels.
pub const THREADS: u32 = 256;
/// Floats from one row of the transposed `a` tile to the next; four more than its width, against
/// bank conflicts when it is written.
pub const A_PITCH: u32 = TILE_M + 4;
/// Dynamic shared memory of a block of `gemm_tiled`.
pub const SHARED_BYTES: u32 = 2 * STAGE_BYTES;

const A_BYTES: u32 = TILE_K * A_PITCH * 4;
const STAGE_BYTES: u32 = A_BYTES + TILE_K * TILE_N * 4;

const _: () = assert!(SHARED_BYTES <= 48 * 1024, "more needs a launch attribute");
const _: () = assert!(TILE_M * TILE_N == THREADS * 64, "a thread owns 8 x 8 elements");
const _: () = assert!(TILE_M * TILE_K == THREADS * 4 && TILE_N * TILE_K == THREADS * 4, "it loads four of each");
const _: () = assert!(A_BYTES.is_multiple_of(16) && A_PITCH.is_multiple_of(4), "reads are of 16 bytes");

/// `a` is `m x k`, `b` is `k x n`, `c` is `m x n`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of `a` and `c`.
    pub m: u32,
    /// Columns of `b` and `c`.
    pub n: u32,
    /// Columns of `a`, rows of `b`.
    pub k: u32,
}

const _: () = assert!(size_of::<Dims>() == 12 && align_of::<Dims>() == 4);

impl Argument for Dims {
    const KIND: Kind = Kind::Struct;
}

/// The grid of `gemm_naive`.
pub const fn naive_grid(dims: Dims) -> [u32; 3] {
    [ceil_div(dims.n, THREADS), dims.m, 1]
}

/// The grid of `gemm_tiled`.
pub const fn tiled_grid(dims: Dims) -> [u32; 3] {
    [ceil_div(dims.n, TILE_N), ceil_div(dims.m, TILE_M), 1]
}

/// The place `(row, k)` in the tile of `a` of the four neighbours in `k` that a thread loads.
#[inline(always)]
pub const fn a_place(thread: u32) -> (u32, u32) {
    (thread / (TILE_K / 4), thread % (TILE_K / 4) * 4)
}

/// The place `(k, column)` in the tile of `b` of the four neighbours in a row that a thread loads.
#[inline(always)]
pub const fn b_place(thread: u32) -> (u32, u32) {
    (thread / (TILE_N / 4), thread % (TILE_N / 4) * 4)
}

/// The row in the block's tile of a thread's `i`-th row (of 8); `part` is `thread / 16`. The same for columns, with
/// `thread % 16`.
#[inline(always)]
pub const fn owned(part: u32, i: u32) -> u32 {
    i / 4 * 64 + part * 4 + i % 4
}

kernel! {
    /// One thread per element: the oracle. Grid: [`naive_grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `a`, `b`, `c` are device pointers to `m * k`, `k * n`, `m * n` floats; `c` overlaps neither.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    GEMM_NAIVE: fn gemm_naive(a: *const f32, b: *const f32, c: *mut f32, dims: Dims) {
        use crate::arch::{block_x, block_y, fma, thread};

        let Dims { n, k, .. } = dims;
        let (row, column) = (block_y() as usize, block_x() * THREADS + thread());
        if column < n {
            let (a, b) = (a.add(row * k as usize), b.add(column as usize));
            let mut sum = 0.0;
            let mut i = 0;
            while i < k as usize {
                sum = fma(*a.add(i), *b.add(i * n as usize), sum);
                i += 1;
            }
            *c.add(row * n as usize + column as usize) = sum;
        }
    }
}

kernel! {
    /// Tiles in shared memory, 8 x 8 elements in registers. Grid: [`tiled_grid`]; block: [`THREADS`];
    /// dynamic shared memory: [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `a`, `b`, `c` are device pointers to `m * k`, `k * n`, `m * n` floats, aligned to 16 bytes; `c` overlaps neither.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 2, shared_bytes = SHARED_BYTES]
    GEMM_TILED: fn gemm_tiled(a: *const f32, b: *const f32, c: *mut f32, dims: Dims) {
        use crate::arch::{barrier, block_x, block_y, shared_base, thread};

        // 1. Identity.
        let (thread, shared) = (thread(), shared_base());
        let (row, column) = (block_y() * TILE_M, block_x() * TILE_N);
        let n_steps = ceil_div(dims.k, TILE_K);

        // 2. The first tiles.
        let (mut a_part, mut b_part) = device::load_tiles(a, b, dims, row, column, 0, thread);
        device::store_tiles(shared, thread, a_part, b_part);
        barrier();

        // 3. Add products of one stage while the next one is loaded.
        let mut sums = [[0.0; 8]; 8];
        let mut stage = 0;
        let mut step = 1;
        while step < n_steps {
            (a_part, b_part) = device::load_tiles(a, b, dims, row, column, step * TILE_K, thread);
            device::multiply_tile(&mut sums, shared + stage, thread);
            stage = STAGE_BYTES - stage;
            device::store_tiles(shared + stage, thread, a_part, b_part);
            barrier();
            step += 1;
        }
        device::multiply_tile(&mut sums, shared + stage, thread);

        // 4. What is inside of c.
        device::store_sums(&sums, c, dims, row, column, thread);
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{A_BYTES, A_PITCH, Dims, TILE_K, TILE_N, a_place, b_place, owned};
    use crate::arch::{F32x4, fma, shared_load4, shared_store};

    /// Four neighbours of a row-major matrix; zero outside of it.
    ///
    /// # Safety
    /// `matrix` points to `rows * columns` floats, aligned to 16 bytes; `column` is a multiple of 4.
    #[inline(always)]
    unsafe fn load4(matrix: *const f32, rows: u32, columns: u32, row: u32, column: u32) -> F32x4 {
        let mut four = F32x4::splat(0.0);
        if row < rows && column < columns {
            // SAFETY: inside of the matrix; where `columns` is a multiple of 4, rows are aligned and
            // the four are inside together.
            unsafe {
                let first = matrix.add(row as usize * columns as usize + column as usize);
                if columns % 4 == 0 {
                    four = F32x4::load(first);
                } else {
                    let left = columns - column;
                    four.x = *first;
                    four.y = if left > 1 { *first.add(1) } else { 0.0 };
                    four.z = if left > 2 { *first.add(2) } else { 0.0 };
                    four.w = if left > 3 { *first.add(3) } else { 0.0 };
                }
            }
        }
        four
    }

    /// This thread's part of both tiles, from `k` on.
    ///
    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn load_tiles(
        a: *const f32,
        b: *const f32,
        dims: Dims,
        row: u32,
        column: u32,
        k: u32,
        thread: u32,
    ) -> (F32x4, F32x4) {
        let ((a_row, a_k), (b_k, b_column)) = (a_place(thread), b_place(thread));
        // SAFETY: the kernel's contract; `k`, `column` and places in tiles are multiples of 4.
        unsafe {
            (load4(a, dims.m, dims.k, row + a_row, k + a_k), load4(b, dims.k, dims.n, k + b_k, column + b_column))
        }
    }

    /// Writes this thread's part of both tiles to the stage at `stage`.
    ///
    /// # Safety
    /// `stage` has room for both tiles, and no thread reads it.
    #[inline(always)]
    pub(super) unsafe fn store_tiles(stage: u32, thread: u32, a_part: F32x4, b_part: F32x4) {
        let ((row, k), (b_k, column)) = (a_place(thread), b_place(thread));
        let at = stage + (k * A_PITCH + row) * 4;
        // SAFETY: places of a thread lie in the tiles and belong to it alone.
        unsafe {
            shared_store(at, a_part.x);
            shared_store(at + A_PITCH * 4, a_part.y);
            shared_store(at + A_PITCH * 8, a_part.z);
            shared_store(at + A_PITCH * 12, a_part.w);
            shared_store(stage + A_BYTES + (b_k * TILE_N + column) * 4, b_part);
        }
    }

    /// Eight floats: four at `address`, four 64 floats further.
    ///
    /// # Safety
    /// Both are in the pool, aligned to 16 bytes, and written.
    #[inline(always)]
    unsafe fn fragment(address: u32) -> [f32; 8] {
        // SAFETY: the caller's contract.
        let (low, high) = unsafe { (shared_load4(address), shared_load4(address + 256)) };
        [low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w]
    }

    /// Adds the products of a stage, in ascending `k`.
    ///
    /// # Safety
    /// The stage is written, and a barrier lies between.
    #[inline(always)]
    pub(super) unsafe fn multiply_tile(sums: &mut [[f32; 8]; 8], stage: u32, thread: u32) {
        let mut a_at = stage + thread / 16 * 16;
        let mut b_at = stage + A_BYTES + thread % 16 * 16;
        let mut k = 0;
        while k < TILE_K {
            // SAFETY: 16-byte places inside of the stage.
            let (a, b) = unsafe { (fragment(a_at), fragment(b_at)) };
            unroll!(I in 8 {
                unroll!(J in 8 {
                    sums[I][J] = fma(a[I], b[J], sums[I][J]);
                });
            });
            a_at += A_PITCH * 4;
            b_at += TILE_N * 4;
            k += 1;
        }
    }

    /// Writes the elements that are inside of `c`.
    ///
    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn store_sums(sums: &[[f32; 8]; 8], c: *mut f32, dims: Dims, row: u32, column: u32, thread: u32) {
        unroll!(I in 8 {
            let row = row + owned(thread / 16, I as u32);
            if row < dims.m {
                unroll!(H in 2 {
                    const J: usize = 4 * H;
                    let column = column + owned(thread % 16, J as u32);
                    let four = F32x4::new(sums[I][J], sums[I][J + 1], sums[I][J + 2], sums[I][J + 3]);
                    // SAFETY: the row is inside; `store4` sees to the columns.
                    unsafe { store4(c, dims.n, row, column, four) }
                });
            }
        });
    }

    /// Writes those of four neighbours that are inside of a row.
    ///
    /// # Safety
    /// `row` is a row of the matrix, which is aligned to 16 bytes; `column` is a multiple of 4.
    #[inline(always)]
    unsafe fn store4(matrix: *mut f32, columns: u32, row: u32, column: u32, four: F32x4) {
        if column < columns {
            // SAFETY: inside of the matrix; where `columns` is a multiple of 4, rows are aligned and
            // the four are inside together.
            unsafe {
                let first = matrix.add(row as usize * columns as usize + column as usize);
                if columns % 4 == 0 {
                    four.store(first);
                } else {
                    let left = columns - column;
                    *first = four.x;
                    if left > 1 {
                        *first.add(1) = four.y;
                    }
                    if left > 2 {
                        *first.add(2) = four.z;
                    }
                    if left > 3 {
                        *first.add(3) = four.w;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn threads_load_each_place_once() {
        let a: HashSet<(u32, u32)> = (0..THREADS).map(a_place).collect();
        assert_eq!(a.len() as u32 * 4, TILE_M * TILE_K);
        assert!(a.iter().all(|&(row, k)| row < TILE_M && k < TILE_K && k % 4 == 0));
        let b: HashSet<(u32, u32)> = (0..THREADS).map(b_place).collect();
        assert_eq!(b.len() as u32 * 4, TILE_N * TILE_K);
        assert!(b.iter().all(|&(k, column)| k < TILE_K && column < TILE_N && column % 4 == 0));
    }

    #[test]
    fn threads_own_each_row_once() {
        let rows: HashSet<u32> = (0..16).flat_map(|part| (0..8).map(move |i| owned(part, i))).collect();
        assert_eq!(rows, (0..TILE_M).collect());
    }

    #[test]
    fn grids_cover_any_shape() {
        let dims = Dims { m: 1, n: 1, k: 1 };
        assert_eq!((naive_grid(dims), tiled_grid(dims)), ([1, 1, 1], [1, 1, 1]));
        let dims = Dims { m: 129, n: 257, k: 5 };
        assert_eq!((naive_grid(dims), tiled_grid(dims)), ([2, 129, 1], [3, 2, 1]));
    }
}
