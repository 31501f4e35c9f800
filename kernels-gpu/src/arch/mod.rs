//! What a GPU thread can do: the only place with `asm!` and `link_name`.
//!
//! - Shared memory is one dynamic pool with 32-bit addresses; device memory is raw pointers.
//! - Barriers and shuffles are LLVM intrinsics, which the compiler knows to be convergent. Matrix
//!   instructions are assembly: the intrinsics for them are not convergent. The builder's flags and
//!   its uniformity rule protect those.
//! - Nothing that touches memory or synchronises is `pure` or `nomem`.

mod global;
mod index;
mod math;
mod matrix;
mod shared;
mod sync;

pub use global::{F32x4, U32x2, store_f32x2, store_u32};
pub use index::{block_x, block_y, block_z, thread};
pub use math::{bf16_pair, exp2_approx, fma, log2_approx, rcp_approx, rsqrt_approx};
pub use matrix::{load_matrices, load_matrices_transposed, multiply_bf16};
pub use shared::{
    commit_copies, copy_async, copy_async_if, copy_float_async, opaque, shared_base, shared_load, shared_load2,
    shared_load4, shared_store, wait_for_copies,
};
pub use sync::{barrier, converge, shuffle_down, shuffle_xor};

/// Stops the kernel with an error.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: `trap` ends the kernel and touches nothing.
    unsafe { core::arch::nvptx::trap() }
}
