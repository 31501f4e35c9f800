//! The weight gradient of a fully connected layer and the momentum update by it, on tensor cores: as
//! [`crate::fc_update`], with bf16 inputs and gradients of outputs. Weights and velocities are floats; the new weights are
//! also written rounded, for the products that read them.
//!
//! # Thread mapping, shared memory
//! Those of the product.
//! # Cost
//! As the product; besides 18 bytes an element, where a gradient in memory and an update by it move 26.

use super::{THREADS, Tile};
use crate::Kernel;
use crate::element::Offsets;
use crate::product::copy::Windows;
use crate::product::{Places, Product};
use crate::update::Rule;

/// The entry and its tile. With `chunked`, inputs, outputs and all places are multiples of [`super::CHUNK`], and bases are
/// aligned to 16 bytes.
pub const fn entry(chunked: bool) -> (&'static Kernel, Tile) {
    if chunked { (&WEIGHT_UPDATE_128, Tile::Wide) } else { (&WEIGHT_UPDATE_ANY, Tile::Wide) }
}

/// Declares it.
macro_rules! weight_update {
    ($declaration:ident: $entry:ident, $left:expr, $right:expr, $pairs:literal) => {
        kernel! {
            /// Updates weights by their gradient. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to
            ///   the images of `windows` and to `k * n` bf16.
            /// - `weights + weights_at` and `velocity + velocity_at` are device pointers to `m * n` floats for each
            ///   problem, `rounded + weights_at` to as many bf16, and overlap nothing else; bases are aligned to 16 bytes.
            /// - `rates` is a device pointer to the rates that `rule` names.
            /// - `product` is `windows`' own, in one part: `m` counts taps and channels, `k` windows; no extent is 0 or
            ///   above [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`entry`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::Wide.min_blocks(), shared_bytes = Tile::Wide.shared_bytes()]
            $declaration: fn $entry(
                input: *const u16,
                input_at: Places,
                d_output: *const u16,
                d_output_at: Places,
                weights: *mut f32,
                weights_at: Offsets,
                velocity: *mut f32,
                velocity_at: Offsets,
                rates: *const f32,
                rule: Rule,
                windows: Windows,
                product: Product,
                rounded: *mut u16,
            ) {
                use super::device::{Wide, multiply};
                use super::store::{Weights, update};
                use crate::product::{Block, Matrices};

                let block = Block::new(product, [Tile::Wide.rows(), Tile::Wide.columns()]);
                let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at };
                let (left, right) = ($left(windows, product, block.row), $right(product, block.column));
                let sums = multiply::<Wide, _, _>(block, product, &matrices, &left, &right);
                let weights_at = weights_at.of(block.problem) as usize;
                let to = Weights {
                    weights: weights.wrapping_add(weights_at),
                    velocity: velocity.wrapping_add(velocity_at.of(block.problem) as usize),
                    rounded: rounded.wrapping_add(weights_at),
                };
                update::<Wide, $pairs>(&sums, block, product, rule.factors(rates, block.problem), to);
            }
        }
    };
}

#[cfg(target_arch = "nvptx64")]
use super::conv::any;
#[cfg(target_arch = "nvptx64")]
use super::operand::{Rows, Taps};

weight_update! { WEIGHT_UPDATE_128: fc_weight_update_bf16_128, Taps::new, Rows::new, true }
weight_update! { WEIGHT_UPDATE_ANY: fc_weight_update_bf16_any, any::taps, any::rows, false }
