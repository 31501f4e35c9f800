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
//! # Tried
//! Assembled for sm_80, run on the simulator; nothing is timed yet.

use crate::element::Offsets;
use crate::product::copy::Windows;
use crate::product::{MIN_BLOCKS, Places, Product, SHARED_BYTES, THREADS};
use crate::sum_parts::Finish;

kernel! {
    /// Forward pass, or parts of it. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `input + input_at` and `weight + weight_at` are device pointers, for each source of each problem of the grid, to
    ///   the images of `windows` and to `k * n` floats.
    /// - `output + output_at` are device pointers to `parts * m * n` floats for each problem, and overlap nothing else;
    ///   `output` is aligned to 16 bytes.
    /// - Where `finish` says so, `bias + bias_at` are device pointers to `n` floats.
    /// - `product` is `windows`' own: `m` counts windows, `k` taps and channels; no extent is 0 or above
    ///   [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = MIN_BLOCKS, shared_bytes = SHARED_BYTES]
    FORWARD: fn conv_forward(
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
        use crate::product::copy::{Pixels, Rows};
        use crate::product::{Block, Matrices, multiply, store};

        let block = Block::new(product);
        let matrices = Matrices { left: input, left_at: input_at, right: weight, right_at: weight_at };
        let left = Pixels::<false>::new(windows, product, block.row);
        let sums = multiply(block, product, &matrices, &left, &Rows::new(product, block.column));
        let bias = bias.wrapping_add(bias_at.of(block.problem) as usize);
        store(&sums, block, product, output, output_at.of(block.problem), |sum, column| {
            crate::sum_parts::finish(finish, sum, bias, column)
        });
    }
}

/// Declares an input gradient.
macro_rules! input_grad {
    ($(#[$doc:meta])* $declaration:ident: $entry:ident, $dilated:literal) => {
        kernel! {
            $(#[$doc])*
            ///
            /// # Safety
            /// - `d_output + d_output_at` and `weight + weight_at` are device pointers, for each consumer of each
            ///   problem of the grid, to the images of `windows` and to `taps * n * channels` floats.
            /// - `d_input + d_input_at` are device pointers to `parts * m * n` floats for each problem, and overlap
            ///   nothing else; `d_input` is aligned to 16 bytes.
            /// - `product` is `windows`' own: `m` counts windows, `k` taps and channels; no extent is 0 or above
            ///   [`crate::product::copy::MAX_EXTENT`].
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
                use crate::product::copy::{Pixels, Transposed};
                use crate::product::{Block, Matrices, multiply, store};

                let block = Block::new(product);
                let matrices = Matrices { left: d_output, left_at: d_output_at, right: weight, right_at: weight_at };
                let left = Pixels::<$dilated>::new(windows, product, block.row);
                let right = Transposed::new(windows, product, block.column);
                let sums = multiply(block, product, &matrices, &left, &right);
                store(&sums, block, product, d_input, d_input_at.of(block.problem), |sum, _| sum);
            }
        }
    };
}

input_grad! {
    /// Input gradient, or parts of it, for a stride of 1. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared
    /// memory: [`SHARED_BYTES`].
    INPUT_GRAD: conv_input_grad, false
}

input_grad! {
    /// Input gradient, or parts of it, for any stride, which is the dilation of `windows`. Grid: [`Product::grid`];
    /// block: [`THREADS`]; dynamic shared memory: [`SHARED_BYTES`].
    INPUT_GRAD_STRIDED: conv_input_grad_strided, true
}

kernel! {
    /// Weight gradient, or parts of it. Grid: [`Product::grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to the images
    ///   of `windows` and to `k * n` floats.
    /// - `d_weight + d_weight_at` are device pointers to `parts * m * n` floats for each problem, and overlap nothing
    ///   else; `d_weight` is aligned to 16 bytes.
    /// - `product` is `windows`' own: `m` counts taps and channels, `k` windows; no extent is 0 or above
    ///   [`crate::product::copy::MAX_EXTENT`]; the dilation is 1.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = MIN_BLOCKS, shared_bytes = SHARED_BYTES]
    WEIGHT_GRAD: fn conv_weight_grad(
        input: *const f32,
        input_at: Places,
        d_output: *const f32,
        d_output_at: Places,
        d_weight: *mut f32,
        d_weight_at: Offsets,
        windows: Windows,
        product: Product,
    ) {
        use crate::product::copy::{Rows, Taps};
        use crate::product::{Block, Matrices, multiply, store};

        let block = Block::new(product);
        let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at };
        let left = Taps::new(windows, product, block.row);
        let sums = multiply(block, product, &matrices, &left, &Rows::new(product, block.column));
        store(&sums, block, product, d_weight, d_weight_at.of(block.problem), |sum, _| sum);
    }
}
