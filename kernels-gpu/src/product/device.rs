//! The block and the thread of a product.

use super::copy::Copy;
use super::{LEFT_BYTES, LEFT_PITCH, Places, Product, RIGHT_PITCH, STAGE_BYTES, STAGES, TILE_K, TILE_M, TILE_N};
use crate::arch::{
    F32x4, barrier, block_x, block_z, commit_copies, fma, shared_base, shared_load4, thread, wait_for_copies,
};
use crate::geometry::ceil_div;

/// What a block computes.
#[derive(Clone, Copy)]
pub struct Block {
    /// Which product.
    pub problem: u32,
    /// Which part of its sums.
    pub part: u32,
    /// The first row of the tile.
    pub row: u32,
    /// The first column.
    pub column: u32,
}

impl Block {
    /// This one.
    #[inline(always)]
    pub fn new(product: Product) -> Block {
        let (x, z, tiles_n) = (block_x(), block_z(), ceil_div(product.n, TILE_N));
        let (problem, part) = (z / product.parts, z % product.parts);
        Block { problem, part, row: x / tiles_n * TILE_M, column: x % tiles_n * TILE_N }
    }
}

/// The operands of all problems.
#[derive(Clone, Copy)]
pub struct Matrices {
    /// Base of the left one.
    pub left: *const f32,
    /// Its places.
    pub left_at: Places,
    /// Base of the right one.
    pub right: *const f32,
    /// Its places.
    pub right_at: Places,
}

/// Steps through the terms of a part: which source, which term.
struct Steps<'a> {
    matrices: &'a Matrices,
    problem: u32,
    source: u32,
    k: u32,
    first: u32,
    end: u32,
}

impl Steps<'_> {
    /// Starts the copies of a step to a stage, and goes on to the next step.
    ///
    /// # Safety
    /// As [`Copy::start`].
    #[inline(always)]
    unsafe fn start(&mut self, left: &impl Copy, right: &impl Copy, stage: u32) {
        let Matrices { left_at, right_at, .. } = *self.matrices;
        // SAFETY: the caller's contract; the places are those of the source.
        unsafe {
            let from = self.matrices.left.add(left_at.of(self.source, self.problem) as usize);
            left.start(from, stage, self.k);
            let from = self.matrices.right.add(right_at.of(self.source, self.problem) as usize);
            right.start(from, stage + LEFT_BYTES, self.k);
        }
        self.k += TILE_K;
        if self.k >= self.end {
            self.k = self.first;
            self.source += 1;
        }
    }
}

/// The thread's 8 x 8 sums of a part.
///
/// # Safety
/// The kernel's contract: all threads of the block reach it, with the whole pool, and what the copies want is
/// inside of the operands.
#[inline(always)]
pub unsafe fn multiply(
    block: Block,
    product: Product,
    matrices: &Matrices,
    left: &impl Copy,
    right: &impl Copy,
) -> [[f32; 8]; 8] {
    let (source, first) = product.part(block.part);
    let end = if first + product.slice < product.k { first + product.slice } else { product.k };
    let n_steps = ceil_div(end - first, TILE_K) * product.joined;
    let mut steps = Steps { matrices, problem: block.problem, source, k: first, first, end };
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
    let mut sums = [[0.0; 8]; 8];
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
            multiply_stage(&mut sums, pool + read);
        }
        read = if read == (STAGES - 1) * STAGE_BYTES { 0 } else { read + STAGE_BYTES };
        write = if write == (STAGES - 1) * STAGE_BYTES { 0 } else { write + STAGE_BYTES };
        step += 1;
    }
    sums
}

/// Eight floats: four at `address`, four `APART` bytes further.
///
/// # Safety
/// Both are in the pool, aligned to 16 bytes, and written.
#[inline(always)]
unsafe fn fragment<const APART: u32>(address: u32) -> [f32; 8] {
    // SAFETY: the caller's contract.
    let (low, high) = unsafe { (shared_load4(address), shared_load4(address + APART)) };
    [low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w]
}

/// Adds the products of a stage, in ascending order of the terms.
///
/// # Safety
/// The stage is written, and a barrier lies between.
#[inline(always)]
unsafe fn multiply_stage(sums: &mut [[f32; 8]; 8], stage: u32) {
    let left_at = stage + thread() / 8 * 16;
    let right_at = stage + LEFT_BYTES + thread() % 8 * 16;
    unroll!(K in 8 {
        const LEFT: u32 = K as u32 * LEFT_PITCH * 4;
        const RIGHT: u32 = K as u32 * RIGHT_PITCH * 4;
        // SAFETY: 16-byte places inside of the stage.
        let (a, b) = unsafe { (fragment::<256>(left_at + LEFT), fragment::<128>(right_at + RIGHT)) };
        unroll!(I in 8 {
            unroll!(J in 8 {
                sums[I][J] = fma(a[I], b[J], sums[I][J]);
            });
        });
    });
}

/// Writes the elements that are inside of `out`, each changed by `finish`, which also gets its column.
///
/// # Safety
/// `out` points to the part's `m * n` floats, and its region is aligned to 16 bytes; `at` is its place there.
#[inline(always)]
pub unsafe fn store(
    sums: &[[f32; 8]; 8],
    block: Block,
    product: Product,
    out: *mut f32,
    at: u32,
    finish: impl Fn(f32, u32) -> f32,
) {
    let Product { m, n, .. } = product;
    let at = at as usize + block.part as usize * (m as usize * n as usize);
    let by_four = (at as u32 | n) % 4 == 0;
    let (row, column) = (block.row + thread() / 8 * 4, block.column + thread() % 8 * 4);
    unroll!(I in 8 {
        let row = row + I as u32 / 4 * 64 + I as u32 % 4;
        unroll!(H in 2 {
            let column = column + 32 * H as u32;
            if row < m && column < n {
                let left = n - column;
                let value = |j: usize, sum: f32| finish(sum, column + j as u32);
                // SAFETY: the row is inside, and so are the columns that are written; four of them are aligned
                // where the place and every row are multiples of four.
                unsafe {
                    let to = out.add(at + row as usize * n as usize + column as usize);
                    if by_four {
                        F32x4::new(
                            value(0, sums[I][4 * H]),
                            value(1, sums[I][4 * H + 1]),
                            value(2, sums[I][4 * H + 2]),
                            value(3, sums[I][4 * H + 3]),
                        ).store(to);
                    } else {
                        unroll!(J in 4 {
                            if (J as u32) < left {
                                *to.add(J) = value(J, sums[I][4 * H + J]);
                            }
                        });
                    }
                }
            }
        });
    });
}
