//! GPU kernels in Rust, compiled to PTX by rustc's own `nvptx64-nvidia-cuda` back end.
//!
//! The crate is built twice.
//! For the GPU it is the kernels; `cargo xtask build-ptx` does that.
//! For the host it is what a launcher needs: the declaration of each kernel ([`KERNELS`]), tile
//! sizes, grids and index arithmetic, all of it tested here without a GPU.
//!
//! Reading order: [`Kernel`], then [`fill`], [`vector_add`], [`block_reduce`], [`gemm`], [`gemm_bf16`].
//! Of the layers [`element`] comes first, the types, packs and grids that they share; then [`update`], [`activation`],
//! [`pool`], [`lrn`]. What a thread can do is in `arch`, the only place with assembly.
#![no_std]
// `link_llvm_intrinsics` is internal to the compiler, and the only way to a convergent shuffle.
#![cfg_attr(target_arch = "nvptx64", allow(internal_features))]
#![cfg_attr(
    target_arch = "nvptx64",
    feature(abi_ptx, stdarch_nvptx, asm_experimental_arch, link_llvm_intrinsics, core_float_math)
)]

#[cfg(target_arch = "nvptx64")]
#[macro_use]
mod unroll;
#[macro_use]
mod kernel;

pub mod activation;
pub mod add;
#[cfg(target_arch = "nvptx64")]
pub mod arch;
pub mod augment;
pub mod bf16;
pub mod block_reduce;
pub mod blocks;
pub mod column_sums;
pub mod conv;
pub mod dropout;
pub mod element;
pub mod fc_update;
pub mod fill;
pub mod gemm;
pub mod gemm_bf16;
pub mod geometry;
pub mod lrn;
pub mod map_norm;
#[cfg(any(target_arch = "nvptx64", test))]
mod math;
pub mod philox;
pub mod pool;
pub mod precision;
pub mod product;
pub mod softmax;
pub mod step;
pub mod sum_parts;
pub mod update;
pub mod vector_add;

pub use kernel::{Argument, Kernel, Kernels, Kind, Parameter};
pub use precision::Precision;

/// Every kernel of the crate. The gates of `build-ptx` compare it with the PTX, both ways.
pub const KERNELS: [Kernel; 74] = [
    fill::FILL,
    vector_add::VECTOR_ADD,
    block_reduce::BLOCK_REDUCE,
    gemm::GEMM_NAIVE,
    gemm::GEMM_TILED,
    gemm_bf16::GEMM_BF16,
    bf16::conv::FORWARD_48,
    bf16::conv::FORWARD_96,
    bf16::conv::FORWARD_128,
    bf16::conv::FORWARD_SHORT,
    bf16::conv::FORWARD_ANY,
    bf16::conv::INPUT_GRAD_48,
    bf16::conv::INPUT_GRAD_96,
    bf16::conv::INPUT_GRAD_128,
    bf16::conv::INPUT_GRAD_SHORT,
    bf16::conv::INPUT_GRAD_ANY,
    bf16::conv::WEIGHT_GRAD_48,
    bf16::conv::WEIGHT_GRAD_96,
    bf16::conv::WEIGHT_GRAD_128,
    bf16::conv::WEIGHT_GRAD_ANY,
    bf16::fc_update::WEIGHT_UPDATE_128,
    bf16::fc_update::WEIGHT_UPDATE_ANY,
    blocks::IMAGES,
    blocks::WEIGHTS,
    blocks::GRADIENT,
    conv::FORWARD_48,
    conv::FORWARD_64,
    conv::FORWARD_SHORT,
    conv::FORWARD_ANY,
    conv::INPUT_GRAD_48,
    conv::INPUT_GRAD_64,
    conv::INPUT_GRAD_SHORT,
    conv::INPUT_GRAD_ANY,
    conv::WEIGHT_GRAD_48,
    conv::WEIGHT_GRAD_64,
    conv::WEIGHT_GRAD_ANY,
    fc_update::WEIGHT_UPDATE_64,
    fc_update::WEIGHT_UPDATE_ANY,
    update::UPDATE,
    update::UPDATE_ROUNDED,
    add::ADD.f32,
    add::ADD.bf16,
    activation::FORWARD.f32,
    activation::FORWARD.bf16,
    activation::BACKWARD.f32,
    activation::BACKWARD.bf16,
    pool::FORWARD.f32,
    pool::FORWARD.bf16,
    pool::BACKWARD.f32,
    pool::BACKWARD.bf16,
    pool::BACKWARD_CELLS.f32,
    pool::BACKWARD_CELLS.bf16,
    dropout::DROPOUT.f32,
    dropout::DROPOUT.bf16,
    softmax::FORWARD.f32,
    softmax::FORWARD.bf16,
    softmax::BACKWARD.f32,
    softmax::BACKWARD.bf16,
    augment::AUGMENT.f32,
    augment::AUGMENT.bf16,
    lrn::FORWARD.f32,
    lrn::FORWARD.bf16,
    lrn::BACKWARD.f32,
    lrn::BACKWARD.bf16,
    map_norm::FORWARD.f32,
    map_norm::FORWARD.bf16,
    map_norm::TERMS.f32,
    map_norm::TERMS.bf16,
    map_norm::BACKWARD.f32,
    map_norm::BACKWARD.bf16,
    sum_parts::SUM_PARTS.f32,
    sum_parts::SUM_PARTS.bf16,
    column_sums::COLUMN_SUMS.f32,
    column_sums::COLUMN_SUMS.bf16,
];

/// With `panic=immediate-abort` a panic is an inline `trap` and this is never called.
#[cfg(target_arch = "nvptx64")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    arch::trap()
}
