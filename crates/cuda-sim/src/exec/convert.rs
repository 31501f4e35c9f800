//! `cvt`, packing, unpacking and generic addresses.

use half::{bf16, f16};

use super::access::{LOCAL, PARAM, SHARED};
use super::float;
use super::lanes::Regs;
use crate::ptx::{Area, Kind, Mods, Op, Round, Slot, Ty};

/// Executes a conversion; false when the instruction is none.
pub(crate) fn execute(r: &mut Regs, op: &Op, mask: u32) -> bool {
    match *op {
        Op::Cvt { to, from, round, m, d, a } => cvt(r, to, from, round, m, d, a, mask),
        Op::CvtPack { bf16: brain, relu, d, hi, lo } => r.map2(d, hi, lo, mask, |hi, lo| {
            let half = |x: u32| {
                let x = f32::from_bits(x);
                let x = if relu && x <= 0.0 { 0.0 } else { x };
                u32::from(if brain { bf16::from_f32(x).to_bits() } else { f16::from_f32(x).to_bits() })
            };
            half(hi) << 16 | half(lo)
        }),
        Op::Pack16 { d, lo, hi } => r.map2(d, lo, hi, mask, |lo, hi| lo & 0xffff | hi << 16),
        Op::Unpack16 { lo, hi, a } => {
            let a = *r.get(a);
            put(r, lo, &a.map(|a| u64::from(a & 0xffff)), mask);
            put(r, hi, &a.map(|a| u64::from(a >> 16)), mask);
        }
        Op::Pack32 { d, lo, hi } => {
            let (lo, hi) = (r.get(lo), r.get(hi));
            let v = std::array::from_fn(|lane| u64::from(hi[lane]) << 32 | u64::from(lo[lane]));
            r.put64(d, &v, mask);
        }
        Op::Unpack32 { lo, hi, a } => {
            let a = *r.get64(a);
            put(r, lo, &a, mask);
            put(r, hi, &a.map(|a| a >> 32), mask);
        }
        Op::Cvta { area, to, d, a } => {
            let window = match area {
                Area::Shared => SHARED,
                Area::Local => LOCAL,
                Area::Param => PARAM,
                Area::Global | Area::Generic => 0,
            };
            r.wide1(d, a, mask, |a| if to { a.wrapping_sub(window) } else { a.wrapping_add(window) });
        }
        _ => return false,
    }
    true
}

/// Writes values to a register of any width.
pub(crate) fn put(r: &mut Regs, d: Slot, v: &[u64; 32], mask: u32) {
    match d {
        Slot::W64(d) => r.put64(d, v, mask),
        Slot::W32(d) => r.put(d, &v.map(|v| v as u32), mask),
        Slot::W16(d) => r.put(d, &v.map(|v| v as u32 & 0xffff), mask),
        Slot::None => {}
    }
}

/// Reads a register of any width.
pub(crate) fn get(r: &Regs, a: Slot) -> [u64; 32] {
    match a {
        Slot::W64(a) => *r.get64(a),
        Slot::W32(a) | Slot::W16(a) => r.get(a).map(u64::from),
        Slot::None => [0; 32],
    }
}

#[allow(clippy::too_many_arguments, reason = "the fields of one instruction")]
fn cvt(r: &mut Regs, to: Ty, from: Ty, round: Round, m: Mods, d: Slot, a: Slot, mask: u32) {
    // Between whole numbers that need no saturation: the one kind that inner loops have.
    if !to.float() && !from.float() && !m.sat {
        let mut v = get(r, a);
        let shift = 64 - u32::from(from.bits);
        for v in &mut v {
            *v = if from.signed() { (((*v << shift) as i64) >> shift) as u64 } else { *v << shift >> shift };
        }
        if to.bits < 64 {
            // The destination may be wider than the type: extended by the type's sign.
            let shift = 64 - u32::from(to.bits);
            for v in &mut v {
                *v = if to.signed() { (((*v << shift) as i64) >> shift) as u64 } else { *v << shift >> shift };
            }
        }
        return put(r, d, &v, mask);
    }
    let v = get(r, a).map(|v| one(to, from, round, m, v));
    put(r, d, &v, mask);
}

/// One conversion of the low `from.bits` of `v`.
pub(crate) fn one(to: Ty, from: Ty, round: Round, m: Mods, v: u64) -> u64 {
    if !from.float() {
        let shift = 64 - u32::from(from.bits);
        let whole =
            if from.signed() { i128::from(((v << shift) as i64) >> shift) } else { i128::from(v << shift >> shift) };
        return match (to.kind, to.bits) {
            (Kind::Float, 64) => (whole as f64).to_bits(),
            (Kind::Float, 32) => u64::from((whole as f32).to_bits()),
            (Kind::Float, _) => u64::from(f16::from_f64(whole as f64).to_bits()),
            (Kind::Bf16, _) => u64::from(bf16::from_f64(whole as f64).to_bits()),
            _ => clamp(whole, to) as u64,
        };
    }
    let x = match (from.kind, from.bits) {
        (Kind::Bf16, _) => f64::from(bf16::from_bits(v as u16)),
        (_, 16) => f64::from(f16::from_bits(v as u16)),
        (_, 32) => f64::from(f32::from_bits(if m.ftz { float::flush(v as u32) } else { v as u32 })),
        _ => f64::from_bits(v),
    };
    let x = match round {
        Round::Rni => x.round_ties_even(),
        Round::Rzi => x.trunc(),
        Round::Rmi => x.floor(),
        Round::Rpi => x.ceil(),
        _ => x,
    };
    let x = if m.sat && to.float() {
        if x > 1.0 {
            1.0
        } else if x > 0.0 {
            x
        } else {
            0.0
        }
    } else {
        x
    };
    match (to.kind, to.bits) {
        (Kind::Float, 64) => x.to_bits(),
        (Kind::Float, 32) => {
            let bits = (x as f32).to_bits();
            u64::from(if m.ftz { float::flush(bits) } else { bits })
        }
        // Through f64 a half could round twice; sources are f32 or narrower, where one rounding does it.
        (Kind::Float, _) => u64::from(f16::from_f64(x).to_bits()),
        (Kind::Bf16, _) => u64::from(bf16::from_f64(x).to_bits()),
        // NaN becomes 0 and everything else is clamped, as the hardware does.
        _ if x.is_nan() => 0,
        _ => clamp(x as i128, to) as u64,
    }
}

fn clamp(x: i128, to: Ty) -> i128 {
    let bits = u32::from(to.bits);
    if to.signed() { x.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { x.clamp(0, (1 << bits) - 1) }
}
