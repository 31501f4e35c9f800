//! Barriers and shuffles. All of them must be reached by all threads they name.

unsafe extern "C" {
    #[link_name = "llvm.nvvm.shfl.sync.down.f32"]
    fn shfl_down(mask: u32, value: f32, distance: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.bfly.f32"]
    fn shfl_bfly(mask: u32, value: f32, distance: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.bar.warp.sync"]
    fn bar_warp_sync(mask: u32);
}

/// Waits for all threads of the block, and makes their shared memory visible to each other.
///
/// # Safety
/// All threads of the block reach it: never under a condition that depends on the thread.
#[inline(always)]
pub unsafe fn barrier() {
    // SAFETY: the caller's contract.
    unsafe { core::arch::nvptx::_syncthreads() }
}

/// Brings the lanes of the warp together. Before a run of matrix instructions it keeps the compiler
/// from moving them under a condition.
///
/// # Safety
/// All lanes of the warp reach it.
#[inline(always)]
pub unsafe fn converge() {
    // SAFETY: the caller's contract.
    unsafe { bar_warp_sync(!0) }
}

/// The value of lane `lane + distance`, and the own one where there is no such lane.
///
/// # Safety
/// All lanes of the warp reach it.
#[inline(always)]
pub unsafe fn shuffle_down(value: f32, distance: u32) -> f32 {
    // SAFETY: the caller's contract.
    unsafe { shfl_down(!0, value, distance, 31) }
}

/// The value of lane `lane ^ distance`.
///
/// # Safety
/// All lanes of the warp reach it.
#[inline(always)]
pub unsafe fn shuffle_xor(value: f32, distance: u32) -> f32 {
    // SAFETY: the caller's contract.
    unsafe { shfl_bfly(!0, value, distance, 31) }
}
