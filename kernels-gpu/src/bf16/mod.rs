//! The matrix product under all layers with weights, on tensor cores: bf16 operands, f32 sums, any shape.
//!
//! It is [`crate::product`] with other tiles: the same problems, sources, parts and windows, and the same order of
//! operands. Inside of 16 terms the order is the hardware's.
//!
//! # Algorithm
//! ```text
//! for each tile of out (rows x columns) of each part of each problem, one block:
//!     for each step of TILE_K terms: both operands are copied to shared memory STAGES - 1 steps ahead;
//!         for each 16 terms: ldmatrix, then mma.sync m16n8k16 on the fragments of a warp
//! ```
//! # Thread mapping
//! Block `(x, 0, z)` owns tile `x`, counted along rows, of part `z % parts` of problem `z / parts`. The width of a tile
//! follows from the columns ([`Tile`]): towers have 48, 128 and 192 filters, and a tile that is too wide multiplies
//! zeros. The 4 warps own 64 x 64, 64 x 48, or 32 x 48 elements each: the larger, the fewer bytes of shared memory for
//! a product. A small batch of a fully connected layer has tiles of 32 rows, and warps of 32 x 32.
//! # Shared memory
//! [`STAGES`] stages of a left tile, then a right one. Where terms are neighbours in memory, a tile has rows of
//! [`TILE_K`] terms; where they are not, [`TILE_K`] rows, which `ldmatrix` transposes. Chunks of a row are permuted by
//! the row's number, so that eight rows are read without bank conflicts.
//! # Cost
//! `2 * m * n * k` operations; reads `m * k * ceil(n / columns) + k * n * ceil(m / rows)` bf16, mostly from the L2 cache.
//! # Tried
//! On an H100, 128 images: one tile of 128 x 128 x 64 for all shapes, 8 warps of 64 x 32, which divided for each chunk
//! that it copied, gave 112 to 185 TFLOP/s (conv3 to conv5, conv2's weight gradient) and 69 where 48 columns filled a
//! tile of 128. With these tiles 137 to 276; with copies and products in one stretch without branches, bounds as bits and
//! the choice of an activation outside of the loops over sums, 230 to 325 (`docs/h100.md`). Three or five stages change
//! nothing; copies through the first cache (`cp.async.ca`) made conv2's input gradient a third slower.

pub mod conv;
#[cfg(target_arch = "nvptx64")]
mod device;
pub mod fc_update;
#[cfg(target_arch = "nvptx64")]
mod operand;
#[cfg(target_arch = "nvptx64")]
mod store;

use crate::geometry::ceil_div;
use crate::product::Product;

/// Terms that are added per step.
pub const TILE_K: u32 = 32;
/// Threads of a block.
pub const THREADS: u32 = 128;
/// Stages of the copies.
pub const STAGES: u32 = 4;
/// Elements that are copied together where channels, columns and places are multiples of it.
pub const CHUNK: u32 = 8;
/// The largest side of a filter whose pixels are copied in chunks: there is a bit for each row and column of taps.
pub const MAX_SIZE: u32 = 15;

/// The part of a product that a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 128 rows, 48 columns: the filters of a tower of the first layer.
    Narrow,
    /// 128 rows, 96 columns: half of the 192 filters of a tower.
    Middle,
    /// 128 rows, 128 columns.
    Wide,
    /// 32 rows, 128 columns: a small batch of a fully connected layer.
    Short,
}

impl Tile {
    /// Of those with 128 rows the one that multiplies the fewest zeros for `n` columns; a narrower tile counts for more,
    /// because it reads more for a product.
    pub fn of(n: u32) -> Tile {
        let cost = |tile: Tile, weight: u32| ceil_div(n, tile.columns()) * tile.columns() * weight;
        let (narrow, middle, wide) = (cost(Tile::Narrow, 13), cost(Tile::Middle, 11), cost(Tile::Wide, 10));
        if wide <= middle && wide <= narrow {
            Tile::Wide
        } else if middle <= narrow {
            Tile::Middle
        } else {
            Tile::Narrow
        }
    }

    /// Rows.
    pub const fn rows(self) -> u32 {
        match self {
            Tile::Narrow | Tile::Middle | Tile::Wide => 128,
            Tile::Short => 32,
        }
    }

    /// Columns.
    pub const fn columns(self) -> u32 {
        match self {
            Tile::Narrow => 48,
            Tile::Middle => 96,
            Tile::Wide | Tile::Short => 128,
        }
    }

    /// Dynamic shared memory of a block: may be over 48 KiB, so the launcher has to ask for it.
    pub const fn shared_bytes(self) -> u32 {
        STAGES * (self.rows() + self.columns()) * TILE_K * 2
    }

    /// Blocks that fit on a multiprocessor.
    pub const fn min_blocks(self) -> u32 {
        match self {
            Tile::Narrow | Tile::Short => 4,
            Tile::Middle | Tile::Wide => 2,
        }
    }

    /// The grid for a number of problems.
    pub const fn grid(self, product: Product, problems: u32) -> [u32; 3] {
        [ceil_div(product.m, self.rows()) * ceil_div(product.n, self.columns()), 1, problems * product.parts]
    }
}

const _: () = assert!(Tile::Wide.shared_bytes() <= 99 * 1024, "a block fits on every card from sm_80 on");

/// Blocks of a tower's product that fill half of a card with two towers, for each block of a multiprocessor.
const FILL: u32 = 66;
/// The fewest terms of a part: a shorter one costs more to add than to multiply.
const MIN_SLICE: u32 = 256;

/// Terms of a part with which the tiles of one tower, for each of its sources, fill their share of a card; a product
/// with many tiles is in one part. It follows from the shape of the product alone, and so does the order of its sums: a
/// short tile has the parts of a tall one.
fn slice(m: u32, n: u32, k: u32, sources: u32) -> u32 {
    let tile = Tile::of(n);
    let tiles = ceil_div(m, tile.rows()) * ceil_div(n, tile.columns()) * sources;
    let parts = (FILL * tile.min_blocks() + tiles / 2) / tiles;
    let slice = if parts > 1 { ceil_div(k, parts) } else { k };
    ceil_div(if slice < MIN_SLICE { MIN_SLICE } else { slice }, TILE_K) * TILE_K
}

/// One part for all sources, which are added in order, where their tiles fill a card; or parts of each source.
pub fn join(m: u32, n: u32, k: u32, sources: u32) -> Product {
    let product = split(m, n, k, sources);
    if product.slices == 1 && slice(m, n, k, 1) >= k {
        Product { joined: sources, parts: 1, ..product }
    } else {
        product
    }
}

/// Parts of each source.
pub fn split(m: u32, n: u32, k: u32, sources: u32) -> Product {
    let slice = slice(m, n, k, sources);
    let slices = ceil_div(k, slice);
    Product { m, n, k, slice, slices, joined: 1, parts: sources * slices }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_terms() {
        for (m, n, k) in [(1, 1, 1), (128, 2048, 4608), (128, 1000, 2048), (1200, 128, 93_312), (93_312, 128, 1200)] {
            for product in [split(m, n, k, 2), join(m, n, k, 2)] {
                assert!(product.slice.is_multiple_of(TILE_K));
                assert_eq!(product.parts * product.joined, 2 * product.slices);
                assert!((product.slices - 1) * product.slice < k && product.slices * product.slice >= k, "{product:?}");
            }
        }
    }

    #[test]
    fn layers_of_alexnet_fill_a_card() {
        let blocks = |product: Product, problems: u32| {
            let [x, y, z] = Tile::of(product.n).grid(product, problems);
            (x * y * z, product.parts)
        };
        assert_eq!(blocks(join(93_312, 128, 1200, 1), 2), (1458, 1), "conv2 forward");
        assert_eq!(blocks(split(1200, 128, 93_312, 1), 2), (260, 13), "conv2 weight gradient");
        assert_eq!(blocks(split(432, 48, 387_200, 1), 2), (528, 66), "conv1 weight gradient");
        assert_eq!(blocks(join(128, 2048, 4608, 2), 2), (256, 8), "fc6 forward");
        assert_eq!(blocks(split(128, 4608, 2048, 2), 2), (288, 4), "fc6 input gradient");
        assert_eq!(blocks(split(4608, 2048, 128, 1), 4), (2304, 1), "fc6 weight gradient");
    }

    #[test]
    fn towers_fill_their_tiles() {
        let widths = [(48, 48), (128, 128), (192, 96), (1000, 128), (2048, 128), (4608, 128), (1, 48), (96, 96)];
        for (n, columns) in widths {
            assert_eq!(Tile::of(n).columns(), columns, "{n}");
        }
    }
}
