//! Convolution and its gradients as implicit products ([`crate::product`]): NHWC images, weights
//! `[size, size, channels, filters]`. A fully connected layer is a convolution of one pixel by one tap.
//!
//! With the formula of `convnet::ops::ConvForward`:
//! | | rows | terms | columns |
//! | --- | --- | --- | --- |
//! | forward | windows | taps, channels | filters |
//! | input gradient | pixels | taps from the last one, filters | channels |
//! | weight gradient | taps, channels | windows | filters |
//!
//! The input gradient is itself a convolution of `d_output`, with a padding of `size - 1 - pad` and, for a stride above
//! 1, zeros between its pixels; these are multiplied, too, which is a waste but only the first layer has such a stride.
//!
//! # Thread mapping, shared memory, cost
//! Those of the product.

use crate::Kernel;
use crate::element::Offsets;
use crate::geometry::ceil_div;
use crate::product::copy::Windows;
use crate::product::{Places, Product, THREADS, Tile};
use crate::sum_parts::Finish;

/// One operation's entries.
pub struct Entries {
    /// In tiles of [`Tile::Narrow`] and of [`Tile::Wide`].
    by_width: [Kernel; 2],
    /// In tiles of [`Tile::Short`], where rows may be the images of a small batch.
    short: Option<Kernel>,
    /// For any shape, in tiles of [`Tile::Narrow`].
    any: Kernel,
}

impl Entries {
    /// The entry for `m` rows and `n` columns, and its tile. With `chunked`, channels, filters and all places are
    /// multiples of [`crate::product::CHUNK`], bases are aligned to 16 bytes, and there is no dilation.
    pub fn of(&'static self, m: u32, n: u32, chunked: bool) -> (&'static Kernel, Tile) {
        let columns = |tile: Tile| ceil_div(n, tile.columns()) * tile.columns();
        // A narrow tile costs a tenth more for each column.
        let is_narrow = columns(Tile::Narrow) * 11 < columns(Tile::Wide) * 10;
        match (&self.short, is_narrow) {
            _ if !chunked => (&self.any, Tile::Narrow),
            (Some(short), _) if m <= Tile::Short.rows() => (short, Tile::Short),
            (_, true) => (&self.by_width[0], Tile::Narrow),
            (_, false) => (&self.by_width[1], Tile::Wide),
        }
    }
}

/// Forward passes, bias and activation.
pub const FORWARD: Entries =
    Entries { by_width: [FORWARD_48, FORWARD_64], short: Some(FORWARD_SHORT), any: FORWARD_ANY };
/// Input gradients.
pub const INPUT_GRAD: Entries =
    Entries { by_width: [INPUT_GRAD_48, INPUT_GRAD_64], short: Some(INPUT_GRAD_SHORT), any: INPUT_GRAD_ANY };
/// Weight gradients. Their rows are maps, and there is no batch so small that they are few.
pub const WEIGHT_GRAD: Entries =
    Entries { by_width: [WEIGHT_GRAD_48, WEIGHT_GRAD_64], short: None, any: WEIGHT_GRAD_ANY };

/// Declares a forward pass.
macro_rules! forward {
    ($declaration:ident: $entry:ident, $tile:ident, $copy:ident::Pixels<$of:literal>) => {
        kernel! {
            /// Forward pass, or parts of it. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `weight + weight_at` are device pointers, for each source of each problem of
            ///   the grid, to the images of `windows` and to `k * n` floats.
            /// - `output + output_at` are device pointers to `parts * m * n` floats for each problem, and overlap
            ///   nothing else; `output` is aligned to 16 bytes.
            /// - Where `finish` says so, `bias + bias_at` are device pointers to `n` floats.
            /// - `product` is `windows`' own: `m` counts windows, `k` taps and channels; no extent is 0 or above
            ///   [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                input: *const f32,
                input_at: Places,
                weight: *const f32,
                weight_at: Places,
                bias: *const f32,
                bias_at: Offsets,
                output: *mut f32,
                output_at: Offsets,
                windows: Windows,
                product: Product,
                finish: Finish,
            ) {
                use crate::product::copy::$copy::{Pixels, Rows};
                use crate::product::{Block, Matrices, multiply};

                const TILE: Tile = Tile::$tile;
                let block = Block::new(product, [TILE.rows(), TILE.columns()]);
                let matrices = Matrices { left: input, left_at: input_at, right: weight, right_at: weight_at };
                let left = Pixels::<$of>::new(windows, product, block.row);
                let right = Rows::<{ TILE.columns() }>::new(product, block.column);
                let sums = multiply::<_, { TILE.own_rows() }, { TILE.own_columns() }>(block, product, &matrices, &left, &right);
                let bias = bias.wrapping_add(bias_at.of(block.problem) as usize);
                sums.store(block, product, output, output_at.of(block.problem), |sum, column| {
                    crate::sum_parts::finish(finish, sum, bias, column)
                });
            }
        }
    };
}

forward!(FORWARD_48: conv_forward_48, Narrow, wide::Pixels<128>);
forward!(FORWARD_64: conv_forward_64, Wide, wide::Pixels<128>);
forward!(FORWARD_SHORT: conv_forward_short, Short, wide::Pixels<32>);
forward!(FORWARD_ANY: conv_forward_any, Narrow, any::Pixels<false>);

/// Declares an input gradient.
macro_rules! input_grad {
    ($declaration:ident: $entry:ident, $tile:ident, $copy:ident::Pixels<$of:literal>) => {
        kernel! {
            /// Input gradient, or parts of it. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `d_output + d_output_at` and `weight + weight_at` are device pointers, for each consumer of each
            ///   problem of the grid, to the images of `windows` and to `taps * n * channels` floats.
            /// - `d_input + d_input_at` are device pointers to `parts * m * n` floats for each problem, and overlap
            ///   nothing else; `d_input` is aligned to 16 bytes.
            /// - `product` is `windows`' own: `m` counts windows, `k` taps and channels; no extent is 0 or above
            ///   [`crate::product::copy::MAX_EXTENT`].
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                d_output: *const f32,
                d_output_at: Places,
                weight: *const f32,
                weight_at: Places,
                d_input: *mut f32,
                d_input_at: Offsets,
                windows: Windows,
                product: Product,
            ) {
                use crate::product::copy::$copy::Pixels;
                use crate::product::copy::any::Transposed;
                use crate::product::{Block, Matrices, multiply};

                const TILE: Tile = Tile::$tile;
                let block = Block::new(product, [TILE.rows(), TILE.columns()]);
                let matrices = Matrices { left: d_output, left_at: d_output_at, right: weight, right_at: weight_at };
                let left = Pixels::<$of>::new(windows, product, block.row);
                let right = Transposed::<{ TILE.columns() }>::new(windows, product, block.column);
                let sums = multiply::<_, { TILE.own_rows() }, { TILE.own_columns() }>(block, product, &matrices, &left, &right);
                sums.store(block, product, d_input, d_input_at.of(block.problem), |sum, _| sum);
            }
        }
    };
}

input_grad!(INPUT_GRAD_48: conv_input_grad_48, Narrow, wide::Pixels<128>);
input_grad!(INPUT_GRAD_64: conv_input_grad_64, Wide, wide::Pixels<128>);
input_grad!(INPUT_GRAD_SHORT: conv_input_grad_short, Short, wide::Pixels<32>);
input_grad!(INPUT_GRAD_ANY: conv_input_grad_any, Narrow, any::Pixels<true>);

/// Declares a weight gradient.
macro_rules! weight_grad {
    ($declaration:ident: $entry:ident, $tile:ident, $copy:ident) => {
        kernel! {
            /// Weight gradient, or parts of it. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to
            ///   the images of `windows` and to `k * n` floats.
            /// - `d_weight + d_weight_at` are device pointers to `parts * m * n` floats for each problem, and overlap
            ///   nothing else; `d_weight` is aligned to 16 bytes.
            /// - `product` is `windows`' own: `m` counts taps and channels, `k` windows; no extent is 0 or above
            ///   [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                input: *const f32,
                input_at: Places,
                d_output: *const f32,
                d_output_at: Places,
                d_weight: *mut f32,
                d_weight_at: Offsets,
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
                sums.store(block, product, d_weight, d_weight_at.of(block.problem), |sum, _| sum);
            }
        }
    };
}

weight_grad!(WEIGHT_GRAD_48: conv_weight_grad_48, Narrow, wide);
weight_grad!(WEIGHT_GRAD_64: conv_weight_grad_64, Wide, wide);
weight_grad!(WEIGHT_GRAD_ANY: conv_weight_grad_any, Narrow, any);
