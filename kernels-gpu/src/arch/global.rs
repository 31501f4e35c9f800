//! Device memory in pieces of 4, 8 and 16 bytes.

use core::arch::asm;

/// Four floats that are loaded and stored by one instruction.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct F32x4 {
    /// First.
    pub x: f32,
    /// Second.
    pub y: f32,
    /// Third.
    pub z: f32,
    /// Fourth.
    pub w: f32,
}

impl F32x4 {
    /// Four floats.
    #[inline(always)]
    pub const fn new(x: f32, y: f32, z: f32, w: f32) -> F32x4 {
        F32x4 { x, y, z, w }
    }

    /// The same float four times.
    #[inline(always)]
    pub const fn splat(value: f32) -> F32x4 {
        F32x4::new(value, value, value, value)
    }

    /// Reads four neighbours.
    ///
    /// # Safety
    /// `from` points to four floats and is aligned to 16 bytes.
    #[inline(always)]
    pub unsafe fn load(from: *const f32) -> F32x4 {
        // SAFETY: the caller's contract; copied whole, it is one `ld.global.v4`.
        unsafe { *from.cast::<F32x4>() }
    }

    /// Writes four neighbours.
    ///
    /// # Safety
    /// `to` points to four floats of device memory and is aligned to 16 bytes.
    #[inline(always)]
    pub unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's contract. A plain store would be merged with the scalar ones of another branch,
        // and come out in pieces.
        unsafe {
            asm!("st.global.v4.f32 [{}], {{{}, {}, {}, {}}};", in(reg64) to,
                in(reg32) self.x, in(reg32) self.y, in(reg32) self.z, in(reg32) self.w, options(nostack));
        }
    }
}

/// Two words that are loaded and stored by one instruction.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct U32x2 {
    /// First.
    pub x: u32,
    /// Second.
    pub y: u32,
}

impl U32x2 {
    /// Reads two neighbours.
    ///
    /// # Safety
    /// `from` points to two words and is aligned to 8 bytes.
    #[inline(always)]
    pub unsafe fn load(from: *const u32) -> U32x2 {
        // SAFETY: the caller's contract; copied whole, it is one `ld.global.v2`.
        unsafe { *from.cast::<U32x2>() }
    }

    /// Writes two neighbours.
    ///
    /// # Safety
    /// `to` points to two words of device memory and is aligned to 8 bytes.
    #[inline(always)]
    pub unsafe fn store(self, to: *mut u32) {
        // SAFETY: the caller's contract. Not a plain store for the reason that `F32x4` has.
        unsafe {
            asm!("st.global.v2.u32 [{}], {{{}, {}}};", in(reg64) to, in(reg32) self.x, in(reg32) self.y,
                options(nostack));
        }
    }
}

/// Writes 32 bits to device memory.
///
/// # Safety
/// `to` points to 4 bytes of device memory and is aligned to them.
#[inline(always)]
pub unsafe fn store_u32(to: *mut u32, value: u32) {
    // SAFETY: the caller's contract.
    unsafe { asm!("st.global.u32 [{}], {};", in(reg64) to, in(reg32) value, options(nostack)) }
}

/// Writes two neighbouring floats to device memory.
///
/// # Safety
/// `to` points to two floats of device memory and is aligned to 8 bytes.
#[inline(always)]
pub unsafe fn store_f32x2(to: *mut f32, first: f32, second: f32) {
    // SAFETY: the caller's contract.
    unsafe {
        asm!("st.global.v2.f32 [{}], {{{}, {}}};", in(reg64) to, in(reg32) first, in(reg32) second, options(nostack));
    }
}
