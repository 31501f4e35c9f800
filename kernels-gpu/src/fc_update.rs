//! The weight gradient of a fully connected layer and the momentum update by it: [`crate::conv`]'s product, whose
//! sums are in one part and become [`crate::update`]'s new weights and velocities where they are, in registers.
//!
//! # Thread mapping, shared memory
//! Those of the product.
//! # Cost
//! As the product, but instead of writing a gradient it reads and writes weights and velocities: 16 bytes an element,
//! where a gradient in memory and an update by it move 24.

use crate::Kernel;
use crate::element::Offsets;
use crate::product::copy::Windows;
use crate::product::{Places, Product, THREADS, Tile};
use crate::update::Rule;

/// The entry and its tile. With `chunked`, inputs, outputs and all places are multiples of
/// [`crate::product::CHUNK`], and bases are aligned to 16 bytes.
pub const fn entry(chunked: bool) -> (&'static Kernel, Tile) {
    if chunked { (&WEIGHT_UPDATE_64, Tile::Wide) } else { (&WEIGHT_UPDATE_ANY, Tile::Narrow) }
}

/// Declares it.
macro_rules! weight_update {
    ($declaration:ident: $entry:ident, $tile:ident, $copy:ident) => {
        kernel! {
            /// Updates weights by their gradient. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to
            ///   the images of `windows` and to `k * n` floats.
            /// - `weights + weights_at` and `velocity + velocity_at` are device pointers to `m * n` floats for each
            ///   problem, and overlap nothing else; both bases are aligned to 16 bytes.
            /// - `rates` is a device pointer to the rates that `rule` names.
            /// - `product` is `windows`' own, in one part: `m` counts taps and channels, `k` windows; no extent is 0 or
            ///   above [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`entry`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                input: *const f32,
                input_at: Places,
                d_output: *const f32,
                d_output_at: Places,
                weights: *mut f32,
                weights_at: Offsets,
                velocity: *mut f32,
                velocity_at: Offsets,
                rates: *const f32,
                rule: Rule,
                windows: Windows,
                product: Product,
            ) {
                use crate::product::copy::$copy::{Rows, Taps};
                use crate::product::{Block, Matrices, multiply};

                const TILE: Tile = Tile::$tile;
                let block = Block::new(product, [TILE.rows(), TILE.columns()]);
                let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at };
                let left = Taps::new(windows, product, block.row);
                let right = Rows::<{ TILE.columns() }>::new(product, block.column);
                let sums = multiply::<_, { TILE.own_rows() }, { TILE.own_columns() }>(block, product, &matrices, &left, &right);
                let factors = rule.factors(rates, block.problem);
                let (weights_at, velocity_at) = (weights_at.of(block.problem), velocity_at.of(block.problem));
                let weights = weights.wrapping_add(weights_at as usize);
                let velocity = velocity.wrapping_add(velocity_at as usize);
                let by_four = (weights_at | velocity_at | product.n) % 4 == 0;
                sums.each(
                    block,
                    product,
                    0,
                    by_four,
                    |sum, _| sum,
                    |i, gradient| {
                        factors.update(weights.add(i), velocity.add(i), gradient);
                    },
                    |i, gradient| {
                        factors.update(weights.add(i), velocity.add(i), gradient);
                    },
                );
            }
        }
    };
}

weight_update!(WEIGHT_UPDATE_64: fc_weight_update_64, Wide, wide);
weight_update!(WEIGHT_UPDATE_ANY: fc_weight_update_any, Narrow, any);
