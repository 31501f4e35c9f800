//! Control flow, barriers, and what the threads of a warp do together.

use super::context::Context;
use crate::ptx::raw::Operand;
use crate::ptx::types::Kind;
use crate::ptx::{BarKind, I2, Mma, Op, PtxError, ShflMode, Slot, Vote};

pub(super) fn decode(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    match name {
        "bra" => {
            c.take("uni");
            c.finish(1)?;
            Ok(Op::Bra { target: c.target(0)? })
        }
        "ret" | "exit" => {
            c.take("uni");
            c.finish(0)?;
            Ok(Op::Exit)
        }
        "trap" => {
            c.finish(0)?;
            Ok(Op::Trap)
        }
        "bar" | "barrier" => barrier(c, name),
        "membar" | "fence" => {
            let known = ["cta", "gl", "sys", "gpu", "sc", "acq_rel", "acquire", "release"];
            while c.take_map(|part| known.contains(&part).then_some(())).is_some() {}
            c.finish(0)?;
            Ok(Op::Fence)
        }
        "nanosleep" => {
            c.take("u32");
            c.finish(1)?;
            Ok(Op::Nop)
        }
        "shfl" => shuffle(c),
        "vote" => vote(c),
        "match" => {
            let ty = c.ty()?;
            let any = c.take("any") & c.take("sync");
            if !any {
                return c.unknown("its mode");
            }
            c.finish(3)?;
            let a = c.src_any(1, ty.bits)?;
            let mask = c.src_bits(2, 32)?;
            Ok(Op::MatchAny { a, mask, d: c.dst_bits(0, 32)? })
        }
        "activemask" => {
            c.take("b32");
            c.finish(1)?;
            Ok(Op::ActiveMask { d: c.dst_bits(0, 32)? })
        }
        "redux" => redux(c),
        "mma" => mma(c),
        _ => c.unknown("the instruction itself"),
    }
}

fn barrier(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    if c.take("warp") {
        c.take("sync");
        c.finish(1)?;
        return Ok(Op::BarWarp { mask: c.src_bits(0, 32)? });
    }
    c.take("cta");
    let aligned = c.take("aligned") | (name == "bar");
    if c.take("red") {
        let (popc, and, or) = (c.take("popc"), c.take("and"), c.take("or"));
        c.take_map(|part| matches!(part, "u32" | "pred").then_some(()));
        let operands = c.operands();
        c.finish(operands.clamp(3, 4))?;
        let id = c.src_bits(1, 32)?;
        let count = if operands == 4 { Some(c.src_bits(2, 32)?) } else { None };
        let a = c.pred(operands - 1)?;
        let kind = match (popc, and, or) {
            (true, false, false) => BarKind::RedPopc(c.dst_bits(0, 32)?, a),
            (false, true, false) => BarKind::RedAnd(c.pred_dst(0)?, a),
            (false, false, true) => BarKind::RedOr(c.pred_dst(0)?, a),
            _ => return c.unknown("its reduction"),
        };
        return Ok(Op::Bar { kind, id, count, aligned });
    }
    let kind = if c.take("arrive") { BarKind::Arrive } else { BarKind::Sync };
    if kind == BarKind::Sync && !c.take("sync") {
        return c.unknown("its mode");
    }
    let operands = c.operands();
    let least = if kind == BarKind::Arrive { 2 } else { 1 };
    c.finish(operands.clamp(least, 2))?;
    let id = c.src_bits(0, 32)?;
    let count = if operands == 2 { Some(c.src_bits(1, 32)?) } else { None };
    Ok(Op::Bar { kind, id, count, aligned })
}

fn shuffle(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let mode = c.take_map(|part| {
        Some(match part {
            "idx" => ShflMode::Idx,
            "up" => ShflMode::Up,
            "down" => ShflMode::Down,
            "bfly" => ShflMode::Bfly,
            _ => return None,
        })
    });
    let (Some(mode), true, true) = (mode, c.take("sync"), c.take("b32")) else { return c.unknown("its mode") };
    c.finish(5)?;
    let (a, b, clamp, mask) = (c.src_bits(1, 32)?, c.src_bits(2, 32)?, c.src_bits(3, 32)?, c.src_bits(4, 32)?);
    let (d, p) = match c.operand(0)? {
        Operand::Pair(d, p) => {
            let row = c.pair_dst(d)?;
            let p = if matches!(**p, Operand::Sink) { None } else { Some(c.pred_written(p, 0)?) };
            (row, p)
        }
        _ => (c.dst_bits(0, 32)?, None),
    };
    Ok(Op::Shfl { mode, d, p, a, b, c: clamp, mask })
}

fn vote(c: &mut Context<'_>) -> Result<Op, PtxError> {
    if !c.take("sync") {
        return c.unknown("its mode");
    }
    let ballot = c.take("ballot");
    let kind = c.take_map(|part| {
        Some(match part {
            "all" => Vote::All,
            "any" => Vote::Any,
            "uni" => Vote::Uni,
            _ => return None,
        })
    });
    c.take_map(|part| matches!(part, "b32" | "pred").then_some(()));
    c.finish(3)?;
    let a = c.pred(1)?;
    let mask = c.src_bits(2, 32)?;
    match (kind, ballot) {
        (None, true) => {
            let d = c.dst_bits(0, 32)?;
            Ok(Op::Vote { mode: Vote::Ballot(d), d, a, mask })
        }
        (Some(mode), false) => Ok(Op::Vote { mode, a, mask, d: c.pred_dst(0)? }),
        _ => c.unknown("its mode"),
    }
}

fn redux(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    let sync = c.take("sync");
    let f = c.take_map(|part| {
        Some(match (part, ty.signed()) {
            ("add", _) => I2::Add,
            ("min", true) => I2::MinS,
            ("min", false) => I2::MinU,
            ("max", true) => I2::MaxS,
            ("max", false) => I2::MaxU,
            ("and", _) => I2::And,
            ("or", _) => I2::Or,
            ("xor", _) => I2::Xor,
            _ => return None,
        })
    });
    let (Some(f), true, 32, false) = (f, sync, ty.bits, ty.kind == Kind::Float) else { return c.unknown("its mode") };
    c.finish(3)?;
    Ok(Op::Redux { f, a: c.src_bits(1, 32)?, mask: c.src_bits(2, 32)?, d: c.dst_bits(0, 32)? })
}

fn mma(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let types = ["f32.bf16.bf16.f32", "f32.f16.f16.f32"];
    let text = c.rest();
    let found = types.iter().position(|types| text == format!("sync.aligned.m16n8k16.row.col.{types}"));
    let Some(found) = found else { return c.unknown("its shape or types") };
    c.clear();
    c.finish(4)?;
    let (a, b, addend) = (c.rows(1, false)?, c.rows(2, false)?, c.rows(3, false)?);
    Ok(Op::Mma(Box::new(Mma { bf16: found == 0, a, b, c: addend, d: c.rows(0, true)? })))
}

impl Context<'_> {
    fn pair_dst(&mut self, operand: &Operand) -> Result<u16, PtxError> {
        match self.slot_of(operand, 0, true)? {
            Slot::W32(row) => Ok(row),
            _ => self.unknown("a destination that is not 32 bits"),
        }
    }
}
