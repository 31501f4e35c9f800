//! Arithmetic on rows. Inlined into the interpreter, which is compiled for the processor's vectors.

use super::float;
use super::integer::{extend, half1, half2, integer1, integer2, integer3, long1, long2, wide_product};
use super::lanes::{Regs, ballot};
use crate::ptx::{Cmp, F1, F2, Guard, Kind, Logic, Mods, Op, Ty};

/// Executes an arithmetic instruction; false when it is none.
#[inline(always)]
pub(crate) fn execute(r: &mut Regs, op: &Op, mask: u32) -> bool {
    match *op {
        Op::Fma { m, d, a, b, c } => fma(r, m, d, [a, b, c], mask),
        Op::F2 { f, m, d, a, b } => float2(r, f, m, d, [a, b], mask),
        Op::F1 { f, m, d, a } => float1(r, f, m, d, a, mask),
        Op::Zero { d, n } => d[..usize::from(n)].iter().for_each(|&d| r.put(d, &[0; 32], mask)),
        Op::I2 { f, d, a, b } => integer2(r, f, d, a, b, mask),
        Op::I1 { f, d, a } => integer1(r, f, d, a, mask),
        Op::I3 { f, d, a, b, c } => integer3(r, f, d, [a, b, c], mask),
        Op::L2 { f, d, a, b } => long2(r, f, d, a, b, mask),
        Op::MulWide { signed, d, a, b } => {
            let v = wide_product(r, signed, a, b);
            r.put64(d, &v, mask);
        }
        Op::MadWide { signed, d, a, b, c } => {
            let mut v = wide_product(r, signed, a, b);
            let c = r.get64(c);
            for lane in 0..32 {
                v[lane] = v[lane].wrapping_add(c[lane]);
            }
            r.put64(d, &v, mask);
        }
        Op::LMad { d, a, b, c } => {
            let (a, b, c) = (r.get64(a), r.get64(b), r.get64(c));
            let mut v = [0; 32];
            for lane in 0..32 {
                v[lane] = a[lane].wrapping_mul(b[lane]).wrapping_add(c[lane]);
            }
            r.put64(d, &v, mask);
        }
        Op::Setp { ty, cmp, ftz, d, q, a, b, with } => {
            let holds = compare(r, ty, cmp, ftz, a, b);
            let (mut p, mut n) = (holds, !holds);
            if let Some((logic, other)) = with {
                let other = r.guard(other);
                p = combine(logic, p, other);
                n = combine(logic, n, other);
            }
            r.put_pred(d, p, mask);
            if let Some(q) = q {
                r.put_pred(q, n, mask);
            }
        }
        Op::PredLogic { f, d, a, b } => {
            let value = combine(f, r.guard(a), r.guard(b));
            r.put_pred(d, value, mask);
        }
        Op::PredMov { d, a } => {
            let value = r.guard(a);
            r.put_pred(d, value, mask);
        }
        Op::PredConst { d, value } => r.put_pred(d, u32::from(value).wrapping_neg(), mask),
        Op::Selp { d, a, b, p } => select(r, d, a, b, p, mask),
        Op::SelpL { d, a, b, p } => {
            let p = r.guard(p);
            let (a, b) = (r.get64(a), r.get64(b));
            let mut v = [0; 32];
            for lane in 0..32 {
                v[lane] = if p >> lane & 1 == 1 { a[lane] } else { b[lane] };
            }
            r.put64(d, &v, mask);
        }
        Op::L1 { f, d, a } => long1(r, f, d, a, mask),
        _ => return rare(r, op, mask),
    }
    true
}

/// Arithmetic that inner loops seldom have; not inlined.
fn rare(r: &mut Regs, op: &Op, mask: u32) -> bool {
    match *op {
        Op::H1 { f, d, a } => half1(r, f, d, a, mask),
        Op::H2 { f, signed, d, a, b } => half2(r, f, signed, d, a, b, mask),
        Op::MulWide16 { signed, d, a, b } => {
            r.map2(d, a, b, mask, |a, b| extend(a, signed).wrapping_mul(extend(b, signed)))
        }
        Op::Bfi { d, a, b, c, e } => {
            let len = *r.get(e);
            let (a, b, at) = (r.get(a), r.get(b), r.get(c));
            let v = std::array::from_fn(|lane| {
                let (at, len) = (at[lane] & 0xff, (len[lane] & 0xff).min(32));
                let field = if at > 31 || len == 0 { 0 } else { (((1u64 << len) - 1) << at) as u32 };
                let value = (u64::from(a[lane]) << at.min(63)) as u32;
                b[lane] & !field | value & field
            });
            r.put(d, &v, mask);
        }
        Op::D1 { f, d, a } => r.wide1(d, a, mask, |a| float::one64(f, a)),
        Op::D2 { f, d, a, b } => r.wide2(d, a, b, mask, |a, b| float::two64(f, a, b)),
        Op::DFma { d, a, b, c } => {
            let (a, b, c) = (r.get64(a), r.get64(b), r.get64(c));
            let f = f64::from_bits;
            let v = std::array::from_fn(|lane| f(a[lane]).mul_add(f(b[lane]), f(c[lane])).to_bits());
            r.put64(d, &v, mask);
        }
        _ => return false,
    }
    true
}

#[inline(always)]
fn fma(r: &mut Regs, m: Mods, d: u16, s: [u16; 3], mask: u32) {
    let fused = |a: u32, b: u32, c: u32| f32::from_bits(a).mul_add(f32::from_bits(b), f32::from_bits(c)).to_bits();
    if m == Mods::default() {
        r.map3(d, s, mask, fused);
    } else {
        r.map3(d, s, mask, |a, b, c| match m.ftz {
            true => finish(m, fused(float::flush(a), float::flush(b), float::flush(c))),
            false => finish(m, fused(a, b, c)),
        });
    }
}

#[inline(always)]
fn finish(m: Mods, bits: u32) -> u32 {
    let bits = if m.ftz { float::flush(bits) } else { bits };
    if m.sat { float::saturate(bits) } else { bits }
}

#[inline(always)]
fn float2(r: &mut Regs, f: F2, m: Mods, d: u16, s: [u16; 2], mask: u32) {
    if m != Mods::default() {
        return r.map2(d, s[0], s[1], mask, |a, b| match m.ftz {
            true => finish(m, float::two(f, float::flush(a), float::flush(b))),
            false => finish(m, float::two(f, a, b)),
        });
    }
    macro_rules! each {
        ($($name:ident),*) => { match f { $(F2::$name => r.map2(d, s[0], s[1], mask, |a, b| float::two(F2::$name, a, b)),)* } };
    }
    each!(Add, Sub, Mul, Div, DivApprox, Min, Max, MinNan, MaxNan, CopySign);
}

#[inline(always)]
fn float1(r: &mut Regs, f: F1, m: Mods, d: u16, a: u16, mask: u32) {
    r.map1(d, a, mask, |a| finish(m, float::one(f, if m.ftz { float::flush(a) } else { a })));
}

#[inline(always)]
fn select(r: &mut Regs, d: u16, a: u16, b: u16, p: Guard, mask: u32) {
    let p = r.guard(p);
    let (a, b) = (r.get(a), r.get(b));
    let mut v = [0; 32];
    for lane in 0..32 {
        let m = (p >> lane & 1).wrapping_neg();
        v[lane] = a[lane] & m | b[lane] & !m;
    }
    r.put(d, &v, mask);
}

#[inline(always)]
fn combine(logic: Logic, a: u32, b: u32) -> u32 {
    match logic {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}

#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    clippy::double_comparisons,
    reason = "comparisons with NaN are false, and that is the point"
)]
#[inline(always)]
fn ordered<T: PartialOrd>(cmp: Cmp, a: T, b: T) -> bool {
    match cmp {
        Cmp::Eq => a == b,
        Cmp::Ne => a < b || a > b,
        Cmp::Lt => a < b,
        Cmp::Le => a <= b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::EquU => !(a < b || a > b),
        Cmp::NeuU => a != b,
        Cmp::LtuU => !(a >= b),
        Cmp::LeuU => !(a > b),
        Cmp::GtuU => !(a <= b),
        Cmp::GeuU => !(a < b),
        Cmp::Num => a.partial_cmp(&b).is_some(),
        Cmp::Nan => a.partial_cmp(&b).is_none(),
    }
}

#[inline(always)]
fn compare(r: &Regs, ty: Ty, cmp: Cmp, ftz: bool, a: u16, b: u16) -> u32 {
    macro_rules! each {
        ($get:ident, $convert:expr; $($name:ident),*) => {{
            let (a, b) = (r.$get(a), r.$get(b));
            let convert = $convert;
            match cmp {
                $(Cmp::$name => ballot(|lane| ordered(Cmp::$name, convert(a[lane]), convert(b[lane]))),)*
                _ => ballot(|lane| ordered(cmp, convert(a[lane]), convert(b[lane]))),
            }
        }};
    }
    match (ty.kind, ty.bits) {
        (Kind::Float, 32) if ftz => each!(get, |a| f32::from_bits(float::flush(a)); Lt),
        (Kind::Float, 32) => each!(get, f32::from_bits; Lt, Gt),
        (Kind::Float, _) => each!(get64, f64::from_bits; Lt),
        (Kind::Signed, 64) => each!(get64, |a| a as i64; Lt, Ge),
        (_, 64) => each!(get64, |a: u64| a; Lt, Eq),
        (Kind::Signed, 16) => each!(get, |a| extend(a, true) as i32; Lt),
        (_, 16) => each!(get, |a| extend(a, false); Lt),
        (Kind::Signed, _) => each!(get, |a| a as i32; Lt, Le, Gt, Ge),
        _ => each!(get, |a: u32| a; Eq, Ne, Lt, Le, Gt, Ge),
    }
}
