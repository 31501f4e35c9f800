//! Moves, comparisons, selections and conversions.

use super::context::Context;
use crate::ptx::raw::Operand;
use crate::ptx::types::{Kind, Ty};
use crate::ptx::{Area, Cmp, I1, Logic, Mods, Op, PtxError, Round, Slot};

pub(super) fn decode(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    match name {
        "setp" => setp(c),
        "selp" => {
            let ty = c.ty()?;
            c.finish(4)?;
            let bits = if ty.bits == 16 { 16 } else { ty.bits };
            let (a, b, p) = (c.src_bits(1, bits)?, c.src_bits(2, bits)?, c.pred(3)?);
            let d = c.dst_bits(0, bits)?;
            Ok(if bits == 64 { Op::SelpL { d, a, b, p } } else { Op::Selp { d, a, b, p } })
        }
        "mov" => mov(c),
        "cvt" => cvt(c),
        _ => cvta(c),
    }
}

fn setp(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    let ftz = c.take("ftz");
    let logic = c.take_map(|part| match part {
        "and" => Some(Logic::And),
        "or" => Some(Logic::Or),
        "xor" => Some(Logic::Xor),
        _ => None,
    });
    let cmp = c.take_map(|part| {
        Some(match part {
            "eq" => Cmp::Eq,
            "ne" => Cmp::Ne,
            "lt" | "lo" => Cmp::Lt,
            "le" | "ls" => Cmp::Le,
            "gt" | "hi" => Cmp::Gt,
            "ge" | "hs" => Cmp::Ge,
            "equ" => Cmp::EquU,
            "neu" => Cmp::NeuU,
            "ltu" => Cmp::LtuU,
            "leu" => Cmp::LeuU,
            "gtu" => Cmp::GtuU,
            "geu" => Cmp::GeuU,
            "num" => Cmp::Num,
            "nan" => Cmp::Nan,
            _ => return None,
        })
    });
    let Some(cmp) = cmp else { return c.unknown("its comparison") };
    if ty.float() && ty.bits == 16
        || ty.bits == 8
        || !ty.float() && matches!(cmp, Cmp::EquU | Cmp::NeuU | Cmp::Num | Cmp::Nan)
    {
        return c.unknown("its type");
    }
    c.finish(if logic.is_some() { 4 } else { 3 })?;
    let (a, b) = (c.src_bits(1, ty.bits)?, c.src_bits(2, ty.bits)?);
    let with = logic.map(|logic| c.pred(3).map(|pred| (logic, pred))).transpose()?;
    let (d, q) = match c.operand(0)? {
        Operand::Pair(d, q) => (c.pred_written(d, 0)?, Some(c.pred_written(q, 0)?)),
        d => (c.pred_written(d, 0)?, None),
    };
    Ok(Op::Setp { ty, cmp, ftz, d, q, a, b, with })
}

fn mov(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    c.finish(2)?;
    if ty.kind == Kind::Pred {
        return Ok(match c.operand(1)? {
            Operand::Int(value) => Op::PredConst { value: *value != 0, d: c.pred_dst(0)? },
            _ => Op::PredMov { a: c.pred(1)?, d: c.pred_dst(0)? },
        });
    }
    let two = |c: &mut Context<'_>, index, dst| -> Result<(Slot, Slot), PtxError> {
        match c.slots(index, dst)?[..] {
            [lo, hi] => Ok((lo, hi)),
            _ => c.unknown("a vector that is not two registers"),
        }
    };
    match (c.operand(0)?, c.operand(1)?, ty.bits) {
        (_, Operand::Vector(_), 32) => match two(c, 1, false)? {
            (Slot::W16(lo), Slot::W16(hi)) => Ok(Op::Pack16 { lo, hi, d: c.dst_bits(0, 32)? }),
            _ => c.unknown("parts that are not 16 bits"),
        },
        (_, Operand::Vector(_), 64) => match two(c, 1, false)? {
            (Slot::W32(lo), Slot::W32(hi)) => Ok(Op::Pack32 { lo, hi, d: c.dst_bits(0, 64)? }),
            _ => c.unknown("parts that are not 32 bits"),
        },
        (Operand::Vector(_), _, 32) => {
            let a = c.src_bits(1, 32)?;
            match two(c, 0, true)? {
                (lo @ (Slot::W16(_) | Slot::None), hi @ (Slot::W16(_) | Slot::None)) => Ok(Op::Unpack16 { lo, hi, a }),
                _ => c.unknown("parts that are not 16 bits"),
            }
        }
        (Operand::Vector(_), _, 64) => {
            let a = c.src_bits(1, 64)?;
            match two(c, 0, true)? {
                (lo @ (Slot::W32(_) | Slot::None), hi @ (Slot::W32(_) | Slot::None)) => Ok(Op::Unpack32 { lo, hi, a }),
                _ => c.unknown("parts that are not 32 bits"),
            }
        }
        (_, _, 64) => {
            let a = c.src_bits(1, 64)?;
            Ok(Op::L1 { f: I1::Mov, a, d: c.dst(0)? })
        }
        (_, _, bits @ (16 | 32)) => Ok(Op::I1 { f: I1::Mov, a: c.src_bits(1, bits)?, d: c.dst_bits(0, bits)? }),
        _ => c.unknown("its type"),
    }
}

fn cvt(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let pair = c.take_map(|part| match part {
        "bf16x2" => Some(true),
        "f16x2" => Some(false),
        _ => None,
    });
    let from = c.ty()?;
    let relu = c.take("relu");
    if let Some(bf16) = pair {
        c.take("rn");
        c.finish(3)?;
        if from != (Ty { kind: Kind::Float, bits: 32 }) {
            return c.unknown("its source type");
        }
        return Ok(Op::CvtPack { bf16, relu, hi: c.src_bits(1, 32)?, lo: c.src_bits(2, 32)?, d: c.dst_bits(0, 32)? });
    }
    let to = c.ty()?;
    let m = Mods { ftz: c.take("ftz"), sat: c.take("sat") };
    let round = c.take_map(|part| {
        Some(match part {
            "rn" => Round::Rn,
            "rz" => Round::Rz,
            "rm" => Round::Rm,
            "rp" => Round::Rp,
            "rni" => Round::Rni,
            "rzi" => Round::Rzi,
            "rmi" => Round::Rmi,
            "rpi" => Round::Rpi,
            _ => return None,
        })
    });
    let round = round.unwrap_or(Round::None);
    let directed = matches!(round, Round::Rz | Round::Rm | Round::Rp);
    if relu || directed || to.kind == Kind::Pred || from.kind == Kind::Pred {
        return c.unknown("this conversion");
    }
    c.finish(2)?;
    let a = c.src_any(1, from.bits.max(16))?;
    Ok(Op::Cvt { to, from, round, m, a, d: c.dst(0)? })
}

fn cvta(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    let to = c.take("to");
    let area = c.take_map(area);
    c.finish(2)?;
    match (area, ty.bits) {
        (Some(area), 64) => Ok(Op::Cvta { area, to, a: c.src_bits(1, 64)?, d: c.dst_bits(0, 64)? }),
        _ => c.unknown("its space or width"),
    }
}

/// The state space that a modifier names; constants live in global memory.
pub(super) fn area(part: &str) -> Option<Area> {
    Some(match part {
        "global" | "const" => Area::Global,
        "shared" | "shared::cta" => Area::Shared,
        "local" => Area::Local,
        "param" | "param::entry" => Area::Param,
        _ => return None,
    })
}
