//! Floating-point arithmetic as PTX defines it.
//!
//! Additions, products, quotients, roots and fused products round to nearest even and are exact in that. The
//! approximate functions (`ex2`, `lg2`, `rcp`, `rsqrt`, `sqrt`, `sin`, `cos`, `tanh`, `div.approx`, `div.full`) are
//! computed by the host's functions, which are at least as close as PTX promises; their bits differ from a GPU's.
//! `div.approx` does not return 0 for divisors above 2^126. NaN results of arithmetic are whatever the host makes;
//! `min` and `max` return PTX's canonical NaN.

use crate::ptx::{F1, F2};

/// Zero in place of a subnormal number, keeping the sign.
#[inline(always)]
pub(crate) fn flush(bits: u32) -> u32 {
    if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// Clamps to 0..=1; NaN becomes 0.
#[inline(always)]
pub(crate) fn saturate(bits: u32) -> u32 {
    let x = f32::from_bits(bits);
    (if x > 1.0 {
        1.0f32
    } else if x > 0.0 {
        x
    } else {
        0.0
    })
    .to_bits()
}

const NAN: u32 = 0x7fff_ffff;

#[inline(always)]
fn min(a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    if x < y {
        a
    } else if y < x {
        b
    } else if x == y {
        a | b // -0 is below +0
    } else if x.is_nan() {
        if y.is_nan() { NAN } else { b }
    } else {
        a
    }
}

#[inline(always)]
fn max(a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    if x > y {
        a
    } else if y > x {
        b
    } else if x == y {
        a & b
    } else if x.is_nan() {
        if y.is_nan() { NAN } else { b }
    } else {
        a
    }
}

#[inline(always)]
pub(crate) fn two(f: F2, a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    let nan = x.is_nan() || y.is_nan();
    match f {
        F2::Add => (x + y).to_bits(),
        F2::Sub => (x - y).to_bits(),
        F2::Mul => (x * y).to_bits(),
        F2::Div | F2::DivApprox => (x / y).to_bits(),
        F2::Min => min(a, b),
        F2::Max => max(a, b),
        F2::MinNan => {
            if nan {
                NAN
            } else {
                min(a, b)
            }
        }
        F2::MaxNan => {
            if nan {
                NAN
            } else {
                max(a, b)
            }
        }
        F2::CopySign => a & 0x7fff_ffff | b & 0x8000_0000,
    }
}

#[inline(always)]
pub(crate) fn one(f: F1, a: u32) -> u32 {
    let x = f32::from_bits(a);
    match f {
        F1::Neg => a ^ 0x8000_0000,
        F1::Abs => a & 0x7fff_ffff,
        F1::Sqrt | F1::SqrtApprox => x.sqrt().to_bits(),
        F1::Rcp | F1::RcpApprox => (1.0 / x).to_bits(),
        F1::RsqrtApprox => ((1.0 / f64::from(x).sqrt()) as f32).to_bits(),
        F1::Ex2 => x.exp2().to_bits(),
        F1::Lg2 => x.log2().to_bits(),
        F1::Sin => x.sin().to_bits(),
        F1::Cos => x.cos().to_bits(),
        F1::Tanh => x.tanh().to_bits(),
    }
}

#[inline(always)]
pub(crate) fn two64(f: F2, a: u64, b: u64) -> u64 {
    let (x, y) = (f64::from_bits(a), f64::from_bits(b));
    match f {
        F2::Add => x + y,
        F2::Sub => x - y,
        F2::Mul => x * y,
        F2::Div | F2::DivApprox => x / y,
        F2::Min | F2::MinNan => x.min(y),
        F2::Max | F2::MaxNan => x.max(y),
        F2::CopySign => x.copysign(y),
    }
    .to_bits()
}

#[inline(always)]
pub(crate) fn one64(f: F1, a: u64) -> u64 {
    let x = f64::from_bits(a);
    match f {
        F1::Neg => -x,
        F1::Abs => x.abs(),
        F1::Sqrt => x.sqrt(),
        _ => 1.0 / x,
    }
    .to_bits()
}
