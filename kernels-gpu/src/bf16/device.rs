//! The block and the warp of a product on tensor cores.

use super::operand::{Extent, Operand};
use super::{STAGES, TILE_K};
use crate::arch::{barrier, commit_copies, multiply_bf16, shared_base, thread, wait_for_copies};
use crate::geometry::ceil_div;
use crate::product::{Block, Matrices, Product};

/// 128 rows of a tile.
pub(super) struct Rows128;

impl Extent for Rows128 {
    const OUTER: u32 = 128;
}

/// 32 rows of a tile.
pub(super) struct Rows32;

impl Extent for Rows32 {
    const OUTER: u32 = 32;
}

/// The columns of a tile, its rows, and how its four warps share it.
pub(super) trait Tile: Extent {
    /// The rows.
    type Rows: Extent;
    /// Warps one below the other.
    const WARPS_DOWN: u32;
    /// Rows of a warp, in fragments of 16.
    const DOWN: usize = (Self::Rows::OUTER / Self::WARPS_DOWN / 16) as usize;
    /// Columns of a warp, in fragments of 8.
    const ACROSS: usize = (Self::OUTER / (4 / Self::WARPS_DOWN) / 8) as usize;
    /// Bytes of the left operand in a stage.
    const LEFT_BYTES: u32 = Self::Rows::OUTER * TILE_K * 2;
    /// Bytes of a stage.
    const STAGE_BYTES: u32 = Self::LEFT_BYTES + Self::OUTER * TILE_K * 2;
}

/// 48 columns; warps of 32 x 48.
pub(super) struct Narrow;

impl Extent for Narrow {
    const OUTER: u32 = 48;
}

impl Tile for Narrow {
    type Rows = Rows128;
    const WARPS_DOWN: u32 = 4;
}

/// 96 columns; warps of 64 x 48.
pub(super) struct Middle;

impl Extent for Middle {
    const OUTER: u32 = 96;
}

impl Tile for Middle {
    type Rows = Rows128;
    const WARPS_DOWN: u32 = 2;
}

/// 128 columns; warps of 64 x 64.
pub(super) struct Wide;

impl Extent for Wide {
    const OUTER: u32 = 128;
}

impl Tile for Wide {
    type Rows = Rows128;
    const WARPS_DOWN: u32 = 2;
}

/// 32 rows by 128 columns; warps of 32 x 32.
pub(super) struct Short;

impl Extent for Short {
    const OUTER: u32 = 128;
}

impl Tile for Short {
    type Rows = Rows32;
    const WARPS_DOWN: u32 = 1;
}

/// Steps through the terms of a part: which source, which term.
struct Steps<'a> {
    matrices: &'a Matrices<u16>,
    problem: u32,
    /// The sources left, this one among them.
    sources: u32,
    source: u32,
    /// The operands of the source.
    left: *const u16,
    right: *const u16,
    k: u32,
    first: u32,
    end: u32,
    /// A term beyond all, from where copies are zeros.
    none: u32,
}

impl Steps<'_> {
    /// At the first step.
    #[inline(always)]
    fn new(matrices: &Matrices<u16>, problem: u32, product: Product, part: u32) -> Steps<'_> {
        let (source, first) = product.part(part);
        let end = if first + product.slice < product.k { first + product.slice } else { product.k };
        let (left, right) = matrices.of(source, problem);
        let none = product.k + TILE_K;
        Steps { matrices, problem, sources: product.joined, source, left, right, k: first, first, end, none }
    }

    /// How many.
    #[inline(always)]
    fn len(&self) -> u32 {
        ceil_div(self.end - self.first, TILE_K) * self.sources
    }

    /// Goes on to the next step; behind the last one there are only zeros.
    #[inline(always)]
    fn advance(&mut self) {
        self.k += TILE_K;
        if self.k >= self.end {
            self.sources = self.sources.saturating_sub(1);
            self.k = self.none;
            if self.sources > 0 {
                self.source += 1;
                self.k = self.first;
                (self.left, self.right) = self.matrices.of(self.source, self.problem);
            }
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
    matrices: &Matrices<u16>,
    left: &L,
    right: &R,
) -> Sums {
    let mut steps = Steps::new(matrices, block.problem, product, block.part);
    let n_steps = steps.len();
    let pool = shared_base();

    // 1. The first copies.
    let mut step = 0;
    while step < STAGES - 1 {
        // SAFETY: nobody reads the stages yet.
        unsafe {
            left.start::<T::Rows>(steps.left, pool + step * T::STAGE_BYTES, steps.k);
            right.start::<T>(steps.right, pool + step * T::STAGE_BYTES + T::LEFT_BYTES, steps.k);
        }
        commit_copies();
        steps.advance();
        step += 1;
    }

    // 2. Multiply one stage while the next ones are copied. There is no branch between the copies and the products, so
    // the assembler can mix them: alone, either waits.
    let mut sums = [[[0.0; 4]; 8]; 4];
    let mut step = 0;
    while step < n_steps {
        let read = pool + step % STAGES * T::STAGE_BYTES;
        let write = pool + (step + STAGES - 1) % STAGES * T::STAGE_BYTES;
        wait_for_copies::<{ STAGES - 2 }>();
        // SAFETY: `n_steps` is the block's. Behind the barrier the stage to read has been copied by all threads,
        // and the one to write, which was read a step ago, is free.
        unsafe {
            barrier();
            let fragments = Fragments::load::<T, L, R>(read, 0);
            left.start::<T::Rows>(steps.left, write, steps.k);
            fragments.add::<T>(&mut sums);
            let fragments = Fragments::load::<T, L, R>(read, 16);
            right.start::<T>(steps.right, write + T::LEFT_BYTES, steps.k);
            fragments.add::<T>(&mut sums);
        }
        commit_copies();
        steps.advance();
        step += 1;
    }
    sums
}

/// Where the warp's elements begin in the tile.
#[inline(always)]
pub(super) fn warp_place<T: Tile>() -> (u32, u32) {
    let warp = thread() / 32;
    (warp % T::WARPS_DOWN * (16 * T::DOWN as u32), warp / T::WARPS_DOWN * (8 * T::ACROSS as u32))
}

/// 16 terms of a warp's rows and columns.
struct Fragments {
    left: [[u32; 4]; 4],
    right: [[u32; 4]; 4],
}

impl Fragments {
    /// Reads those that begin at a term of a stage.
    ///
    /// # Safety
    /// All lanes of the warp reach it; the stage is copied, and a barrier lies between.
    #[inline(always)]
    unsafe fn load<T: Tile, L: Operand, R: Operand>(stage: u32, term: u32) -> Fragments {
        let (row, column) = warp_place::<T>();
        // Matrices of the left operand go down first, then along the terms; those of the right one the other way.
        let (first, second) = (thread() / 8 % 2, thread() / 16 % 2);
        let mut fragments = Fragments { left: [[0; 4]; 4], right: [[0; 4]; 4] };
        unroll!(I in 4 {
            if I < T::DOWN {
                // SAFETY: the caller's contract; the place is one of the warp's in the stage.
                fragments.left[I] = unsafe { L::load::<T::Rows>(stage, row + 16 * I as u32, term, first, second) };
            }
        });
        unroll!(J in 4 {
            if J < T::ACROSS / 2 {
                let (tile, column) = (stage + T::LEFT_BYTES, column + 16 * J as u32);
                // SAFETY: as above.
                fragments.right[J] = unsafe { R::load::<T>(tile, column, term, second, first) };
            }
        });
        fragments
    }

    /// Adds their products.
    ///
    /// # Safety
    /// All lanes of the warp reach it.
    #[inline(always)]
    unsafe fn add<T: Tile>(&self, sums: &mut Sums) {
        unroll!(I in 4 {
            unroll!(J in 8 {
                if I < T::DOWN && J < T::ACROSS {
                    let b = [self.right[J / 2][2 * (J % 2)], self.right[J / 2][2 * (J % 2) + 1]];
                    // SAFETY: the caller's contract.
                    unsafe { multiply_bf16(&mut sums[I][J], self.left[I], b) };
                }
            });
        });
    }
}
