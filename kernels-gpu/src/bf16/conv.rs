//! Convolution and its gradients on tensor cores: [`crate::conv`] with bf16 images and weights. A fully connected
//! layer is a convolution of one pixel by one tap.
//!
//! Gradients are written as f32 parts, which [`crate::sum_parts`] adds.
//! `chunked` is not 0 where channels, `n` and all places are multiples of [`super::CHUNK`].
//!
//! # Thread mapping, shared memory, cost
//! Those of the product.

use super::{SHARED_BYTES, THREADS};
use crate::element::Offsets;
use crate::product::copy::Windows;
use crate::product::{Places, Product};
use crate::sum_parts::Finish;

kernel! {
    /// Forward pass, bias and activation. Grid: [`super::grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `input + input_at` and `weight + weight_at` are device pointers, for each source of each problem of the grid, to
    ///   the images of `windows` and to `k * n` bf16.
    /// - `output + output_at` are device pointers to `m * n` bf16 for each problem, and overlap nothing else.
    /// - Where `finish` says so, `bias + bias_at` are device pointers to `n` floats.
    /// - `product` is `windows`' own, from [`super::join`]: `m` counts windows, `k` taps and channels; no extent is 0 or
    ///   above [`crate::product::copy::MAX_EXTENT`].
    /// - Where `chunked` is not 0, `channels`, `n` and all places are multiples of [`super::CHUNK`], and the bases are
    ///   aligned to 16 bytes.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    FORWARD: fn conv_forward_bf16(
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
        chunked: u32,
    ) {
        use super::operand::{Pixels, Rows};
        use super::{Block, Matrices, each_pair, multiply};
        use crate::arch::{bf16_pair, store_u32};

        let block = Block::new(product);
        let matrices = Matrices { left: input, left_at: input_at, right: weight, right_at: weight_at, chunked };
        let sums = multiply(block, product, &matrices, &Pixels { windows, product }, &Rows { product });
        let bias = bias.wrapping_add(bias_at.of(block.problem) as usize);
        let n = product.n;
        let output = output.add(output_at.of(block.problem) as usize);
        each_pair(&sums, block, product, |row, column, [first, second]| {
            let to = output.wrapping_add(row as usize * n as usize + column as usize);
            let inside = column + 1 < n;
            let first = crate::sum_parts::finish(finish, first, bias, column);
            let second = if inside { crate::sum_parts::finish(finish, second, bias, column + 1) } else { 0.0 };
            let pair = bf16_pair(first, second);
            if chunked != 0 {
                store_u32(to.cast(), pair);
            } else {
                *to = pair as u16;
                if inside {
                    *to.add(1) = (pair >> 16) as u16;
                }
            }
        });
    }
}

kernel! {
    /// Parts of the input gradient, for any stride, which is the dilation of `windows`. Grid: [`super::grid`]; block:
    /// [`THREADS`]; dynamic shared memory: [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `d_output + d_output_at` and `weight + weight_at` are device pointers, for each consumer of each problem of the
    ///   grid, to the images of `windows` and to `taps * n * channels` bf16.
    /// - `d_input + d_input_at` are device pointers to `parts * m * n` floats for each problem, and overlap nothing else.
    /// - `product` is `windows`' own, from [`super::split`]: `m` counts windows, `k` taps and channels; no extent is 0 or
    ///   above [`crate::product::copy::MAX_EXTENT`].
    /// - Where `chunked` is not 0, `channels` and all places of operands are multiples of [`super::CHUNK`], and the bases
    ///   are aligned to 16 bytes.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    INPUT_GRAD: fn conv_input_grad_bf16(
        d_output: *const u16,
        d_output_at: Places,
        weight: *const u16,
        weight_at: Places,
        d_input: *mut f32,
        d_input_at: Offsets,
        windows: Windows,
        product: Product,
        chunked: u32,
    ) {
        use super::operand::{Pixels, Transposed};
        use super::{Block, Matrices, each_pair, multiply};

        let block = Block::new(product);
        let matrices = Matrices { left: d_output, left_at: d_output_at, right: weight, right_at: weight_at, chunked };
        let right = Transposed { windows, product };
        let sums = multiply(block, product, &matrices, &Pixels { windows, product }, &right);
        let parts = d_input.add(d_input_at.of(block.problem) as usize);
        each_pair(&sums, block, product, |row, column, pair| write_part(parts, block.part, product, row, column, pair));
    }
}

kernel! {
    /// Parts of the weight gradient. Grid: [`super::grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `input + input_at` and `d_output + d_output_at` are device pointers, for each problem of the grid, to the images
    ///   of `windows` and to `k * n` bf16.
    /// - `d_weight + d_weight_at` are device pointers to `parts * m * n` floats for each problem, and overlap nothing
    ///   else.
    /// - `product` is `windows`' own, from [`super::split`]: `m` counts taps and channels, `k` windows; no extent is 0 or
    ///   above [`crate::product::copy::MAX_EXTENT`].
    /// - Where `chunked` is not 0, `channels`, `n` and all places of operands are multiples of [`super::CHUNK`], and the
    ///   bases are aligned to 16 bytes.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    WEIGHT_GRAD: fn conv_weight_grad_bf16(
        input: *const u16,
        input_at: Places,
        d_output: *const u16,
        d_output_at: Places,
        d_weight: *mut f32,
        d_weight_at: Offsets,
        windows: Windows,
        product: Product,
        chunked: u32,
    ) {
        use super::operand::{Rows, Taps};
        use super::{Block, Matrices, each_pair, multiply};

        let block = Block::new(product);
        let matrices = Matrices { left: input, left_at: input_at, right: d_output, right_at: d_output_at, chunked };
        let sums = multiply(block, product, &matrices, &Taps { windows, product }, &Rows { product });
        let parts = d_weight.add(d_weight_at.of(block.problem) as usize);
        each_pair(&sums, block, product, |row, column, pair| write_part(parts, block.part, product, row, column, pair));
    }
}

/// Writes the sums of a pair that are inside to their part.
///
/// # Safety
/// `parts` points to parts of `m * n` floats; the row and the first column are inside of one.
#[cfg(target_arch = "nvptx64")]
#[inline(always)]
unsafe fn write_part(parts: *mut f32, part: u32, product: Product, row: u32, column: u32, [first, second]: [f32; 2]) {
    let Product { m, n, .. } = product;
    let row = part as usize * m as usize + row as usize;
    let to = parts.wrapping_add(row * n as usize + column as usize);
    // SAFETY: the caller's contract; whether there is a second column is asked.
    unsafe {
        *to = first;
        if column + 1 < n {
            *to.add(1) = second;
        }
    }
}
