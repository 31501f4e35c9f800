//! Products of bf16 on the CPU, for processors with AVX512_BF16.
//!
//! Memory stays f32. A product rounds both factors to bf16 while it packs them, two terms to a [`Pair`], and sums in
//! f32; one instruction adds two terms to each of 16 sums. What is not a product is as in f32.
//!
//! A pair takes the place of a float of the f32 path. Which two terms make it:
//! - forward and input gradient of a convolution: two neighbouring maps of a pixel (an odd last one goes with zero);
//! - fully connected, forward and input gradient: two neighbouring inputs or outputs;
//! - weight gradients: the same place in two neighbouring images (an odd last one goes with zeros).
//!
//! So geometry is that of f32 with half as many maps or images, and sums are cut by [`crate::ops::sum_blocks`] with
//! pairs for terms. Within a block the processor adds the second term of a pair, then the first, each with one rounding to
//! nearest; numbers below 2^-126 count as zero. This order depends on shapes only.

mod arch;
pub(super) mod conv;
pub(super) mod conv_grad;
pub(super) mod fc;
pub(super) mod fc_grad;
mod product;

pub(super) use arch::Bf16;

/// Two numbers in bf16: the first in the lower half.
type Pair = u32;
