//! The block and the thread of a product.

use core::marker::PhantomData;

use super::copy::Copy;
use super::layout::{Layout, TermsFirst};
use super::{LANES_M, LANES_N, Places, Product, STAGES, TILE_K, operand_bytes};
use crate::arch::{F32x4, barrier, block_x, block_z, commit_copies, fma, shared_base, thread, wait_for_copies};
use crate::geometry::ceil_div;

/// The row and the column of this thread among the threads of a tile. Neighbours share their columns and their
/// neighbours again their rows, so that half a warp's reads of 16 bytes each are served at once.
#[inline(always)]
fn lanes() -> (u32, u32) {
    (thread() / 32 * 4 + thread() / 16 % 2 * 2 + thread() % 2, thread() / 2 % 8)
}

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
    /// This one, of tiles of so many rows and columns.
    #[inline(always)]
    pub fn new(product: Product, [rows, columns]: [u32; 2]) -> Block {
        let (x, z, tiles_n) = (block_x(), block_z(), ceil_div(product.n, columns));
        let (problem, part) = (z / product.parts, z % product.parts);
        Block { problem, part, row: x / tiles_n * rows, column: x % tiles_n * columns }
    }
}

/// The operands of all problems.
#[derive(Clone, Copy)]
pub struct Matrices<E> {
    /// Base of the left one.
    pub left: *const E,
    /// Its places.
    pub left_at: Places,
    /// Base of the right one.
    pub right: *const E,
    /// Its places.
    pub right_at: Places,
}

impl<E> Matrices<E> {
    /// Those of a source of a problem.
    #[inline(always)]
    pub fn of(&self, source: u32, problem: u32) -> (*const E, *const E) {
        let left = self.left.wrapping_add(self.left_at.of(source, problem) as usize);
        (left, self.right.wrapping_add(self.right_at.of(source, problem) as usize))
    }
}

/// Steps through the terms of a part: which source, which term.
struct Steps<'a> {
    matrices: &'a Matrices<f32>,
    problem: u32,
    source: u32,
    /// The operands of the source.
    left: *const f32,
    right: *const f32,
    k: u32,
    first: u32,
    end: u32,
}

impl<'a> Steps<'a> {
    /// Those of the terms `first..end` of each source from `source` on.
    #[inline(always)]
    fn new(matrices: &'a Matrices<f32>, problem: u32, source: u32, first: u32, end: u32) -> Steps<'a> {
        let (left, right) = (matrices.left, matrices.right);
        let mut steps = Steps { matrices, problem, source, left, right, k: first, first, end };
        steps.enter(source);
        steps
    }

    /// Goes to the first term of the part in a source.
    #[inline(always)]
    fn enter(&mut self, source: u32) {
        self.source = source;
        (self.left, self.right) = self.matrices.of(source, self.problem);
        self.k = self.first;
    }

    /// Starts the copies of a step to the tiles of a stage, and goes on to the next step.
    ///
    /// # Safety
    /// As [`Copy::start`].
    #[inline(always)]
    unsafe fn start(&mut self, left: &impl Copy, right: &impl Copy, [left_tile, right_tile]: [u32; 2]) {
        // SAFETY: the caller's contract; the places are those of the source.
        unsafe {
            left.start(self.left, left_tile, self.k);
            right.start(self.right, right_tile, self.k);
        }
        self.k += TILE_K;
        if self.k >= self.end {
            self.enter(self.source + 1);
        }
    }
}

/// The thread's sums of a part: of `ROWS` rows, which lie as `L` says, and `OWN` columns.
pub struct Sums<L, const ROWS: usize, const OWN: usize> {
    sums: [[f32; OWN]; ROWS],
    layout: PhantomData<L>,
}

/// The thread's sums of a part.
///
/// # Safety
/// The kernel's contract: all threads of the block reach it, with the whole pool, and what the copies want is
/// inside of the operands.
#[inline(always)]
pub unsafe fn multiply<L: Copy, const ROWS: usize, const OWN: usize>(
    block: Block,
    product: Product,
    matrices: &Matrices<f32>,
    left: &L,
    right: &impl Copy<Layout = TermsFirst>,
) -> Sums<L::Layout, ROWS, OWN> {
    let left_bytes = const { operand_bytes(LANES_M * ROWS as u32) };
    let stage_bytes = const { operand_bytes(LANES_M * ROWS as u32) + operand_bytes(LANES_N * OWN as u32) };
    let (source, first) = product.part(block.part);
    let end = if first + product.slice < product.k { first + product.slice } else { product.k };
    let n_steps = ceil_div(end - first, TILE_K) * product.joined;
    let mut steps = Steps::new(matrices, block.problem, source, first, end);
    let pool = shared_base();
    let tiles = |stage: u32| [pool + stage, pool + stage + left_bytes];

    // 1. The first copies.
    let mut step = 0;
    while step < STAGES - 1 {
        if step < n_steps {
            // SAFETY: nobody reads the stages yet.
            unsafe { steps.start(left, right, tiles(step * stage_bytes)) };
        }
        commit_copies();
        step += 1;
    }

    // 2. Multiply one stage while the next ones are copied.
    let mut sums = Sums { sums: [[0.0; OWN]; ROWS], layout: PhantomData };
    let (mut read, mut write) = (0, (STAGES - 1) * stage_bytes);
    let mut step = 0;
    while step < n_steps {
        wait_for_copies::<{ STAGES - 2 }>();
        // SAFETY: `n_steps` is the block's. Behind the barrier the stage to read has been copied by all threads,
        // and the one to write, which was read a step ago, is free.
        unsafe {
            barrier();
            if step + STAGES - 1 < n_steps {
                steps.start(left, right, tiles(write));
            }
            commit_copies();
            sums.add_stage(tiles(read));
        }
        read = if read == (STAGES - 1) * stage_bytes { 0 } else { read + stage_bytes };
        write = if write == (STAGES - 1) * stage_bytes { 0 } else { write + stage_bytes };
        step += 1;
    }
    sums
}

impl<L: Layout, const ROWS: usize, const OWN: usize> Sums<L, ROWS, OWN> {
    /// Adds the products of a stage, in ascending order of the terms.
    ///
    /// # Safety
    /// The stage is written, and a barrier lies between.
    #[inline(always)]
    unsafe fn add_stage(&mut self, [left, right]: [u32; 2]) {
        let (lane_m, lane_n) = lanes();
        let left = L::place::<LANES_M, ROWS>(left, lane_m);
        let right = TermsFirst::place::<LANES_N, OWN>(right, lane_n);
        unroll!(G in 4 {
            // SAFETY: the caller's contract.
            let a = unsafe { L::read::<LANES_M, ROWS>(left, G as u32) };
            // SAFETY: the same.
            let b = unsafe { TermsFirst::read::<LANES_N, OWN>(right, G as u32) };
            unroll!(K in 4 {
                unroll!(J in 8 {
                    if J < OWN {
                        unroll!(S in 8 {
                            // To and fro, so that each multiply-add shares a factor with the one before: a card is
                            // slower where all three operands are read anew.
                            const I: usize = if J % 2 == 0 { S } else { 7 - S };
                            if I < ROWS {
                                self.sums[I][J] = fma(a[K][I], b[K][J], self.sums[I][J]);
                            }
                        });
                    }
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
        &self,
        block: Block,
        product: Product,
        out: *mut f32,
        at: u32,
        finish: impl Fn(f32, u32) -> f32,
    ) {
        let Product { m, n, .. } = product;
        let at = at as usize + block.part as usize * (m as usize * n as usize);
        let by_four = (at as u32 | n) % 4 == 0;
        // SAFETY: elements are inside of the part; four are aligned, because its place and every row are multiples of four.
        let four = |i: usize, four: F32x4| unsafe { four.store(out.wrapping_add(i)) };
        // SAFETY: the element is inside.
        let one = |i: usize, one: f32| unsafe { *out.wrapping_add(i) = one };
        self.each(block, product, at, by_four, finish, four, one);
    }

    /// Shows the elements that are inside of the product, each changed by `finish`, which also gets its column: with
    /// `by_four`, where columns are a multiple of four, four neighbours to `four`, and else single ones to `one`, with the
    /// place of the first behind `at`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "two ways to take elements")]
    pub fn each(
        &self,
        block: Block,
        product: Product,
        at: usize,
        by_four: bool,
        finish: impl Fn(f32, u32) -> f32,
        four: impl Fn(usize, F32x4),
        one: impl Fn(usize, f32),
    ) {
        let Product { m, n, .. } = product;
        let (lane_m, lane_n) = lanes();
        let column = |own: usize| block.column + TermsFirst::row::<LANES_N, OWN>(lane_n, own as u32);
        unroll!(I in 8 {
            if I < ROWS {
                let row = block.row + L::row::<LANES_M, ROWS>(lane_m, I as u32);
                let value = |own: usize| finish(self.sums[I][own], column(own));
                let place = |own: usize| at + row as usize * n as usize + column(own) as usize;
                unroll!(H in 2 {
                    if by_four && 4 * H + 4 <= OWN {
                        if row < m && column(4 * H) < n {
                            let pack = F32x4::new(value(4 * H), value(4 * H + 1), value(4 * H + 2), value(4 * H + 3));
                            four(place(4 * H), pack);
                        }
                    } else {
                        unroll!(J in 4 {
                            if 4 * H + J < OWN && row < m && column(4 * H + J) < n {
                                one(place(4 * H + J), value(4 * H + J));
                            }
                        });
                    }
                });
            }
        });
    }
}
