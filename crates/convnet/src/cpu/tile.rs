//! The register tile that every product goes through: `C[R, V * lanes] = (C +) sum over k of A[R, k] * B[k, V * lanes]`.
//!
//! # Algorithm
//! ```text
//! acc[r][v] = 0
//! for run in 0..runs, k in 0..run_len:          // one block of a sum: at most SUM_BLOCK terms
//!     for v: b[v] = load B[run, k, v * lanes..]
//!     for r: acc[r][v] = fma(A[r, run, k], b[v], acc[r][v])
//! C = acc, or C + acc
//! ```
//! A row of A is any address, and steps between terms and runs are free: a convolution reads its image in place
//! (rows are output pixels, runs are filter rows), a gradient reads columns. Only B needs vectors side by side.
//!
//! # Registers
//! `R * V` accumulators, `V` vectors of B, one broadcast of A: 6x4 or 8x3 fill the 32 registers of AVX-512, 6x2 or 4x3
//! the 16 of AVX2. More rows than 8 would need more addresses than there are integer registers.

use pulp::{Arch, Simd, WithSimd};

/// Rows of the tallest tile.
pub(super) const MAX_ROWS: usize = 8;
/// Vectors across the widest tile.
const MAX_VECTORS: usize = 4;
/// Floats of the widest vector.
const MAX_LANES: usize = 16;

/// How tall and wide a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileShape {
    /// Rows.
    pub rows: usize,
    /// Vectors.
    vectors: usize,
    /// Columns: vectors times lanes.
    pub columns: usize,
}

impl TileShape {
    /// The shape by which A is packed: as many columns as a tile has rows.
    pub(super) fn of_rows(rows: usize) -> TileShape {
        TileShape { rows, vectors: 0, columns: rows }
    }
}

/// One block of sums for one tile; `T` is a float, or a pair of bf16.
pub(super) struct Block<T = f32> {
    /// The first term of each row; rows behind the last valid one repeat it.
    pub a: [*const T; MAX_ROWS],
    /// Elements between terms of a row.
    pub a_step: usize,
    /// Elements between runs of a row.
    pub a_run: usize,
    /// The first row of B.
    pub b: *const T,
    /// Elements between rows of B.
    pub b_step: usize,
    /// Elements between runs of B.
    pub b_run: usize,
    /// Terms of a run.
    pub run_len: usize,
    /// Runs.
    pub runs: usize,
    /// The tile in C.
    pub c: *mut f32,
    /// Floats between rows of C.
    pub c_stride: usize,
    /// Valid rows.
    pub rows: usize,
    /// Valid columns.
    pub columns: usize,
    /// Whether C is added to or overwritten.
    pub add: bool,
}

/// The tiles of this processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    arch: Arch,
    lanes: usize,
    registers: usize,
}

impl Kernel {
    pub(super) fn new(arch: Arch) -> Kernel {
        struct Widths;
        impl WithSimd for Widths {
            type Output = (usize, usize);
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
                (S::F32_LANES, S::REGISTER_COUNT)
            }
        }
        let (lanes, registers) = arch.dispatch(Widths);
        Kernel { arch, lanes, registers }
    }

    /// The tile that wastes least on a product of `columns` columns.
    pub(super) fn shape(&self, columns: usize) -> TileShape {
        // Tiles with more multiply-adds per load come first and win ties.
        let candidates: &[(usize, usize)] =
            if self.registers >= 32 { &[(6, 4), (8, 3), (8, 2), (8, 1)] } else { &[(6, 2), (4, 3), (8, 1)] };
        let shape = |&(rows, vectors): &(usize, usize)| TileShape { rows, vectors, columns: vectors * self.lanes };
        // Narrow tiles are held up by loads: one load per row and vector for rows * vectors multiply-adds.
        let cost = |tile: &TileShape| {
            let loads = (tile.rows + tile.vectors) as f64 / (tile.rows * tile.vectors) as f64;
            columns.next_multiple_of(tile.columns) as f64 * (1.0 + (loads - 0.5).max(0.0))
        };
        let better = |a: TileShape, b: TileShape| if cost(&b) < cost(&a) { b } else { a };
        candidates.iter().map(shape).reduce(better).unwrap_or(TileShape { rows: 8, vectors: 1, columns: self.lanes })
    }

    /// Runs `work` with the processor's vectors.
    pub(super) fn run(&self, work: impl WithSimd<Output = ()>) {
        self.arch.dispatch(work);
    }
}

/// Computes one block for one tile of `shape`.
///
/// # Safety
/// - Every row's terms lie in memory that may be read, and so do `run_len * runs` rows of `shape.columns` floats of B.
/// - The `rows` x `columns` valid elements of C may be written, and are read before only if `add`.
/// - `shape` came from [`Kernel::shape`] on this processor.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd>(simd: S, shape: TileShape, block: &Block) {
    // SAFETY: the caller's word is passed on; the shape only chooses how many rows and vectors are taken.
    unsafe {
        if S::REGISTER_COUNT >= 32 {
            match (shape.rows, shape.vectors) {
                (6, 4) => sized::<S, 6, 4>(simd, block),
                (8, 3) => sized::<S, 8, 3>(simd, block),
                (8, 2) => sized::<S, 8, 2>(simd, block),
                _ => sized::<S, 8, 1>(simd, block),
            }
        } else {
            match (shape.rows, shape.vectors) {
                (6, 2) => sized::<S, 6, 2>(simd, block),
                (4, 3) => sized::<S, 4, 3>(simd, block),
                _ => sized::<S, 8, 1>(simd, block),
            }
        }
    }
}

/// # Safety
/// As [`tile`], for `R` rows and `V` vectors.
#[inline(always)]
unsafe fn sized<S: Simd, const R: usize, const V: usize>(simd: S, block: &Block) {
    let mut acc = [[simd.splat_f32s(0.0); V]; R];
    let a: [*const f32; R] = std::array::from_fn(|r| block.a[r]);
    for run in 0..block.runs {
        let mut offset = run * block.a_run;
        // SAFETY: B has `runs` runs of `run_len` rows.
        let mut b = unsafe { block.b.add(run * block.b_run) };
        for _ in 0..block.run_len {
            // SAFETY: each of the V vectors lies inside this row of B; they may be unaligned.
            let vectors: [S::f32s; V] =
                std::array::from_fn(|v| unsafe { b.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned() });
            for r in 0..R {
                // SAFETY: the term is one of this row's.
                let broadcast = simd.splat_f32s(unsafe { *a[r].add(offset) });
                for v in 0..V {
                    acc[r][v] = simd.mul_add_e_f32s(broadcast, vectors[v], acc[r][v]);
                }
            }
            offset += block.a_step;
            b = b.wrapping_add(block.b_step);
        }
    }
    // SAFETY: the caller's word about C.
    unsafe { store::<S, R, V>(simd, block, &acc) };
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn store<S: Simd, const R: usize, const V: usize>(simd: S, block: &Block, acc: &[[S::f32s; V]; R]) {
    if block.rows == R && block.columns == V * S::F32_LANES {
        for (r, vectors) in acc.iter().enumerate() {
            for (v, &sum) in vectors.iter().enumerate() {
                // SAFETY: all rows and columns of the tile are valid.
                unsafe {
                    let c = block.c.add(r * block.c_stride + v * S::F32_LANES).cast::<S::f32s>();
                    let sum = if block.add { simd.add_f32s(c.read_unaligned(), sum) } else { sum };
                    c.write_unaligned(sum);
                }
            }
        }
        return;
    }
    // A copy: were the sums themselves indexed by a number that is not constant, they could not live in registers.
    let acc = *acc;
    let mut sums = [0.0_f32; MAX_VECTORS * MAX_LANES];
    for (r, vectors) in acc.iter().enumerate().take(block.rows) {
        for (v, &sum) in vectors.iter().enumerate() {
            // SAFETY: a tile is at most MAX_VECTORS vectors of MAX_LANES lanes wide.
            unsafe { sums.as_mut_ptr().add(v * S::F32_LANES).cast::<S::f32s>().write_unaligned(sum) };
        }
        for (column, &sum) in sums.iter().enumerate().take(block.columns) {
            // SAFETY: row and column are valid.
            unsafe {
                let c = block.c.add(r * block.c_stride + column);
                *c = if block.add { *c + sum } else { sum };
            }
        }
    }
}
