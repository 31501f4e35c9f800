//! The matrix product under all layers with weights, f32: `out = left * right`, any shape.
//!
//! # Algorithm
//! ```text
//! for each tile of out (rows x columns) of each part of each problem, one block:
//!     for each step of TILE_K terms: the floats of both operands are copied to shared memory
//!         STAGES - 1 steps ahead; each thread adds TILE_K products to its 8 x 8, 8 x 6 or 2 x 8 elements
//! ```
//! How an operand becomes a tile is the business of its [`copy`]: matrices are not laid out before (implicit GEMM).
//! # The order of sums
//! A sum is cut into parts of at most a slice of terms ([`Product`]). A part is added in ascending order by fused
//! multiply-adds from zero; with more than one part, each is written to scratch memory, and [`crate::sum_parts`] adds
//! those of each source in order, then the sources in order. All of it follows from the shape of the operation.
//! # Thread mapping
//! Block `(x, 0, z)` owns tile `x`, counted along rows, of part `z % parts` of problem `z / parts`. 16 threads share
//! its rows, 8 its columns; which of them a thread owns follows from how a tile lies in shared memory.
//! 128 x 64 and not 128 x 128 because towers have 128 and 192 filters, and a batch has 128 images: a weight of a fully
//! connected layer is then read once per pass. 128 x 48 for towers of 48 maps, and 32 x 64 for small batches, whose other
//! rows would be zeros.
//! # Shared memory
//! [`STAGES`] stages of a left tile, then a right tile. A tile has a row for each term where columns or channels of
//! neighbouring rows are neighbours in memory, and else a row for each of its rows: so 16 bytes are copied as they are.
//! Rows are four floats longer than what they hold, so that neither reads nor copies meet in a bank.
//! # Cost
//! `2 * m * n * k` operations; reads `m * k * ceil(n / columns) + k * n * ceil(m / rows)` floats, mostly from the L2 cache;
//! writes `m * n` for each part.
//! # Tried
//! On an H100 80GB HBM3, 24 November 2026, batch 128, conv3 forward, TFLOP/s: copies of single floats 33; copies of 16
//! bytes 38; 16 instead of 8 terms a step 41; 4 instead of 3 blocks on a multiprocessor 38; 16 x 8 elements of a
//! thread, 2 blocks, 35. An FFMA that reads three registers anew seems to cost a cycle more: issue slots and such FFMAs
//! together explain the first four within 7 %, so the order of a thread's sums is to and fro: 42, of which it is not known
//! how much is the order's.

pub mod copy;

use crate::Argument;
use crate::element::Offsets;
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Neighbours that are copied at once.
pub const CHUNK: u32 = 4;
/// Terms that are added per step.
pub const TILE_K: u32 = 16;
/// Threads of a block.
pub const THREADS: u32 = 128;
/// Stages of the copies.
pub const STAGES: u32 = 3;
/// Sources of one problem.
pub const MAX_SOURCES: usize = 4;
/// The most layers of a grid.
pub const MAX_LAYERS: u32 = 65_535;

/// Threads along the rows of a tile.
const LANES_M: u32 = 16;
/// Threads along its columns.
const LANES_N: u32 = THREADS / LANES_M;

/// The part of a product that a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 128 rows, 48 columns: the filters of a tower of the first layer.
    Narrow,
    /// 128 rows, 64 columns.
    Wide,
    /// 32 rows, 64 columns: a small batch of a fully connected layer.
    Short,
}

impl Tile {
    /// Rows.
    pub const fn rows(self) -> u32 {
        match self {
            Tile::Narrow | Tile::Wide => 128,
            Tile::Short => 32,
        }
    }

    /// Columns.
    pub const fn columns(self) -> u32 {
        match self {
            Tile::Narrow => 48,
            Tile::Wide | Tile::Short => 64,
        }
    }

    /// Rows of a thread.
    pub const fn own_rows(self) -> usize {
        (self.rows() / LANES_M) as usize
    }

    /// Columns of a thread.
    pub const fn own_columns(self) -> usize {
        (self.columns() / LANES_N) as usize
    }

    /// Dynamic shared memory of a block.
    pub const fn shared_bytes(self) -> u32 {
        STAGES * (operand_bytes(self.rows()) + operand_bytes(self.columns()))
    }

    /// Blocks that fit on a multiprocessor.
    pub const fn min_blocks(self) -> u32 {
        match self {
            Tile::Narrow | Tile::Wide => 3,
            Tile::Short => 7,
        }
    }

    /// The grid for a number of problems.
    pub const fn grid(self, product: Product, problems: u32) -> [u32; 3] {
        [ceil_div(product.m, self.rows()) * ceil_div(product.n, self.columns()), 1, problems * product.parts]
    }
}

/// A stage of `rows` of the left operand or columns of the right one, in either layout.
const fn operand_bytes(rows: u32) -> u32 {
    rows * (TILE_K + 4) * 4
}

const _: () = assert!(Tile::Wide.shared_bytes() <= 48 * 1024, "more needs a launch attribute");
const _: () = assert!(TILE_K == 16, "loops over a step are written out");

/// Where an operand of each source of each problem begins, in elements from the base of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Places {
    low: [Offsets; 2],
    high: [Offsets; 2],
}

impl Argument for Places {
    const KIND: Kind = Kind::Struct;
}

impl Places {
    /// Those of each source.
    pub const fn new([first, second, third, fourth]: [Offsets; MAX_SOURCES]) -> Places {
        Places { low: [first, second], high: [third, fourth] }
    }

    /// The place of a source of a problem.
    #[inline(always)]
    pub const fn of(self, source: u32, problem: u32) -> u32 {
        let (first, second) = (self.low[0].of(problem), self.low[1].of(problem));
        let (third, fourth) = (self.high[0].of(problem), self.high[1].of(problem));
        let low = if source == 0 { first } else { second };
        let high = if source == 2 { third } else { fourth };
        if source < 2 { low } else { high }
    }
}

/// Extents of a product, and how its sums are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Product {
    /// Rows of `left` and `out`.
    pub m: u32,
    /// Columns of `right` and `out`.
    pub n: u32,
    /// Terms of one source.
    pub k: u32,
    /// Terms of a source in a part: a multiple of [`TILE_K`].
    pub slice: u32,
    /// Parts of a source.
    pub slices: u32,
    /// Sources of one part: all of them, with one slice, or 1.
    pub joined: u32,
    /// Parts of a sum.
    pub parts: u32,
}

impl Argument for Product {
    const KIND: Kind = Kind::Struct;
}

impl Product {
    /// Each source is cut into parts of at most `slice` terms, about equally long.
    pub const fn split(m: u32, n: u32, k: u32, sources: u32, slice: u32) -> Product {
        let slices = ceil_div(k, slice);
        let slice = ceil_div(ceil_div(k, slices), TILE_K) * TILE_K;
        let slices = ceil_div(k, slice);
        Product { m, n, k, slice, slices, joined: 1, parts: sources * slices }
    }

    /// As [`Product::split`], but in one part where all sources together have at most `slice` terms.
    pub const fn join(m: u32, n: u32, k: u32, sources: u32, slice: u32) -> Product {
        let product = Product::split(m, n, k, sources, slice);
        if sources as u64 * k as u64 <= slice as u64 {
            Product { joined: sources, parts: 1, ..product }
        } else {
            product
        }
    }

    /// The first source and the first term of a part.
    #[inline(always)]
    pub const fn part(self, part: u32) -> (u32, u32) {
        (part / self.slices, part % self.slices * self.slice)
    }
}

#[cfg(target_arch = "nvptx64")]
pub use device::{Block, Matrices, multiply};

#[cfg(target_arch = "nvptx64")]
mod device;
#[cfg(target_arch = "nvptx64")]
mod layout;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn parts_take_every_term_once_in_order() {
        for (k, sources, slice) in
            [(1, 1, 2304), (1200, 1, 2304), (1152, 2, 2304), (4608, 2, 1024), (17, 3, 16), (2305, 1, 2304)]
        {
            for product in [Product::split(5, 6, k, sources, slice), Product::join(5, 6, k, sources, slice)] {
                assert!(product.slice.is_multiple_of(TILE_K) && product.slice <= slice);
                let mut terms = std::vec::Vec::new();
                for part in 0..product.parts {
                    let (first_source, first) = product.part(part);
                    for source in first_source..first_source + product.joined {
                        let end = (first + product.slice).min(k);
                        assert!(first < end, "{product:?}: part {part} is empty");
                        terms.extend((first..end).map(|term| (source, term)));
                    }
                }
                let all: std::vec::Vec<_> =
                    (0..sources).flat_map(|source| (0..k).map(move |term| (source, term))).collect();
                assert_eq!(terms, all, "{product:?}");
            }
        }
    }

    #[test]
    fn places_are_found() {
        let places = Places::new([0, 10, 20, 30].map(|i| Offsets::new([i, i + 1, i + 2, i + 3])));
        for source in 0..4 {
            for problem in 0..4 {
                assert_eq!(places.of(source, problem), 10 * source + problem);
            }
        }
    }

    #[test]
    fn grids_cover_any_shape() {
        assert_eq!(Tile::Wide.grid(Product::split(129, 65, 8, 1, 2304), 2), [4, 1, 2]);
        assert_eq!(Tile::Short.grid(Product::split(33, 65, 8, 1, 2304), 2), [4, 1, 2]);
        assert_eq!(Tile::Narrow.grid(Product::split(1, 1, 4608, 2, 2304), 3), [1, 1, 12]);
    }
}
