//! Arithmetic, instruction by instruction, against Rust's; whole warps and warps where a guard picks lanes.

mod common;

use common::{Gpu, Params};
use half::{bf16, f16};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const OLD: u32 = 0x1234_5677;

/// Words with more corners than chance gives.
fn word() -> impl Strategy<Value = u32> {
    let corners = [0, 1, 2, 31, 32, 33, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, !0];
    prop_oneof![
        4 => any::<u32>(),
        2 => prop::sample::select(corners.to_vec()),
        2 => 0u32..70,
        2 => (-1e3f32..1e3).prop_map(f32::to_bits),
        1 => any::<f32>().prop_map(f32::to_bits),
        1 => prop::sample::select(vec![0.0f32, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, f32::INFINITY, f32::NAN, f32::MAX, 1e-40, -1e-40]).prop_map(f32::to_bits),
    ]
}

type Lanes = Vec<(u32, u32, u32, u32)>;

fn lanes() -> impl Strategy<Value = Lanes> {
    prop::collection::vec((word(), word(), word(), word()), 32)
}

/// Runs `instruction` on %r1 %r2 %r3 (also as %f and, where `fourth` picks the lane, guarded) and returns %r9.
fn run(gpu: &Gpu, input: &Lanes) -> Vec<u32> {
    let words: Vec<u32> = input.iter().flat_map(|&(a, b, c, d)| [a, b, c, d]).collect();
    let (x, y) = (gpu.words(&words), gpu.memory.alloc(0, 256));
    gpu.run("k", [1; 3], [32, 1, 1], Params::default().u64(x).u64(y));
    gpu.read(y, 64)
}

fn kernel(instruction: &str, guarded: bool) -> Gpu {
    let guard = if guarded { "@%p1 " } else { "" };
    Gpu::kernel(
        ".param .u64 x, .param .u64 y",
        &format!(
            "ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; mov.u32 %r10, %tid.x; mul.wide.u32 %rd3, %r10, 16;
             add.s64 %rd1, %rd1, %rd3; ld.global.v4.u32 {{%r1, %r2, %r3, %r11}}, [%rd1];
             mov.b32 %f1, %r1; mov.b32 %f2, %r2; mov.b32 %f3, %r3; cvt.u16.u32 %h1, %r1; cvt.u16.u32 %h2, %r2;
             mov.b64 %rd4, {{%r1, %r2}}; mov.b64 %rd5, {{%r3, %r11}}; mov.u32 %r9, {OLD}; mov.b32 %f9, %r9; cvt.u16.u32 %h8, %r9;
             mov.b64 %rd9, {{%r9, %r9}}; and.b32 %r12, %r11, 1; setp.eq.u32 %p1, %r12, 1; setp.lt.u32 %p2, %r2, %r3; mov.pred %p3, %p2;
             {guard}{instruction}
             mul.wide.u32 %rd3, %r10, 8; add.s64 %rd2, %rd2, %rd3; OUT st.global.v2.u32 [%rd2], {{%r9, %r13}};"
        )
        .replace("OUT", match instruction {
            i if i.contains("%f9") => "mov.b32 %r9, %f9; mov.u32 %r13, 0;",
            i if i.contains("%rd9") => "mov.b64 {%r9, %r13}, %rd9;",
            i if i.contains("%h8") => "cvt.u32.u16 %r9, %h8; mov.u32 %r13, 0;",
            i if i.contains("%p3") => "selp.u32 %r9, 1, 0, %p3; mov.u32 %r13, 0;",
            _ => "mov.u32 %r13, 0;",
        }),
    )
}

/// Tests one instruction; `want` gets a, b, c and the fourth word.
fn check(instruction: &str, want: impl Fn(u32, u32, u32, u32) -> u64, same: impl Fn(u64, u64) -> bool) {
    for guarded in [false, true] {
        let gpu = kernel(instruction, guarded);
        let old = |b: u32, c: u32| match instruction {
            i if i.contains("%rd9") => u64::from(OLD) << 32 | u64::from(OLD),
            i if i.contains("%h8") => u64::from(OLD & 0xffff),
            i if i.contains("%p3") => u64::from(b < c),
            _ => u64::from(OLD),
        };
        let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
        TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        )
        .run(&lanes(), |input| {
            for (got, &(a, b, c, d)) in run(&gpu, &input).chunks(2).zip(&input) {
                let got = u64::from(got[1]) << 32 | u64::from(got[0]);
                let want = if guarded && d & 1 == 0 { old(b, c) } else { want(a, b, c, d) };
                prop_assert!(
                    same(got, want) || got == want,
                    "{instruction}: {a:#x} {b:#x} {c:#x}: {got:#x}, not {want:#x}"
                );
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }
}

fn exact(got: u64, want: u64) -> bool {
    got == want
}

fn int(instruction: &str, want: impl Fn(u32, u32, u32) -> u32) {
    check(instruction, |a, b, c, _| u64::from(want(a, b, c)), exact);
}

fn long(instruction: &str, want: impl Fn(u64, u64, u32) -> u64) {
    let pair = |lo: u32, hi: u32| u64::from(hi) << 32 | u64::from(lo);
    check(instruction, |a, b, c, d| want(pair(a, b), pair(c, d), c), exact);
}

fn float(instruction: &str, want: impl Fn(f32, f32, f32) -> f32) {
    let f = f32::from_bits;
    let same = |got: u64, want: u64| f(got as u32).is_nan() && f(want as u32).is_nan();
    check(instruction, |a, b, c, _| u64::from(want(f(a), f(b), f(c)).to_bits()), same);
}

/// An approximation: relative error at most 2^-20, and the same special values.
fn near(instruction: &str, want: impl Fn(f64, f64) -> f64) {
    let f = |bits: u32| f64::from(f32::from_bits(bits));
    let same = |got: u64, want: u64| {
        let (got, want) = (f(got as u32), f(want as u32));
        got.is_nan() && want.is_nan() || (got - want).abs() <= want.abs() / f64::from(1 << 20) + 1e-38
    };
    check(instruction, |a, b, _, _| u64::from((want(f(a), f(b)) as f32).to_bits()), same);
}

#[test]
fn integers_of_32_bits() {
    int("add.s32 %r9, %r1, %r2;", |a, b, _| a.wrapping_add(b));
    int("add.sat.s32 %r9, %r1, %r2;", |a, b, _| (a as i32).saturating_add(b as i32) as u32);
    int("sub.u32 %r9, %r1, -5;", |a, _, _| a.wrapping_add(5));
    int("mul.lo.s32 %r9, %r1, %r2;", |a, b, _| a.wrapping_mul(b));
    int("mul.hi.u32 %r9, %r1, %r2;", |a, b, _| ((u64::from(a) * u64::from(b)) >> 32) as u32);
    int("mul.hi.s32 %r9, %r1, %r2;", |a, b, _| ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32);
    int("mad.lo.s32 %r9, %r1, %r2, %r3;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    int("div.u32 %r9, %r1, %r2;", |a, b, _| a.checked_div(b).unwrap_or(!0));
    int("div.s32 %r9, %r1, %r2;", |a, b, _| if b == 0 { !0 } else { (a as i32).wrapping_div(b as i32) as u32 });
    int("rem.u32 %r9, %r1, %r2;", |a, b, _| a.checked_rem(b).unwrap_or(a));
    int("rem.s32 %r9, %r1, %r2;", |a, b, _| if b == 0 { a } else { (a as i32).wrapping_rem(b as i32) as u32 });
    int("min.s32 %r9, %r1, %r2;", |a, b, _| (a as i32).min(b as i32) as u32);
    int("max.u32 %r9, %r1, %r2;", |a, b, _| a.max(b));
    int("and.b32 %r9, %r1, %r2;", |a, b, _| a & b);
    int("or.b32 %r9, %r1, %r2;", |a, b, _| a | b);
    int("xor.b32 %r9, %r1, %r2;", |a, b, _| a ^ b);
    int("not.b32 %r9, %r1;", |a, _, _| !a);
    int("neg.s32 %r9, %r1;", |a, _, _| a.wrapping_neg());
    int("abs.s32 %r9, %r1;", |a, _, _| (a as i32).wrapping_abs() as u32);
    int("shl.b32 %r9, %r1, %r2;", |a, b, _| a.checked_shl(b).unwrap_or(0));
    int("shr.u32 %r9, %r1, %r2;", |a, b, _| a.checked_shr(b).unwrap_or(0));
    int("shr.s32 %r9, %r1, %r2;", |a, b, _| (a as i32).checked_shr(b).unwrap_or(a as i32 >> 31) as u32);
    int("popc.b32 %r9, %r1;", |a, _, _| a.count_ones());
    int("clz.b32 %r9, %r1;", |a, _, _| a.leading_zeros());
    int("brev.b32 %r9, %r1;", |a, _, _| a.reverse_bits());
    int("bfind.u32 %r9, %r1;", |a, _, _| 31u32.wrapping_sub(a.leading_zeros()));
    int("bfind.s32 %r9, %r1;", |a, _, _| 31u32.wrapping_sub((a ^ (a as i32 >> 31) as u32).leading_zeros()));
    int("sad.u32 %r9, %r1, %r2, %r3;", |a, b, c| a.abs_diff(b).wrapping_add(c));
    // The pseudo-code of the PTX manual.
    let bfe = |a: u32, b: u32, c: u32, signed: bool| {
        let (pos, len) = (b & 0xff, c & 0xff);
        let sign = if !signed || len == 0 { 0 } else { a >> (pos + len - 1).min(31) & 1 };
        (0..32).fold(0, |d, i| d | (if i < len && pos + i <= 31 { a >> (pos + i) & 1 } else { sign }) << i)
    };
    int("bfe.u32 %r9, %r1, %r2, %r3;", |a, b, c| bfe(a, b, c, false));
    int("bfe.s32 %r9, %r1, %r2, %r3;", |a, b, c| bfe(a, b, c, true));
    int("bfi.b32 %r9, %r1, %r2, %r3, 7;", |a, b, c| {
        let pos = c & 0xff;
        (0..7).filter(|i| pos + i <= 31).fold(b, |d, i| d & !(1 << (pos + i)) | (a >> i & 1) << (pos + i))
    });
    int("lop3.b32 %r9, %r1, %r2, %r3, 0x96;", |a, b, c| a ^ b ^ c);
    int("lop3.b32 %r9, %r1, %r2, %r3, 0xca;", |a, b, c| a & b | !a & c);
    int("prmt.b32 %r9, %r1, %r2, 0x5410;", |a, b, _| a & 0xffff | b << 16);
    int("prmt.b32 %r9, %r1, %r2, 0xb0;", |a, _, _| {
        (a & 0xff) | (a & 0xff) << 16 | (a & 0xff) << 24 | if a >> 31 == 1 { 0xff00 } else { 0 }
    });
    int("prmt.b32 %r9, %r1, %r2, %r3;", |a, b, c| {
        let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
        let pick = |i: usize| {
            let (byte, sign) = (bytes[(c >> (4 * i) & 7) as usize], c >> (4 * i + 3) & 1 == 1);
            if sign { ((byte as i8) >> 7) as u8 } else { byte }
        };
        u32::from_le_bytes([0, 1, 2, 3].map(pick))
    });
    int("mad.hi.u32 %r9, %r1, %r2, %r3;", |a, b, c| (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c));
    int("shf.l.wrap.b32 %r9, %r1, %r2, %r3;", |a, b, c| ((u64::from(b) << 32 | u64::from(a)) << (c & 31) >> 32) as u32);
    int("shf.r.clamp.b32 %r9, %r1, %r2, %r3;", |a, b, c| ((u64::from(b) << 32 | u64::from(a)) >> c.min(32)) as u32);
    int("mov.u32 %r9, %r3;", |_, _, c| c);
}

#[test]
fn integers_of_16_and_64_bits() {
    int("add.s16 %h8, %h1, %h2;", |a, b, _| u32::from((a as u16).wrapping_add(b as u16)));
    int("mul.lo.s16 %h8, %h1, %h2;", |a, b, _| u32::from((a as u16).wrapping_mul(b as u16)));
    int("mul.hi.u16 %h8, %h1, %h2;", |a, b, _| ((a & 0xffff) * (b & 0xffff)) >> 16);
    int("mul.hi.s16 %h8, %h1, %h2;", |a, b, _| (i32::from(a as i16) * i32::from(b as i16)) as u32 >> 16);
    int("min.s16 %h8, %h1, %h2;", |a, b, _| u32::from((a as i16).min(b as i16) as u16));
    int("shr.s16 %h8, %h1, %r2;", |a, b, _| u32::from((i32::from(a as i16) >> b.min(31)) as u16));
    int("shl.b16 %h8, %h1, 3;", |a, _, _| u32::from((a as u16) << 3));
    int("not.b16 %h8, %h1;", |a, _, _| u32::from(!(a as u16)));
    int("mul.wide.s16 %r9, %h1, %h2;", |a, b, _| (i32::from(a as i16) * i32::from(b as i16)) as u32);
    long("add.s64 %rd9, %rd4, %rd5;", |a, b, _| a.wrapping_add(b));
    long("sub.s64 %rd9, %rd4, %rd5;", |a, b, _| a.wrapping_sub(b));
    long("mul.lo.s64 %rd9, %rd4, %rd5;", |a, b, _| a.wrapping_mul(b));
    long("mul.hi.u64 %rd9, %rd4, %rd5;", |a, b, _| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    long("mul.hi.s64 %rd9, %rd4, %rd5;", |a, b, _| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
    long("min.u64 %rd9, %rd4, %rd5;", |a, b, _| a.min(b));
    long("rem.u64 %rd9, %rd4, %rd5;", |a, b, _| a.checked_rem(b).unwrap_or(a));
    long("shr.u64 %rd9, %rd4, %r3;", |a, _, c| a.checked_shr(c).unwrap_or(0));
    long("mad.wide.u32 %rd9, %r3, 7, %rd4;", |a, _, c| (u64::from(c) * 7).wrapping_add(a));
    long("div.u64 %rd9, %rd4, %rd5;", |a, b, _| a.checked_div(b).unwrap_or(!0));
    long("max.s64 %rd9, %rd4, %rd5;", |a, b, _| (a as i64).max(b as i64) as u64);
    long("xor.b64 %rd9, %rd4, %rd5;", |a, b, _| a ^ b);
    long("shl.b64 %rd9, %rd4, %r3;", |a, _, c| a.checked_shl(c).unwrap_or(0));
    long("shr.s64 %rd9, %rd4, %r3;", |a, _, c| (a as i64 >> c.min(63)) as u64);
    long("mad.lo.s64 %rd9, %rd4, %rd5, 9;", |a, b, _| a.wrapping_mul(b).wrapping_add(9));
    long("mul.wide.u32 %rd9, %r3, 3000000000;", |_, _, c| u64::from(c) * 3_000_000_000);
    long("mul.wide.s32 %rd9, %r3, -3;", |_, _, c| (i64::from(c as i32) * -3) as u64);
    long("mad.wide.s32 %rd9, %r3, -3, %rd4;", |a, _, c| ((i64::from(c as i32) * -3) as u64).wrapping_add(a));
    long("selp.b64 %rd9, %rd4, %rd5, %p1;", |a, b, _| if b >> 32 & 1 == 1 { a } else { b });
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

#[test]
fn floats() {
    float("add.f32 %f9, %f1, %f2;", |a, b, _| a + b);
    float("add.rn.ftz.f32 %f9, %f1, %f2;", |a, b, _| flushed(flushed(a) + flushed(b)));
    float("sub.rn.f32 %f9, %f1, %f2;", |a, b, _| a - b);
    float("mul.f32 %f9, %f1, %f2;", |a, b, _| a * b);
    float("mul.sat.f32 %f9, %f1, %f2;", |a, b, _| if (a * b).is_nan() { 0.0 } else { (a * b).clamp(0.0, 1.0) + 0.0 });
    float("fma.rn.f32 %f9, %f1, %f2, %f3;", |a, b, c| a.mul_add(b, c));
    float("fma.rn.ftz.f32 %f9, %f1, %f2, %f3;", |a, b, c| flushed(flushed(a).mul_add(flushed(b), flushed(c))));
    float("fma.rn.f32 %f9, %f1, 0f40000000, %f3;", |a, _, c| a.mul_add(2.0, c));
    float("div.rn.f32 %f9, %f1, %f2;", |a, b, _| a / b);
    float("neg.f32 %f9, %f1;", |a, _, _| -a);
    float("abs.f32 %f9, %f1;", |a, _, _| a.abs());
    float("sqrt.rn.f32 %f9, %f1;", |a, _, _| a.sqrt());
    float("rcp.rn.f32 %f9, %f1;", |a, _, _| 1.0 / a);
    float("copysign.f32 %f9, %f1, %f2;", |a, b, _| b.copysign(a));
    let pick = |a: f32, b: f32, less: bool| match () {
        () if a.is_nan() => b,
        () if b.is_nan() => a,
        () if a == b => {
            if a.is_sign_negative() == less {
                a
            } else {
                b
            }
        }
        () => {
            if (a < b) == less {
                a
            } else {
                b
            }
        }
    };
    float("min.f32 %f9, %f1, %f2;", |a, b, _| pick(a, b, true));
    float("max.f32 %f9, %f1, %f2;", |a, b, _| pick(a, b, false));
    float("max.NaN.f32 %f9, %f1, %f2;", |a, b, _| if a.is_nan() || b.is_nan() { f32::NAN } else { pick(a, b, false) });
}

#[test]
fn approximations() {
    near("ex2.approx.f32 %f9, %f1;", |a, _| a.exp2());
    near("lg2.approx.f32 %f9, %f1;", |a, _| a.log2());
    near("rcp.approx.f32 %f9, %f1;", |a, _| 1.0 / a);
    near("rsqrt.approx.f32 %f9, %f1;", |a, _| 1.0 / a.sqrt());
    near("sqrt.approx.f32 %f9, %f1;", |a, _| a.sqrt());
    near("div.full.f32 %f9, %f1, %f2;", |a, b| a / b);
    near("div.approx.f32 %f9, %f1, %f2;", |a, b| a / b);
    near("tanh.approx.f32 %f9, %f1;", |a, _| a.tanh());
    near("sin.approx.f32 %f9, %f1;", |a, _| a.sin());
    near("cos.approx.f32 %f9, %f1;", |a, _| a.cos());
}

#[test]
fn comparisons() {
    let pred =
        |instruction: &str, want: fn(u32, u32, u32) -> bool| int(instruction, |a, b, c| u32::from(want(a, b, c)));
    pred("setp.eq.u32 %p3, %r1, %r2;", |a, b, _| a == b);
    pred("setp.ne.b32 %p3, %r1, %r2;", |a, b, _| a != b);
    pred("setp.lt.s32 %p3, %r1, %r2;", |a, b, _| (a as i32) < b as i32);
    pred("setp.hs.u32 %p3, %r1, %r2;", |a, b, _| a >= b);
    pred("setp.gt.s16 %p3, %h1, %h2;", |a, b, _| a as i16 > b as i16);
    pred("setp.lt.and.s32 %p3, %r1, %r2, !%p2;", |a, b, c| (a as i32) < b as i32 && b >= c);
    pred("setp.lt.xor.u32 %p3|%p4, %r1, %r2, %p2;", |a, b, c| (a < b) ^ (b < c));
    pred("setp.le.f32 %p3, %f1, %f2;", |a, b, _| f32::from_bits(a) <= f32::from_bits(b));
    pred("setp.ne.f32 %p3, %f1, %f2;", |a, b, _| {
        let (a, b) = (f32::from_bits(a), f32::from_bits(b));
        a != b && !a.is_nan() && !b.is_nan()
    });
    pred("setp.neu.f32 %p3, %f1, %f2;", |a, b, _| f32::from_bits(a) != f32::from_bits(b));
    pred("setp.gtu.f32 %p3, %f1, %f2;", |a, b, _| {
        !matches!(
            f32::from_bits(a).partial_cmp(&f32::from_bits(b)),
            Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        )
    });
    pred("setp.nan.f32 %p3, %f1, %f2;", |a, b, _| f32::from_bits(a).is_nan() || f32::from_bits(b).is_nan());
    pred("not.pred %p3, %p2;", |_, b, c| b >= c);
    int("selp.b32 %r9, %r1, %r2, %p2;", |a, b, c| if b < c { a } else { b });
    int("selp.f32 %f9, %f1, 0f3F800000, !%p2;", |a, b, c| if b < c { 0x3f80_0000 } else { a });
}

#[test]
fn conversions() {
    let f = f32::from_bits;
    int("cvt.rzi.s32.f32 %r9, %f1;", |a, _, _| f(a) as i32 as u32);
    int("cvt.rzi.u32.f32 %r9, %f1;", |a, _, _| f(a) as u32);
    int("cvt.rni.s32.f32 %r9, %f1;", |a, _, _| f(a).round_ties_even() as i32 as u32);
    int("cvt.rmi.s32.f32 %r9, %f1;", |a, _, _| f(a).floor() as i32 as u32);
    float("cvt.rpi.f32.f32 %f9, %f1;", |a, _, _| a.ceil());
    int("cvt.rn.f32.s32 %f9, %r1;", |a, _, _| (a as i32 as f32).to_bits());
    int("cvt.rn.f32.u32 %f9, %r1;", |a, _, _| (a as f32).to_bits());
    int("cvt.s32.s16 %r9, %h1;", |a, _, _| a as i16 as u32);
    int("cvt.u32.u16 %r9, %h1;", |a, _, _| a & 0xffff);
    int("cvt.s32.s8 %r9, %r1;", |a, _, _| a as i8 as u32);
    int("cvt.sat.u8.s32 %r9, %r1;", |a, _, _| (a as i32).clamp(0, 255) as u32);
    long("cvt.u64.u32 %rd9, %r3;", |_, _, c| u64::from(c));
    long("cvt.s64.s32 %rd9, %r3;", |_, _, c| c as i32 as u64);
    long("cvt.f64.f32 %rd9, %f3;", |_, _, c| f64::from(f(c)).to_bits());
    let halves = |instruction: &str, want: fn(f32) -> u16, nan: fn(u16) -> bool| {
        let same = move |got: u64, want: u64| {
            [0, 16].iter().all(|shift| {
                let (got, want) = ((got >> shift) as u16, (want >> shift) as u16);
                got == want || nan(got) && nan(want)
            })
        };
        check(instruction, move |a, b, _, _| u64::from(want(f(a))) << 16 | u64::from(want(f(b))), same);
    };
    halves("cvt.rn.bf16x2.f32 %r9, %f1, %f2;", |x| bf16::from_f32(x).to_bits(), |x| bf16::from_bits(x).is_nan());
    halves("cvt.rn.f16x2.f32 %r9, %f1, %f2;", |x| f16::from_f32(x).to_bits(), |x| f16::from_bits(x).is_nan());
    let nan = |bits: u64| bf16::from_bits(bits as u16).is_nan();
    let want = |a: u32, _, _, _| u64::from(bf16::from_f32(f(a)).to_bits());
    check("cvt.rn.bf16.f32 %h8, %f1;", want, |got, want| nan(got) && nan(want));
    int("mov.b32 %r9, {%h2, %h1};", |a, b, _| b & 0xffff | a << 16);
}
