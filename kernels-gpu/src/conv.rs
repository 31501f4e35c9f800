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
use crate::product::{MIN_BLOCKS, Places, Product, SHARED_BYTES, THREADS, TILE_N, TILE_N_NARROW};
use crate::sum_parts::Finish;

/// One operation's entries.
pub struct Entries {
    /// In tiles of [`TILE_N_NARROW`] and of [`TILE_N`] columns.
    by_width: [Kernel; 2],
    /// For any shape, in tiles of [`TILE_N_NARROW`].
    any: Kernel,
}

impl Entries {
    /// The entry for `n` columns, and the columns of its tiles. With `chunked`, channels, filters and all places are
    /// multiples of [`crate::product::CHUNK`], bases are aligned to 16 bytes, and there is no dilation.
    pub fn of(&'static self, n: u32, chunked: bool) -> (&'static Kernel, u32) {
        let columns = |width: u32| ceil_div(n, width) * width;
        // A narrow tile costs a tenth more for each column.
        let is_narrow = columns(TILE_N_NARROW) * 11 < columns(TILE_N) * 10;
        match (chunked, is_narrow) {
            (false, _) => (&self.any, TILE_N_NARROW),
            (true, true) => (&self.by_width[0], TILE_N_NARROW),
            (true, false) => (&self.by_width[1], TILE_N),
        }
    }
}

/// Forward passes, bias and activation.
pub const FORWARD: Entries = Entries { by_width: [FORWARD_48, FORWARD_64], any: FORWARD_ANY };
/// Input gradients.
pub const INPUT_GRAD: Entries = Entries { by_width: [INPUT_GRAD_48, INPUT_GRAD_64], any: INPUT_GRAD_ANY };
/// Weight gradients.
pub const WEIGHT_GRAD: Entries = Entries { by_width: [WEIGHT_GRAD_48, WEIGHT_GRAD_64], any: WEIGHT_GRAD_ANY };

/// Declares a forward pass.
macro_rules! forward {
    ($declaration:ident: $entry:ident, $copy:ident::$pixels:ident $(::<$dilated:literal>)?, $tile_n:ident) => {
        kernel! {
            /// Forward pass, or parts of it. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`SHARED_BYTES`].
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
            [threads = THREADS, min_blocks = MIN_BLOCKS, shared_bytes = SHARED_BYTES]
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
                use crate::product::copy::$copy::{$pixels, Rows};
                use crate::product::{Block, Matrices, multiply};

                let block = Block::new(product, $tile_n);
                let matrices = Matrices { left: input, left_at: input_at, right: weight, right_at: weight_at };
                let left = $pixels $(::<$dilated>)? ::new(windows, product, block.row);
                let right = Rows::<$tile_n>::new(product, block.column);
                let sums = multiply::<_, { $tile_n as usize / 8 }>(block, product, &matrices, &left, &right);
                let bias = bias.wrapping_add(bias_at.of(block.problem) as usize);
                sums.store(block, product, output, output_at.of(block.problem), |sum, column| {
                    crate::sum_parts::finish(finish, sum, bias, column)
                });
            }
        }
    };
}

forward!(FORWARD_48: conv_forward_48, wide::Pixels, TILE_N_NARROW);
forward!(FORWARD_64: conv_forward_64, wide::Pixels, TILE_N);
forward!(FORWARD_ANY: conv_forward_any, any::Pixels::<false>, TILE_N_NARROW);

/// Declares an input gradient.
macro_rules! input_grad {
    ($declaration:ident: $entry:ident, $copy:ident::$pixels:ident $(::<$dilated:literal>)?, $tile_n:ident) => {
        kernel! {
            /// Input gradient, or parts of it. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`SHARED_BYTES`].
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
            [threads = THREADS, min_blocks = MIN_BLOCKS, shared_bytes = SHARED_BYTES]
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
                use crate::product::copy::$copy::$pixels;
                use crate::product::copy::any::Transposed;
                use crate::product::{Block, Matrices, multiply};

                let block = Block::new(product, $tile_n);
                let matrices = Matrices { left: d_output, left_at: d_output_at, right: weight, right_at: weight_at };
                let left = $pixels $(::<$dilated>)? ::new(windows, product, block.row);
                let right = Transposed::<$tile_n>::new(windows, product, block.column);
                let sums = multiply::<_, { $tile_n as usize / 8 }>(block, product, &matrices, &left, &right);
                sums.store(block, product, d_input, d_input_at.of(block.problem), |sum, _| sum);
            }
        }
    };
}

input_grad!(INPUT_GRAD_48: conv_input_grad_48, wide::Pixels, TILE_N_NARROW);
input_grad!(INPUT_GRAD_64: conv_input_grad_64, wide::Pixels, TILE_N);
input_grad!(INPUT_GRAD_ANY: conv_input_grad_any, any::Pixels::<true>, TILE_N_NARROW);

/// Declares a weight gradient.
macro_rules! weight_grad {
    ($declaration:ident: $entry:ident, $copy:ident, $tile_n:ident) => {
        kernel! {
            /// Weight gradient, or parts of it. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared memory:
            /// [`SHARED_BYTES`].
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
            [threads = THREADS, min_blocks = MIN_BLOCKS, shared_bytes = SHARED_BYTES]
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

                let block = Block::new(product, $tile_n);
                let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at };
                let left = Taps::new(windows, product, block.row);
                let right = Rows::<$tile_n>::new(product, block.column);
                let sums = multiply::<_, { $tile_n as usize / 8 }>(block, product, &matrices, &left, &right);
                sums.store(block, product, d_weight, d_weight_at.of(block.problem), |sum, _| sum);
            }
        }
    };
}

weight_grad!(WEIGHT_GRAD_48: conv_weight_grad_48, wide, TILE_N_NARROW);
weight_grad!(WEIGHT_GRAD_64: conv_weight_grad_64, wide, TILE_N);
weight_grad!(WEIGHT_GRAD_ANY: conv_weight_grad_any, any, TILE_N_NARROW);
