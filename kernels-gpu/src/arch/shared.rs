//! Shared memory: one dynamic pool, 32-bit addresses, and copies into it that run in the background.

use core::arch::{asm, global_asm};

use super::F32x4;

// LLVM prints it at the head of the PTX, so it is declared before its use.
global_asm!(".extern .shared .align 1024 .b8 SHARED_POOL[];");

/// The address of the pool.
#[inline(always)]
pub fn shared_base() -> u32 {
    let address;
    // SAFETY: reads an address that is fixed for the kernel.
    unsafe {
        asm!("mov.u32 {}, SHARED_POOL;", out(reg32) address, options(pure, nomem, nostack, preserves_flags));
    }
    address
}

/// The same address as if it were unknown: what is added to it later stays a constant of the instructions, where
/// the compiler would otherwise keep each sum in a register.
#[inline(always)]
pub fn opaque(mut address: u32) -> u32 {
    // SAFETY: it does nothing.
    unsafe { asm!("// {}", inout(reg32) address, options(pure, nomem, nostack, preserves_flags)) };
    address
}

/// Reads a float.
///
/// # Safety
/// `address` is in the pool, aligned to 4 bytes, and written before a barrier.
#[inline(always)]
pub unsafe fn shared_load(address: u32) -> f32 {
    let value;
    // SAFETY: the caller's contract.
    unsafe { asm!("ld.shared.f32 {}, [{}];", out(reg32) value, in(reg32) address, options(nostack, readonly)) }
    value
}

/// Reads two neighbouring floats.
///
/// # Safety
/// As [`shared_load`], for 8 bytes aligned to 8.
#[inline(always)]
pub unsafe fn shared_load2(address: u32) -> [f32; 2] {
    let (x, y);
    // SAFETY: the caller's contract.
    unsafe {
        asm!("ld.shared.v2.f32 {{{}, {}}}, [{}];", out(reg32) x, out(reg32) y, in(reg32) address,
            options(nostack, readonly));
    }
    [x, y]
}

/// Reads four neighbouring floats.
///
/// # Safety
/// As [`shared_load`], for 16 bytes aligned to 16.
#[inline(always)]
pub unsafe fn shared_load4(address: u32) -> F32x4 {
    let (x, y, z, w);
    // SAFETY: the caller's contract.
    unsafe {
        asm!("ld.shared.v4.f32 {{{}, {}, {}, {}}}, [{}];",
            out(reg32) x, out(reg32) y, out(reg32) z, out(reg32) w, in(reg32) address, options(nostack, readonly));
    }
    F32x4 { x, y, z, w }
}

/// Writes a value.
pub trait Shared {
    /// Writes it at `address`.
    ///
    /// # Safety
    /// `address` is in the pool and aligned to the value's size; no other thread reads or writes it
    /// before a barrier.
    unsafe fn store(self, address: u32);
}

impl Shared for f32 {
    #[inline(always)]
    unsafe fn store(self, address: u32) {
        // SAFETY: the caller's contract.
        unsafe { asm!("st.shared.f32 [{}], {};", in(reg32) address, in(reg32) self, options(nostack)) }
    }
}

impl Shared for u32 {
    #[inline(always)]
    unsafe fn store(self, address: u32) {
        // SAFETY: the caller's contract.
        unsafe { asm!("st.shared.u32 [{}], {};", in(reg32) address, in(reg32) self, options(nostack)) }
    }
}

impl Shared for F32x4 {
    #[inline(always)]
    unsafe fn store(self, address: u32) {
        // SAFETY: the caller's contract.
        unsafe {
            asm!("st.shared.v4.f32 [{}], {{{}, {}, {}, {}}};", in(reg32) address,
                in(reg32) self.x, in(reg32) self.y, in(reg32) self.z, in(reg32) self.w, options(nostack));
        }
    }
}

/// Writes a float or four.
///
/// # Safety
/// As [`Shared::store`].
#[inline(always)]
pub unsafe fn shared_store(address: u32, value: impl Shared) {
    // SAFETY: the caller's contract.
    unsafe { value.store(address) }
}

/// Starts a copy of 16 bytes from device memory to the pool; with `wanted` false it writes zeros
/// and reads nothing.
///
/// # Safety
/// Both are aligned to 16 bytes; `from` is valid for 16 bytes where they are wanted. The data is there
/// after [`wait_for_copies`] and a barrier.
#[inline(always)]
pub unsafe fn copy_async(to: u32, from: *const u16, wanted: bool) {
    // SAFETY: the caller's contract. The condition goes in as a number, because a choice of 16 or 0 bytes would be
    // made of one choice for each part of the condition.
    unsafe {
        asm!("{{.reg .pred wanted; .reg .b32 bytes;",
            "setp.ne.u32 wanted, {}, 0; selp.b32 bytes, 16, 0, wanted;",
            "cp.async.cg.shared.global [{}], [{}], 16, bytes;}}",
            in(reg32) u32::from(wanted), in(reg32) to, in(reg64) from, options(nostack));
    }
}

/// [`copy_async`] where there is anything to copy; without a branch.
///
/// # Safety
/// As [`copy_async`].
#[inline(always)]
pub unsafe fn copy_async_if(any: bool, to: u32, from: *const u16, wanted: bool) {
    let bytes = if wanted { 16_u32 } else { 0 };
    // SAFETY: the caller's contract.
    unsafe {
        asm!("{{ .reg .pred p; setp.ne.u32 p, {}, 0; @p cp.async.cg.shared.global [{}], [{}], 16, {}; }}",
            in(reg32) u32::from(any), in(reg32) to, in(reg64) from, in(reg32) bytes, options(nostack));
    }
}

/// Closes a group of copies, which may be empty.
#[inline(always)]
pub fn commit_copies() {
    // SAFETY: orders this thread's copies and touches no memory itself.
    unsafe { asm!("cp.async.commit_group;", options(nostack)) }
}

/// Waits until at most `N` of this thread's groups of copies are still under way.
#[inline(always)]
pub fn wait_for_copies<const N: u32>() {
    // SAFETY: only waits.
    unsafe { asm!("cp.async.wait_group {};", const N, options(nostack)) }
}

/// Starts a copy of a float from device memory to the pool; with `wanted` false it writes zero and reads nothing.
///
/// # Safety
/// As [`copy_async`], for 4 bytes aligned to 4.
#[inline(always)]
pub unsafe fn copy_float_async(to: u32, from: *const f32, wanted: bool) {
    // SAFETY: as in `copy_async`.
    unsafe {
        asm!("{{.reg .pred wanted; .reg .b32 bytes;",
            "setp.ne.u32 wanted, {}, 0; selp.b32 bytes, 4, 0, wanted;",
            "cp.async.ca.shared.global [{}], [{}], 4, bytes;}}",
            in(reg32) u32::from(wanted), in(reg32) to, in(reg64) from, options(nostack));
    }
}
