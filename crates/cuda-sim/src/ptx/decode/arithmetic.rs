//! Integer and floating-point arithmetic.

use super::context::Context;
use crate::ptx::types::Kind;
use crate::ptx::{F1, F2, I1, I2, I3, Mods, Op, PtxError};

pub(super) fn decode(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    match (ty.float(), ty.bits) {
        (true, 32) => float(c, name),
        (true, 64) => double(c, name),
        (true, _) => c.unknown("arithmetic of 16-bit floats"),
        (false, _) if ty.kind == Kind::Pred => logic(c, name),
        (false, 8) => c.unknown("its type"),
        (false, bits) => integer(c, name, bits, ty.signed()),
    }
}

fn logic(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    use crate::ptx::Logic;
    if name == "not" {
        c.finish(2)?;
        let mut a = c.pred(1)?;
        a.negated = !a.negated;
        return Ok(Op::PredMov { a, d: c.pred_dst(0)? });
    }
    let f = match name {
        "and" => Logic::And,
        "or" => Logic::Or,
        "xor" => Logic::Xor,
        _ => return c.unknown("its type"),
    };
    c.finish(3)?;
    Ok(Op::PredLogic { f, a: c.pred(1)?, b: c.pred(2)?, d: c.pred_dst(0)? })
}

/// Modifiers of `f32` arithmetic. Rounding other than to nearest even is refused.
fn mods(c: &mut Context<'_>) -> Mods {
    c.take("rn");
    Mods { ftz: c.take("ftz"), sat: c.take("sat") }
}

fn float(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    let approx = c.take("approx");
    let full = c.take("full");
    let nan = c.take("NaN");
    let m = mods(c);
    if matches!(name, "fma" | "mad") {
        c.finish(4)?;
        return Ok(Op::Fma {
            m,
            a: c.src_bits(1, 32)?,
            b: c.src_bits(2, 32)?,
            c: c.src_bits(3, 32)?,
            d: c.dst_bits(0, 32)?,
        });
    }
    let two = match name {
        "add" => Some(F2::Add),
        "sub" => Some(F2::Sub),
        "mul" => Some(F2::Mul),
        "div" if approx || full => Some(F2::DivApprox),
        "div" => Some(F2::Div),
        "min" if nan => Some(F2::MinNan),
        "max" if nan => Some(F2::MaxNan),
        "min" => Some(F2::Min),
        "max" => Some(F2::Max),
        "copysign" => Some(F2::CopySign),
        _ => None,
    };
    if (approx || full) && two.is_some_and(|f| f != F2::DivApprox) || nan && !matches!(name, "min" | "max") {
        return c.unknown("its modifiers");
    }
    if let Some(f) = two {
        c.finish(3)?;
        let (a, b) = (c.src_bits(1, 32)?, c.src_bits(2, 32)?);
        // copysign takes the sign from its first operand.
        let (a, b) = if f == F2::CopySign { (b, a) } else { (a, b) };
        return Ok(Op::F2 { f, m, a, b, d: c.dst_bits(0, 32)? });
    }
    let f = match (name, approx) {
        ("neg", false) => F1::Neg,
        ("abs", false) => F1::Abs,
        ("sqrt", false) => F1::Sqrt,
        ("rcp", false) => F1::Rcp,
        ("sqrt", true) => F1::SqrtApprox,
        ("rcp", true) => F1::RcpApprox,
        ("rsqrt", true) => F1::RsqrtApprox,
        ("ex2", true) => F1::Ex2,
        ("lg2", true) => F1::Lg2,
        ("sin", true) => F1::Sin,
        ("cos", true) => F1::Cos,
        ("tanh", true) => F1::Tanh,
        _ => return c.unknown("on f32"),
    };
    c.finish(2)?;
    Ok(Op::F1 { f, m, a: c.src_bits(1, 32)?, d: c.dst_bits(0, 32)? })
}

fn double(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    c.take("rn");
    let two = match name {
        "add" => F2::Add,
        "sub" => F2::Sub,
        "mul" => F2::Mul,
        "div" => F2::Div,
        "min" => F2::Min,
        "max" => F2::Max,
        "fma" | "mad" => {
            c.finish(4)?;
            let (a, b, addend) = (c.src_bits(1, 64)?, c.src_bits(2, 64)?, c.src_bits(3, 64)?);
            return Ok(Op::DFma { a, b, c: addend, d: c.dst_bits(0, 64)? });
        }
        _ => {
            let f = match name {
                "neg" => F1::Neg,
                "abs" => F1::Abs,
                "sqrt" => F1::Sqrt,
                "rcp" => F1::Rcp,
                _ => return c.unknown("on f64"),
            };
            c.finish(2)?;
            return Ok(Op::D1 { f, a: c.src_bits(1, 64)?, d: c.dst_bits(0, 64)? });
        }
    };
    c.finish(3)?;
    Ok(Op::D2 { f: two, a: c.src_bits(1, 64)?, b: c.src_bits(2, 64)?, d: c.dst_bits(0, 64)? })
}

fn integer(c: &mut Context<'_>, name: &str, bits: u8, signed: bool) -> Result<Op, PtxError> {
    let pick = |s: I2, u: I2| if signed { s } else { u };
    let sat = c.take("sat");
    let (hi, wide) = (c.take("hi"), c.take("wide"));
    c.take("lo");
    if (hi || wide) && !matches!(name, "mul" | "mad") || sat && !(signed && bits == 32 && matches!(name, "add" | "sub"))
    {
        return c.unknown("its modifiers");
    }
    if wide {
        return widening(c, name, bits, signed);
    }
    let two = match name {
        "add" if sat => I2::AddSatS,
        "sub" if sat => I2::SubSatS,
        "add" => I2::Add,
        "sub" => I2::Sub,
        "mul" if hi => pick(I2::MulHiS, I2::MulHiU),
        "mul" => I2::MulLo,
        "div" => pick(I2::DivS, I2::DivU),
        "rem" => pick(I2::RemS, I2::RemU),
        "min" => pick(I2::MinS, I2::MinU),
        "max" => pick(I2::MaxS, I2::MaxU),
        "and" => I2::And,
        "or" => I2::Or,
        "xor" => I2::Xor,
        "shl" => I2::Shl,
        "shr" => pick(I2::ShrS, I2::ShrU),
        _ => return other_integer(c, name, bits, signed, hi),
    };
    c.finish(3)?;
    let a = c.src_bits(1, bits)?;
    let b = c.src_bits(2, if matches!(two, I2::Shl | I2::ShrU | I2::ShrS) { 32 } else { bits })?;
    let d = c.dst_bits(0, bits)?;
    match bits {
        16 => Ok(Op::H2 { f: two, signed, d, a, b }),
        32 => Ok(Op::I2 { f: two, d, a, b }),
        _ => Ok(Op::L2 { f: two, d, a, b }),
    }
}

fn widening(c: &mut Context<'_>, name: &str, bits: u8, signed: bool) -> Result<Op, PtxError> {
    match (name, bits) {
        ("mul", 32) => {
            c.finish(3)?;
            Ok(Op::MulWide { signed, a: c.src_bits(1, 32)?, b: c.src_bits(2, 32)?, d: c.dst_bits(0, 64)? })
        }
        ("mul", 16) => {
            c.finish(3)?;
            Ok(Op::MulWide16 { signed, a: c.src_bits(1, 16)?, b: c.src_bits(2, 16)?, d: c.dst_bits(0, 32)? })
        }
        ("mad", 32) => {
            c.finish(4)?;
            let (a, b, addend) = (c.src_bits(1, 32)?, c.src_bits(2, 32)?, c.src_bits(3, 64)?);
            Ok(Op::MadWide { signed, a, b, c: addend, d: c.dst_bits(0, 64)? })
        }
        _ => c.unknown("its width"),
    }
}

fn other_integer(c: &mut Context<'_>, name: &str, bits: u8, signed: bool, hi: bool) -> Result<Op, PtxError> {
    let one = match name {
        "not" => Some(I1::Not),
        "neg" => Some(I1::Neg),
        "abs" => Some(I1::Abs),
        "cnot" => Some(I1::Cnot),
        "popc" => Some(I1::Popc),
        "clz" => Some(I1::Clz),
        "brev" => Some(I1::Brev),
        "bfind" if bits == 32 => Some(if signed { I1::BfindS } else { I1::BfindU }),
        _ => None,
    };
    if let Some(f) = one {
        c.finish(2)?;
        let a = c.src_bits(1, bits)?;
        return Ok(match bits {
            16 => Op::H1 { f, a, d: c.dst_bits(0, 16)? },
            32 => Op::I1 { f, a, d: c.dst_bits(0, 32)? },
            _ => Op::L1 { f, a, d: c.dst(0)? },
        });
    }
    if name == "mad" && bits == 64 && !hi {
        c.finish(4)?;
        let (a, b, addend) = (c.src_bits(1, 64)?, c.src_bits(2, 64)?, c.src_bits(3, 64)?);
        return Ok(Op::LMad { a, b, c: addend, d: c.dst_bits(0, 64)? });
    }
    if bits != 32 {
        return c.unknown("at this width");
    }
    if name == "bfi" {
        c.finish(5)?;
        let (a, b, at, len) = (c.src_bits(1, 32)?, c.src_bits(2, 32)?, c.src_bits(3, 32)?, c.src_bits(4, 32)?);
        return Ok(Op::Bfi { a, b, c: at, e: len, d: c.dst_bits(0, 32)? });
    }
    let f = match name {
        "mad" if hi => {
            if signed {
                I3::MadHiS
            } else {
                I3::MadHiU
            }
        }
        "mad" => I3::Mad,
        "bfe" => {
            if signed {
                I3::BfeS
            } else {
                I3::BfeU
            }
        }
        "sad" => {
            if signed {
                I3::SadS
            } else {
                I3::SadU
            }
        }
        "prmt" => I3::Prmt,
        "lop3" => {
            c.finish(5)?;
            I3::Lop3(c.number(4)? as u8)
        }
        "shf" => {
            let (left, right, wrap, clamp) = (c.take("l"), c.take("r"), c.take("wrap"), c.take("clamp"));
            match (left != right && wrap != clamp, left, wrap) {
                (true, true, true) => I3::ShfLWrap,
                (true, true, false) => I3::ShfLClamp,
                (true, false, true) => I3::ShfRWrap,
                (true, false, false) => I3::ShfRClamp,
                _ => return c.unknown("its modifiers"),
            }
        }
        _ => return c.unknown("on integers"),
    };
    if !matches!(f, I3::Lop3(_)) {
        c.finish(4)?;
    }
    let (a, b, third) = (c.src_bits(1, 32)?, c.src_bits(2, 32)?, c.src_bits(3, 32)?);
    Ok(Op::I3 { f, a, b, c: third, d: c.dst_bits(0, 32)? })
}
