//! The matrix product under all layers with weights, on tensor cores: bf16 operands, f32 sums, any shape.
//!
//! It is [`crate::product`] with other tiles: the same problems, sources, parts and windows, and the same order of
//! operands. Inside of 16 terms the order is the hardware's.
//!
//! # Algorithm
//! ```text
//! for each tile of out (TILE x TILE) of each part of each problem, one block:
//!     for each step of TILE_K terms: both operands are copied to shared memory STAGES - 1 steps ahead;
//!         for each 16 terms: ldmatrix, then mma.sync m16n8k16 on 4 x 4 fragments of a warp
//! ```
//! # Thread mapping
//! Block `(x, 0, z)` owns tile `x`, counted along rows, of part `z % parts` of problem `z / parts`. Its 8 warps own
//! 64 x 32 elements each, 2 down and 4 across. Each thread copies four chunks of 8 elements of each operand.
//! # Shared memory
//! [`STAGES`] stages of a left tile, then a right one. Where terms are neighbours in memory, a tile has [`TILE`] rows
//! of 64 terms; where they are not, 64 rows of [`TILE`], which `ldmatrix` transposes. Chunks of a row are permuted by
//! the row's number, so that eight rows are read without bank conflicts.
//! # Cost
//! `2 * m * n * k` operations; reads `m * k * ceil(n / TILE) + k * n * ceil(m / TILE)` bf16, mostly from the L2 cache.
//! # Tried
//! Assembled for sm_80, run on the simulator; nothing is timed yet.

pub mod conv;
#[cfg(target_arch = "nvptx64")]
mod operand;

use crate::geometry::ceil_div;
use crate::product::Product;

/// Rows and columns of a block's tile.
pub const TILE: u32 = 128;
/// Terms that are added per step.
pub const TILE_K: u32 = 64;
/// Threads of a block.
pub const THREADS: u32 = 256;
/// Stages of the copies.
pub const STAGES: u32 = 3;
/// Elements that are copied together where channels, columns and places are multiples of it.
pub const CHUNK: u32 = 8;
/// Dynamic shared memory of a block: over 48 KiB, so the launcher has to ask for it.
pub const SHARED_BYTES: u32 = STAGES * STAGE_BYTES;

const TILE_BYTES: u32 = TILE * TILE_K * 2;
const STAGE_BYTES: u32 = 2 * TILE_BYTES;

const _: () = assert!(SHARED_BYTES <= 99 * 1024, "a block fits on every card from sm_80 on");
const _: () = assert!(TILE * TILE == THREADS / 32 * 64 * 32, "a warp owns 64 x 32 elements");
const _: () = assert!(TILE * TILE_K == 4 * THREADS * CHUNK, "a thread copies four chunks");

/// One part for all sources, which are added in order: a forward pass.
pub const fn join(m: u32, n: u32, k: u32, sources: u32) -> Product {
    let slice = ceil_div(k, TILE_K) * TILE_K;
    Product { m, n, k, slice, slices: 1, joined: sources, parts: 1 }
}

/// Parts of at most about `slice` terms of each source: gradients.
pub const fn split(m: u32, n: u32, k: u32, sources: u32, slice: u32) -> Product {
    let slice = ceil_div(ceil_div(k, ceil_div(k, slice)), TILE_K) * TILE_K;
    let slices = ceil_div(k, slice);
    Product { m, n, k, slice, slices, joined: 1, parts: sources * slices }
}

/// The grid for a number of problems.
pub const fn grid(product: Product, problems: u32) -> [u32; 3] {
    [ceil_div(product.m, TILE) * ceil_div(product.n, TILE), 1, problems * product.parts]
}

#[cfg(target_arch = "nvptx64")]
use device::{Block, Matrices, each_pair, multiply};

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::operand::Operand;
    use super::{STAGE_BYTES, STAGES, TILE, TILE_BYTES, TILE_K};
    use crate::arch::{
        barrier, block_x, block_z, commit_copies, converge, multiply_bf16, shared_base, thread, wait_for_copies,
    };
    use crate::geometry::ceil_div;
    use crate::product::{Places, Product};

    /// What a block computes.
    #[derive(Clone, Copy)]
    pub(super) struct Block {
        pub(super) problem: u32,
        pub(super) part: u32,
        /// The first row and column of the tile.
        pub(super) row: u32,
        pub(super) column: u32,
    }

    impl Block {
        /// This one.
        #[inline(always)]
        pub(super) fn new(product: Product) -> Block {
            let (x, z, tiles_n) = (block_x(), block_z(), ceil_div(product.n, TILE));
            let (problem, part) = (z / product.parts, z % product.parts);
            Block { problem, part, row: x / tiles_n * TILE, column: x % tiles_n * TILE }
        }
    }

    /// The operands of all problems.
    pub(super) struct Matrices {
        pub(super) left: *const u16,
        pub(super) left_at: Places,
        pub(super) right: *const u16,
        pub(super) right_at: Places,
        /// Whether operands are copied in chunks: not 0 for yes.
        pub(super) chunked: u32,
    }

    /// Steps through the terms of a part: which source, which term.
    struct Steps<'a> {
        matrices: &'a Matrices,
        block: Block,
        source: u32,
        k: u32,
        first: u32,
        end: u32,
    }

    impl Steps<'_> {
        /// Starts the copies of a step to a stage, and goes on to the next step.
        ///
        /// # Safety
        /// As [`Operand::start`].
        #[inline(always)]
        unsafe fn start(&mut self, left: &impl Operand, right: &impl Operand, stage: u32) {
            let Matrices { left_at, right_at, chunked, .. } = *self.matrices;
            let Block { problem, row, column, .. } = self.block;
            // SAFETY: the caller's contract; the places are those of the source.
            unsafe {
                let from = self.matrices.left.add(left_at.of(self.source, problem) as usize);
                left.start(from, stage, row, self.k, chunked != 0);
                let from = self.matrices.right.add(right_at.of(self.source, problem) as usize);
                right.start(from, stage + TILE_BYTES, column, self.k, chunked != 0);
            }
            self.k += TILE_K;
            if self.k >= self.end {
                self.k = self.first;
                self.source += 1;
            }
        }
    }

    /// Sums of a thread: 4 x 4 fragments of four.
    pub(super) type Sums = [[[f32; 4]; 4]; 4];

    /// The thread's sums of a part.
    ///
    /// # Safety
    /// The kernel's contract: all threads of the block reach it, with the whole pool, and what the operands want is
    /// inside of them.
    #[inline(always)]
    pub(super) unsafe fn multiply<L: Operand, R: Operand>(
        block: Block,
        product: Product,
        matrices: &Matrices,
        left: &L,
        right: &R,
    ) -> Sums {
        let (source, first) = product.part(block.part);
        let end = if first + product.slice < product.k { first + product.slice } else { product.k };
        let n_steps = ceil_div(end - first, TILE_K) * product.joined;
        let mut steps = Steps { matrices, block, source, k: first, first, end };
        let pool = shared_base();

        // 1. The first copies.
        let mut step = 0;
        while step < STAGES - 1 {
            if step < n_steps {
                // SAFETY: nobody reads the stages yet.
                unsafe { steps.start(left, right, pool + step * STAGE_BYTES) };
            }
            commit_copies();
            step += 1;
        }

        // 2. Multiply one stage while the next ones are copied.
        let mut sums = [[[0.0; 4]; 4]; 4];
        let (mut read, mut write) = (0, (STAGES - 1) * STAGE_BYTES);
        let mut step = 0;
        while step < n_steps {
            wait_for_copies::<{ STAGES - 2 }>();
            // SAFETY: `n_steps` is the block's. Behind the barrier the stage to read has been copied by all threads,
            // and the one to write, which was read a step ago, is free.
            unsafe {
                barrier();
                if step + STAGES - 1 < n_steps {
                    steps.start(left, right, pool + write);
                }
                commit_copies();
                multiply_stage::<L, R>(&mut sums, pool + read);
            }
            read = if read == (STAGES - 1) * STAGE_BYTES { 0 } else { read + STAGE_BYTES };
            write = if write == (STAGES - 1) * STAGE_BYTES { 0 } else { write + STAGE_BYTES };
            step += 1;
        }
        sums
    }

    /// Where the warp's elements begin in the tile.
    #[inline(always)]
    fn warp_place() -> (u32, u32) {
        let warp = thread() / 32;
        (warp % 2 * 64, warp / 2 * 32)
    }

    /// Adds the products of a stage.
    ///
    /// # Safety
    /// All lanes of the warp reach it; the stage is copied, and a barrier lies between.
    #[inline(always)]
    unsafe fn multiply_stage<L: Operand, R: Operand>(sums: &mut Sums, stage: u32) {
        let (row, column) = warp_place();
        // Fragments of the left operand go down first, then along the terms; those of the right one the other way.
        let (first, second) = (thread() / 8 % 2, thread() / 16 % 2);
        unroll!(K in 4 {
            const TERM: u32 = 16 * K as u32;
            // SAFETY: the caller's contract; all places are those of the warp in the stage.
            unsafe {
                converge();
                let a = [
                    L::load(stage, row, TERM, first, second),
                    L::load(stage, row + 16, TERM, first, second),
                    L::load(stage, row + 32, TERM, first, second),
                    L::load(stage, row + 48, TERM, first, second),
                ];
                let b = [
                    R::load(stage + TILE_BYTES, column, TERM, second, first),
                    R::load(stage + TILE_BYTES, column + 16, TERM, second, first),
                ];
                unroll!(I in 4 {
                    unroll!(J in 4 {
                        let b = [b[J / 2][2 * (J % 2)], b[J / 2][2 * (J % 2) + 1]];
                        multiply_bf16(&mut sums[I][J], a[I], b);
                    });
                });
            }
        });
    }

    /// Gives every pair of neighbours whose first is inside of `out`: row, column, both sums.
    #[inline(always)]
    pub(super) fn each_pair(sums: &Sums, block: Block, product: Product, mut write: impl FnMut(u32, u32, [f32; 2])) {
        let (row, column) = warp_place();
        let lane = thread() % 32;
        let (row, column) = (block.row + row + lane / 4, block.column + column + lane % 4 * 2);
        unroll!(I in 4 {
            unroll!(J in 4 {
                let (row, column) = (row + 16 * I as u32, column + 8 * J as u32);
                let [first, second, third, fourth] = sums[I][J];
                if column < product.n {
                    if row < product.m {
                        write(row, column, [first, second]);
                    }
                    if row + 8 < product.m {
                        write(row + 8, column, [third, fourth]);
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
    fn parts_cover_the_terms() {
        for (k, slice) in [(1, 2304), (64, 64), (65, 64), (4608, 1024), (93_312, 11_664)] {
            let product = split(5, 6, k, 2, slice);
            assert!(product.slice.is_multiple_of(TILE_K));
            assert_eq!(product.parts, 2 * product.slices);
            assert!((product.slices - 1) * product.slice < k && product.slices * product.slice >= k, "{product:?}");
        }
        assert_eq!(join(5, 6, 65, 2).slice, 128);
        assert_eq!(grid(split(129, 128, 65, 2, 64), 2), [2, 1, 2 * 4]);
    }
}
