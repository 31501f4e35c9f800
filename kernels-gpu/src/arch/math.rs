//! Arithmetic that Rust has no operator for.

use core::arch::asm;

/// `a * b + c`, rounded once.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    core::f32::math::mul_add(a, b, c)
}

/// Two floats as bf16, each rounded to nearest even; `low` in the lower half.
#[inline(always)]
pub fn bf16_pair(low: f32, high: f32) -> u32 {
    let pair;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("cvt.rn.bf16x2.f32 {}, {}, {};", out(reg32) pair, in(reg32) high, in(reg32) low,
            options(pure, nomem, nostack, preserves_flags));
    }
    pair
}

/// An approximation: one instruction, and its error as PTX documents it.
macro_rules! approximation {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(x: f32) -> f32 {
            let y;
            // SAFETY: arithmetic on registers.
            unsafe {
                asm!(concat!($instruction, " {}, {};"), out(reg32) y, in(reg32) x,
                    options(pure, nomem, nostack, preserves_flags));
            }
            y
        }
    };
}

approximation! {
    /// 2 to the power of `x`, within 2 units of the last place.
    exp2_approx, "ex2.approx.f32"
}
approximation! {
    /// The logarithm to base 2, within 1 unit of the last place (absolute 2^-22 near 1).
    log2_approx, "lg2.approx.f32"
}
approximation! {
    /// `1 / x`, within 1 unit of the last place.
    rcp_approx, "rcp.approx.f32"
}
approximation! {
    /// `1 / sqrt(x)`, within a relative 2^-22.9.
    rsqrt_approx, "rsqrt.approx.f32"
}
