//! Convolution and its gradients on tensor cores: [`crate::conv`] with bf16 images and weights. A fully connected
//! layer is a convolution of one pixel by one tap.
//!
//! With one part, outputs and input gradients are rounded to bf16 and written; parts are floats, which
//! [`crate::sum_parts`] adds. Weight gradients are always floats.
//!
//! Each has an entry for each [`Tile`], but weight gradients none for a short one, whose channels, `n` and places are
//! multiples of [`super::CHUNK`], and one for any shape, which copies elements one by one and is slow.
//!
//! # Thread mapping, shared memory, cost
//! Those of the product.

use super::{THREADS, Tile};
use crate::Kernel;
use crate::element::Offsets;
use crate::product::copy::Windows;
use crate::product::{Places, Product};
use crate::sum_parts::Finish;

/// One operation's entries.
pub struct Entries {
    /// In tiles of [`Tile::Narrow`], [`Tile::Middle`] and [`Tile::Wide`].
    by_width: [Kernel; 3],
    /// In tiles of [`Tile::Short`], where rows may be the images of a small batch.
    short: Option<Kernel>,
    /// For any shape, in tiles of [`Tile::Wide`].
    any: Kernel,
}

impl Entries {
    /// The entry for `m` rows and `n` columns, and its tile. With `chunked`, channels, `n` and all places are multiples
    /// of [`super::CHUNK`], bases are aligned to 16 bytes, filters have at most [`super::MAX_SIZE`] rows, and there is no
    /// dilation.
    pub fn of(&'static self, m: u32, n: u32, chunked: bool) -> (&'static Kernel, Tile) {
        let tile = Tile::of(n);
        match (&self.short, tile) {
            _ if !chunked => (&self.any, Tile::Wide),
            (Some(short), _) if m <= Tile::Short.rows() => (short, Tile::Short),
            (_, Tile::Narrow) => (&self.by_width[0], tile),
            (_, Tile::Middle) => (&self.by_width[1], tile),
            (_, Tile::Wide | Tile::Short) => (&self.by_width[2], Tile::Wide),
        }
    }
}

/// Forward passes, bias and activation.
pub const FORWARD: Entries =
    Entries { by_width: [FORWARD_48, FORWARD_96, FORWARD_128], short: Some(FORWARD_SHORT), any: FORWARD_ANY };
/// Input gradients.
pub const INPUT_GRAD: Entries = Entries {
    by_width: [INPUT_GRAD_48, INPUT_GRAD_96, INPUT_GRAD_128],
    short: Some(INPUT_GRAD_SHORT),
    any: INPUT_GRAD_ANY,
};
/// Weight gradients. Their rows are maps, and there is no batch so small that they are few.
pub const WEIGHT_GRAD: Entries =
    Entries { by_width: [WEIGHT_GRAD_48, WEIGHT_GRAD_96, WEIGHT_GRAD_128], short: None, any: WEIGHT_GRAD_ANY };

/// Declares a forward pass.
macro_rules! forward {
    ($declaration:ident: $entry:ident, $tile:ident, $left:expr, $right:expr, $store:ident, $pairs:literal) => {
        kernel! {
            /// Forward pass, or parts of it. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `weight + weight_at` are device pointers, for each source of each problem of the
            ///   grid, to the images of `windows` and to `k * n` bf16.
            /// - `output + output_at` are device pointers, for each problem, to `m * n` bf16, or with several parts to
            ///   `parts * m * n` floats, and overlap nothing else.
            /// - Where `finish` says so, `bias + bias_at` are device pointers to `n` floats.
            /// - `product` is `windows`' own, from [`super::join`] or [`super::split`]: `m` counts windows, `k` taps and
            ///   channels; no extent is 0 or above [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                input: *const u16,
                input_at: Places,
                weight: *const u16,
                weight_at: Places,
                bias: *const f32,
                bias_at: Offsets,
                output: *mut u16,
                output_at: Offsets,
                windows: Windows,
                product: Product,
                finish: Finish,
            ) {
                use super::device::{$tile, multiply};
                use super::store::{$store, finish as apply, store_part};
                use crate::product::{Block, Matrices};

                let block = Block::new(product, [Tile::$tile.rows(), Tile::$tile.columns()]);
                let matrices = Matrices { left: input, left_at: input_at, right: weight, right_at: weight_at };
                let (left, right) = ($left(windows, product, block.row), $right(product, block.column));
                let mut sums = multiply::<$tile, _, _>(block, product, &matrices, &left, &right);
                let at = output_at.of(block.problem) as usize;
                if product.parts > 1 {
                    store_part::<$tile, $pairs>(&sums, block, product, output.cast::<f32>().wrapping_add(at));
                } else {
                    let bias = bias.wrapping_add(bias_at.of(block.problem) as usize);
                    apply::<$tile>(&mut sums, block, product, finish, bias);
                    $store::<$tile>(&sums, block, product, output.wrapping_add(at));
                }
            }
        }
    };
}

/// Declares an input gradient.
macro_rules! input_grad {
    ($declaration:ident: $entry:ident, $tile:ident, $left:expr, $right:expr, $store:ident, $pairs:literal) => {
        kernel! {
            /// Input gradient, or parts of it. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `d_output + d_output_at` and `weight + weight_at` are device pointers, for each consumer of each
            ///   problem of the grid, to the images of `windows` and to `taps * n * channels` bf16.
            /// - `d_input + d_input_at` are device pointers, for each problem, to `m * n` bf16, or with several parts to
            ///   `parts * m * n` floats, and overlap nothing else.
            /// - `product` is `windows`' own, from [`super::split`]: `m` counts windows, `k` taps and channels; no extent
            ///   is 0 or above [`crate::product::copy::MAX_EXTENT`].
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                d_output: *const u16,
                d_output_at: Places,
                weight: *const u16,
                weight_at: Places,
                d_input: *mut u16,
                d_input_at: Offsets,
                windows: Windows,
                product: Product,
            ) {
                use super::device::{$tile, multiply};
                use super::store::{$store, store_part};
                use crate::product::{Block, Matrices};

                let block = Block::new(product, [Tile::$tile.rows(), Tile::$tile.columns()]);
                let matrices = Matrices { left: d_output, left_at: d_output_at, right: weight, right_at: weight_at };
                let (left, right) = ($left(windows, product, block.row), $right(windows, product, block.column));
                let sums = multiply::<$tile, _, _>(block, product, &matrices, &left, &right);
                let at = d_input_at.of(block.problem) as usize;
                if product.parts > 1 {
                    store_part::<$tile, $pairs>(&sums, block, product, d_input.cast::<f32>().wrapping_add(at));
                } else {
                    $store::<$tile>(&sums, block, product, d_input.wrapping_add(at));
                }
            }
        }
    };
}

/// Declares a weight gradient.
macro_rules! weight_grad {
    ($declaration:ident: $entry:ident, $tile:ident, $left:expr, $right:expr, $pairs:literal) => {
        kernel! {
            /// Weight gradient, or parts of it, as floats. Grid: [`Tile::grid`]; block: [`THREADS`]; dynamic shared
            /// memory: [`Tile::shared_bytes`].
            ///
            /// # Safety
            /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to
            ///   the images of `windows` and to `k * n` bf16.
            /// - `d_weight + d_weight_at` are device pointers to `parts * m * n` floats for each problem, and overlap
            ///   nothing else.
            /// - `product` is `windows`' own, from [`super::split`]: `m` counts taps and channels, `k` windows; no extent
            ///   is 0 or above [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
            /// - The entry is the one that [`Entries::of`] gives.
            /// - Launched with exactly this grid, block and shared memory.
            [threads = THREADS, min_blocks = Tile::$tile.min_blocks(), shared_bytes = Tile::$tile.shared_bytes()]
            $declaration: fn $entry(
                input: *const u16,
                input_at: Places,
                d_output: *const u16,
                d_output_at: Places,
                d_weight: *mut f32,
                d_weight_at: Offsets,
                windows: Windows,
                product: Product,
            ) {
                use super::device::{$tile, multiply};
                use super::store::store_part;
                use crate::product::{Block, Matrices};

                let block = Block::new(product, [Tile::$tile.rows(), Tile::$tile.columns()]);
                let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at };
                let (left, right) = ($left(windows, product, block.row), $right(product, block.column));
                let sums = multiply::<$tile, _, _>(block, product, &matrices, &left, &right);
                let parts = d_weight.wrapping_add(d_weight_at.of(block.problem) as usize);
                store_part::<$tile, $pairs>(&sums, block, product, parts);
            }
        }
    };
}

/// Operands of any shape, by the tile's first row or column.
#[cfg(target_arch = "nvptx64")]
pub(super) mod any {
    use crate::bf16::operand::{AnyPixels, AnyRows, AnyTaps, AnyTransposed, Elements};
    use crate::product::Product;
    use crate::product::copy::Windows;

    #[inline(always)]
    pub(in crate::bf16) fn pixels(windows: Windows, product: Product, row: u32) -> Elements<AnyPixels> {
        Elements(AnyPixels { windows, product }, row)
    }

    #[inline(always)]
    pub(in crate::bf16) fn taps(windows: Windows, product: Product, row: u32) -> Elements<AnyTaps> {
        Elements(AnyTaps { windows, product }, row)
    }

    #[inline(always)]
    pub(in crate::bf16) fn rows(product: Product, column: u32) -> Elements<AnyRows> {
        Elements(AnyRows { product }, column)
    }

    #[inline(always)]
    pub(in crate::bf16) fn transposed(windows: Windows, product: Product, column: u32) -> Elements<AnyTransposed> {
        Elements(AnyTransposed { windows, product }, column)
    }
}

#[cfg(target_arch = "nvptx64")]
use super::operand::{Pixels, Rows, Taps, Transposed};

forward! { FORWARD_48: conv_forward_bf16_48, Narrow, Pixels::new, Rows::new, store_chunks, true }
forward! { FORWARD_96: conv_forward_bf16_96, Middle, Pixels::new, Rows::new, store_chunks, true }
forward! { FORWARD_128: conv_forward_bf16_128, Wide, Pixels::new, Rows::new, store_chunks, true }
forward! { FORWARD_SHORT: conv_forward_bf16_short, Short, Pixels::new, Rows::new, store_chunks, true }
forward! { FORWARD_ANY: conv_forward_bf16_any, Wide, any::pixels, any::rows, store_each, false }
input_grad! { INPUT_GRAD_48: conv_input_grad_bf16_48, Narrow, Pixels::new, Transposed::new, store_chunks, true }
input_grad! { INPUT_GRAD_96: conv_input_grad_bf16_96, Middle, Pixels::new, Transposed::new, store_chunks, true }
input_grad! { INPUT_GRAD_128: conv_input_grad_bf16_128, Wide, Pixels::new, Transposed::new, store_chunks, true }
input_grad! { INPUT_GRAD_SHORT: conv_input_grad_bf16_short, Short, Pixels::new, Transposed::new, store_chunks, true }
input_grad! { INPUT_GRAD_ANY: conv_input_grad_bf16_any, Wide, any::pixels, any::transposed, store_each, false }
weight_grad! { WEIGHT_GRAD_48: conv_weight_grad_bf16_48, Narrow, Taps::new, Rows::new, true }
weight_grad! { WEIGHT_GRAD_96: conv_weight_grad_bf16_96, Middle, Taps::new, Rows::new, true }
weight_grad! { WEIGHT_GRAD_128: conv_weight_grad_bf16_128, Wide, Taps::new, Rows::new, true }
weight_grad! { WEIGHT_GRAD_ANY: conv_weight_grad_bf16_any, Wide, any::taps, any::rows, false }
