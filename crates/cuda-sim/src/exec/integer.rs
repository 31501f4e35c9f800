//! Integer arithmetic on rows, at 16, 32 and 64 bits.

use super::lanes::Regs;
use crate::ptx::{I1, I2, I3, Slot};

#[inline(always)]
pub(crate) fn two(f: I2, a: u32, b: u32) -> u32 {
    let (x, y) = (a as i32, b as i32);
    match f {
        I2::Add => a.wrapping_add(b),
        I2::Sub => a.wrapping_sub(b),
        I2::MulLo => a.wrapping_mul(b),
        I2::MulHiU => ((u64::from(a) * u64::from(b)) >> 32) as u32,
        I2::MulHiS => ((i64::from(x) * i64::from(y)) >> 32) as u32,
        // Division by zero is unspecified in PTX; the hardware's routine gives all ones.
        I2::DivU => a.checked_div(b).unwrap_or(!0),
        I2::RemU => a.checked_rem(b).unwrap_or(a),
        I2::DivS => {
            if y == 0 {
                !0
            } else {
                x.wrapping_div(y) as u32
            }
        }
        I2::RemS => {
            if y == 0 {
                a
            } else {
                x.wrapping_rem(y) as u32
            }
        }
        I2::MinU => a.min(b),
        I2::MaxU => a.max(b),
        I2::MinS => x.min(y) as u32,
        I2::MaxS => x.max(y) as u32,
        I2::And => a & b,
        I2::Or => a | b,
        I2::Xor => a ^ b,
        I2::Shl => {
            if b > 31 {
                0
            } else {
                a << (b & 31)
            }
        }
        I2::ShrU => {
            if b > 31 {
                0
            } else {
                a >> (b & 31)
            }
        }
        I2::ShrS => (x >> b.min(31)) as u32,
        I2::AddSatS => x.saturating_add(y) as u32,
        I2::SubSatS => x.saturating_sub(y) as u32,
    }
}

#[inline(always)]
pub(super) fn integer2(r: &mut Regs, f: I2, d: u16, a: u16, b: u16, mask: u32) {
    macro_rules! each {
        ($($name:ident),*) => { match f { $(I2::$name => r.map2(d, a, b, mask, |a, b| two(I2::$name, a, b)),)* } };
    }
    each!(
        Add, Sub, MulLo, MulHiU, MulHiS, DivU, DivS, RemU, RemS, MinU, MinS, MaxU, MaxS, And, Or, Xor, Shl, ShrU, ShrS,
        AddSatS, SubSatS
    );
}

#[inline(always)]
fn one(f: I1, a: u32) -> u32 {
    match f {
        I1::Mov => a,
        I1::Not => !a,
        I1::Neg => a.wrapping_neg(),
        I1::Abs => (a as i32).wrapping_abs() as u32,
        I1::Cnot => u32::from(a == 0),
        I1::Popc => a.count_ones(),
        I1::Clz => a.leading_zeros(),
        I1::Brev => a.reverse_bits(),
        I1::BfindU => a.checked_ilog2().unwrap_or(!0),
        I1::BfindS => (if (a as i32) < 0 { !a } else { a }).checked_ilog2().unwrap_or(!0),
    }
}

#[inline(always)]
pub(super) fn integer1(r: &mut Regs, f: I1, d: u16, a: u16, mask: u32) {
    match f {
        I1::Mov => {
            let v = *r.get(a);
            r.put(d, &v, mask);
        }
        _ => r.map1(d, a, mask, |a| one(f, a)),
    }
}

#[inline(always)]
pub(super) fn integer3(r: &mut Regs, f: I3, d: u16, s: [u16; 3], mask: u32) {
    match f {
        I3::Mad => r.map3(d, s, mask, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        I3::Lop3(table) => r.map3(d, s, mask, |a, b, c| lop3(table, a, b, c)),
        _ => r.map3(d, s, mask, |a, b, c| three(f, a, b, c)),
    }
}

#[inline(always)]
fn lop3(table: u8, a: u32, b: u32, c: u32) -> u32 {
    (0..8u32).filter(|index| table >> index & 1 == 1).fold(0, |out, index| {
        let pick = |x: u32, bit: u32| if index >> bit & 1 == 1 { x } else { !x };
        out | pick(a, 2) & pick(b, 1) & pick(c, 0)
    })
}

fn three(f: I3, a: u32, b: u32, c: u32) -> u32 {
    let (x, y) = (a as i32, b as i32);
    let joined = u64::from(b) << 32 | u64::from(a);
    match f {
        I3::Mad => a.wrapping_mul(b).wrapping_add(c),
        I3::MadHiU => (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c),
        I3::MadHiS => (((i64::from(x) * i64::from(y)) >> 32) as u32).wrapping_add(c),
        I3::BfeU | I3::BfeS => {
            let (at, len) = (b & 0xff, c & 0xff);
            let signed = f == I3::BfeS;
            let field = (u64::from(a) >> at.min(63)) & (1u64 << len.min(32)).wrapping_sub(1);
            // The sign is the last bit of the field, or of the word where the field ends beyond it.
            let negative = signed && len > 0 && a >> (at + len - 1).min(31) & 1 == 1;
            let keep = len.min(32u32.saturating_sub(at));
            let ones = if negative { u64::MAX << keep } else { 0 };
            (field | ones) as u32
        }
        I3::Prmt => {
            let byte = |at: u32| (joined >> (at * 8)) as u8;
            (0..4).fold(0, |out, index| {
                let select = c >> (index * 4) & 0xf;
                let value = byte(select & 7);
                let value = if select & 8 == 0 { value } else { ((value as i8) >> 7) as u8 };
                out | u32::from(value) << (index * 8)
            })
        }
        I3::Lop3(table) => lop3(table, a, b, c),
        I3::ShfLWrap => ((joined << (c & 31)) >> 32) as u32,
        I3::ShfLClamp => ((u128::from(joined) << c.min(32)) >> 32) as u32,
        I3::ShfRWrap => (joined >> (c & 31)) as u32,
        I3::ShfRClamp => (joined >> c.min(32)) as u32,
        I3::SadU => a.abs_diff(b).wrapping_add(c),
        I3::SadS => x.abs_diff(y).wrapping_add(c),
    }
}

#[inline(always)]
pub(super) fn wide_product(r: &Regs, signed: bool, a: u16, b: u16) -> [u64; 32] {
    let (a, b) = (r.get(a), r.get(b));
    let mut v = [0; 32];
    if signed {
        for lane in 0..32 {
            v[lane] = (i64::from(a[lane] as i32) * i64::from(b[lane] as i32)) as u64;
        }
    } else {
        for lane in 0..32 {
            v[lane] = u64::from(a[lane]) * u64::from(b[lane]);
        }
    }
    v
}

#[inline(always)]
pub(super) fn long2(r: &mut Regs, f: I2, d: u16, a: u16, b: u16, mask: u32) {
    if matches!(f, I2::Shl | I2::ShrU | I2::ShrS) {
        let (a, b) = (r.get64(a), r.get(b));
        let mut v = [0; 32];
        for lane in 0..32 {
            let n = b[lane];
            v[lane] = match f {
                I2::Shl => {
                    if n > 63 {
                        0
                    } else {
                        a[lane] << (n & 63)
                    }
                }
                I2::ShrU => {
                    if n > 63 {
                        0
                    } else {
                        a[lane] >> (n & 63)
                    }
                }
                _ => ((a[lane] as i64) >> n.min(63)) as u64,
            };
        }
        return r.put64(d, &v, mask);
    }
    match f {
        I2::Add => r.wide2(d, a, b, mask, u64::wrapping_add),
        I2::Sub => r.wide2(d, a, b, mask, u64::wrapping_sub),
        I2::And => r.wide2(d, a, b, mask, |a, b| a & b),
        I2::Or => r.wide2(d, a, b, mask, |a, b| a | b),
        _ => r.wide2(d, a, b, mask, |a, b| long(f, a, b)),
    }
}

fn long(f: I2, a: u64, b: u64) -> u64 {
    let (x, y) = (a as i64, b as i64);
    match f {
        I2::MulLo => a.wrapping_mul(b),
        I2::MulHiU => ((u128::from(a) * u128::from(b)) >> 64) as u64,
        I2::MulHiS => ((i128::from(x) * i128::from(y)) >> 64) as u64,
        I2::DivU => a.checked_div(b).unwrap_or(!0),
        I2::RemU => a.checked_rem(b).unwrap_or(a),
        I2::DivS => {
            if y == 0 {
                !0
            } else {
                x.wrapping_div(y) as u64
            }
        }
        I2::RemS => {
            if y == 0 {
                a
            } else {
                x.wrapping_rem(y) as u64
            }
        }
        I2::MinU => a.min(b),
        I2::MaxU => a.max(b),
        I2::MinS => x.min(y) as u64,
        I2::MaxS => x.max(y) as u64,
        I2::Xor => a ^ b,
        _ => a.wrapping_add(b),
    }
}

#[inline(always)]
pub(super) fn long1(r: &mut Regs, f: I1, d: Slot, a: u16, mask: u32) {
    match d {
        Slot::W64(d) => match f {
            I1::Mov => {
                let v = *r.get64(a);
                r.put64(d, &v, mask);
            }
            _ => r.wide1(d, a, mask, |a| match f {
                I1::Not => !a,
                I1::Neg => a.wrapping_neg(),
                I1::Abs => (a as i64).wrapping_abs() as u64,
                I1::Cnot => u64::from(a == 0),
                I1::Brev => a.reverse_bits(),
                _ => a,
            }),
        },
        Slot::W32(d) => {
            let a = r.get64(a);
            let v = std::array::from_fn(|lane| match f {
                I1::Popc => a[lane].count_ones(),
                I1::Clz => a[lane].leading_zeros(),
                _ => a[lane] as u32,
            });
            r.put(d, &v, mask);
        }
        Slot::W16(_) | Slot::None => {}
    }
}

#[inline(always)]
pub(super) fn extend(a: u32, signed: bool) -> u32 {
    if signed { a as u16 as i16 as i32 as u32 } else { a & 0xffff }
}

pub(super) fn half1(r: &mut Regs, f: I1, d: u16, a: u16, mask: u32) {
    r.map1(d, a, mask, |a| {
        0xffff
            & match f {
                I1::Abs => one(I1::Abs, extend(a, true)),
                I1::Brev => (a as u16).reverse_bits().into(),
                I1::Cnot => u32::from(a & 0xffff == 0),
                _ => one(f, a),
            }
    });
}

pub(super) fn half2(r: &mut Regs, f: I2, signed: bool, d: u16, a: u16, b: u16, mask: u32) {
    let shift = matches!(f, I2::Shl | I2::ShrU | I2::ShrS);
    // The product of 16 bits is in 32, and its high half what `mul.hi` gives.
    let (f, high) = if matches!(f, I2::MulHiU | I2::MulHiS) { (I2::MulLo, 16) } else { (f, 0) };
    r.map2(d, a, b, mask, |a, b| two(f, extend(a, signed), if shift { b } else { extend(b, signed) }) >> high & 0xffff);
}
