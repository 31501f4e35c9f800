//! The block and the warp of a product on tensor cores.

use super::operand::{Extent, Operand};
use super::{LEFT_BYTES, STAGES, TILE_K, TILE_ROWS};
use crate::arch::{
    barrier, bf16_pair, block_x, block_z, commit_copies, converge, multiply_bf16, shared_base, store_u32, thread,
    wait_for_copies,
};
use crate::geometry::ceil_div;
use crate::product::{Places, Product};

/// The rows of a tile.
pub(super) struct Rows128;

impl Extent for Rows128 {
    const OUTER: u32 = TILE_ROWS;
}

/// The columns of a tile, and how its four warps share it.
pub(super) trait Tile: Extent {
    /// Warps one below the other.
    const WARPS_DOWN: u32;
    /// Rows of a warp, in fragments of 16.
    const DOWN: usize = (TILE_ROWS / Self::WARPS_DOWN / 16) as usize;
    /// Columns of a warp, in fragments of 8.
    const ACROSS: usize = (Self::OUTER / (4 / Self::WARPS_DOWN) / 8) as usize;
    /// Bytes of a stage.
    const STAGE_BYTES: u32 = LEFT_BYTES + Self::OUTER * TILE_K * 2;
}

/// 48 columns; warps of 32 x 48.
pub(super) struct Narrow;

impl Extent for Narrow {
    const OUTER: u32 = 48;
}

impl Tile for Narrow {
    const WARPS_DOWN: u32 = 4;
}

/// 96 columns; warps of 64 x 48.
pub(super) struct Middle;

impl Extent for Middle {
    const OUTER: u32 = 96;
}

impl Tile for Middle {
    const WARPS_DOWN: u32 = 2;
}

/// 128 columns; warps of 64 x 64.
pub(super) struct Wide;

impl Extent for Wide {
    const OUTER: u32 = 128;
}

impl Tile for Wide {
    const WARPS_DOWN: u32 = 2;
}

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
    pub(super) fn new<T: Tile>(product: Product) -> Block {
        let (x, z, tiles_n) = (block_x(), block_z(), ceil_div(product.n, T::OUTER));
        let (problem, part) = (z / product.parts, z % product.parts);
        Block { problem, part, row: x / tiles_n * TILE_ROWS, column: x % tiles_n * T::OUTER }
    }
}

/// The operands of all problems.
pub(super) struct Matrices {
    pub(super) left: *const u16,
    pub(super) left_at: Places,
    pub(super) right: *const u16,
    pub(super) right_at: Places,
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
    /// As [`Operand::start`].
    #[inline(always)]
    unsafe fn start<T: Tile>(&mut self, left: &impl Operand, right: &impl Operand, stage: u32) {
        let Matrices { left_at, right_at, .. } = *self.matrices;
        // SAFETY: the caller's contract; the places are those of the source.
        unsafe {
            let from = self.matrices.left.add(left_at.of(self.source, self.problem) as usize);
            left.start::<Rows128>(from, stage, self.k);
            let from = self.matrices.right.add(right_at.of(self.source, self.problem) as usize);
            right.start::<T>(from, stage + LEFT_BYTES, self.k);
        }
        self.k += TILE_K;
        if self.k >= self.end {
            self.k = self.first;
            self.source += 1;
        }
    }
}

/// Sums of a thread: fragments of four, of which a tile uses [`Tile::DOWN`] by [`Tile::ACROSS`].
pub(super) type Sums = [[[f32; 4]; 8]; 4];

/// The thread's sums of a part.
///
/// # Safety
/// The kernel's contract: all threads of the block reach it, with the whole pool, and what the operands want is
/// inside of them.
#[inline(always)]
pub(super) unsafe fn multiply<T: Tile, L: Operand, R: Operand>(
    block: Block,
    product: Product,
    matrices: &Matrices,
    left: &L,
    right: &R,
) -> Sums {
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
            unsafe { steps.start::<T>(left, right, pool + step * T::STAGE_BYTES) };
        }
        commit_copies();
        step += 1;
    }

    // 2. Multiply one stage while the next ones are copied.
    let mut sums = [[[0.0; 4]; 8]; 4];
    let last = (STAGES - 1) * T::STAGE_BYTES;
    let (mut read, mut write) = (0, last);
    let mut step = 0;
    while step < n_steps {
        wait_for_copies::<{ STAGES - 2 }>();
        // SAFETY: `n_steps` is the block's. Behind the barrier the stage to read has been copied by all threads,
        // and the one to write, which was read a step ago, is free.
        unsafe {
            barrier();
            if step + STAGES - 1 < n_steps {
                steps.start::<T>(left, right, pool + write);
            }
            commit_copies();
            multiply_stage::<T, L, R>(&mut sums, pool + read);
        }
        read = if read == last { 0 } else { read + T::STAGE_BYTES };
        write = if write == last { 0 } else { write + T::STAGE_BYTES };
        step += 1;
    }
    sums
}

/// Where the warp's elements begin in the tile.
#[inline(always)]
fn warp_place<T: Tile>() -> (u32, u32) {
    let warp = thread() / 32;
    (warp % T::WARPS_DOWN * (16 * T::DOWN as u32), warp / T::WARPS_DOWN * (8 * T::ACROSS as u32))
}

/// Adds the products of a stage.
///
/// # Safety
/// All lanes of the warp reach it; the stage is copied, and a barrier lies between.
#[inline(always)]
unsafe fn multiply_stage<T: Tile, L: Operand, R: Operand>(sums: &mut Sums, stage: u32) {
    let (row, column) = warp_place::<T>();
    // Fragments of the left operand go down first, then along the terms; those of the right one the other way.
    let (first, second) = (thread() / 8 % 2, thread() / 16 % 2);
    unroll!(K in 2 {
        const TERM: u32 = 16 * K as u32;
        // SAFETY: the caller's contract; all places are those of the warp in the stage.
        unsafe {
            converge();
            let mut a = [[0; 4]; 4];
            unroll!(I in 4 {
                if I < T::DOWN {
                    a[I] = L::load::<Rows128>(stage, row + 16 * I as u32, TERM, first, second);
                }
            });
            let mut b = [[0; 4]; 4];
            unroll!(J in 4 {
                if J < T::ACROSS / 2 {
                    b[J] = R::load::<T>(stage + LEFT_BYTES, column + 16 * J as u32, TERM, second, first);
                }
            });
            unroll!(I in 4 {
                unroll!(J in 8 {
                    if I < T::DOWN && J < T::ACROSS {
                        let b = [b[J / 2][2 * (J % 2)], b[J / 2][2 * (J % 2) + 1]];
                        multiply_bf16(&mut sums[I][J], a[I], b);
                    }
                });
            });
        }
    });
}

/// Gives every pair of neighbours whose first is inside of `out`: row, column, both sums.
#[inline(always)]
fn each_pair<T: Tile>(sums: &Sums, block: Block, product: Product, mut write: impl FnMut(u32, u32, [f32; 2])) {
    let (row, column) = warp_place::<T>();
    let lane = thread() % 32;
    let (row, column) = (block.row + row + lane / 4, block.column + column + lane % 4 * 2);
    unroll!(I in 4 {
        unroll!(J in 8 {
            if I < T::DOWN && J < T::ACROSS {
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
            }
        });
    });
}

/// Writes the sums, each changed by `finish`, which also gets its column, as bf16. With `pairs`, columns and place are
/// even.
///
/// # Safety
/// `to` points to `m * n` bf16.
#[inline(always)]
pub(super) unsafe fn store_bf16<T: Tile>(
    sums: &Sums,
    block: Block,
    product: Product,
    to: *mut u16,
    pairs: bool,
    finish: impl Fn(f32, u32) -> f32,
) {
    let n = product.n;
    each_pair::<T>(sums, block, product, |row, column, [first, second]| {
        let to = to.wrapping_add(row as usize * n as usize + column as usize);
        let inside = column + 1 < n;
        let pair = bf16_pair(finish(first, column), if inside { finish(second, column + 1) } else { 0.0 });
        // SAFETY: the first element is inside, and so is the second where there is one.
        unsafe {
            if pairs {
                store_u32(to.cast(), pair);
            } else {
                *to = pair as u16;
                if inside {
                    *to.add(1) = (pair >> 16) as u16;
                }
            }
        }
    });
}

/// Writes the sums to their part of floats.
///
/// # Safety
/// `parts` points to parts of `m * n` floats.
#[inline(always)]
pub(super) unsafe fn store_part<T: Tile>(sums: &Sums, block: Block, product: Product, parts: *mut f32) {
    let Product { m, n, .. } = product;
    let part = parts.wrapping_add(block.part as usize * m as usize * n as usize);
    each_pair::<T>(sums, block, product, |row, column, [first, second]| {
        let to = part.wrapping_add(row as usize * n as usize + column as usize);
        // SAFETY: the first element is inside, and so is the second where there is one.
        unsafe {
            *to = first;
            if column + 1 < n {
                *to.add(1) = second;
            }
        }
    });
}
