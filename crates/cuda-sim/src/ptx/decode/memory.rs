//! Loads, stores, atomics, asynchronous copies and `ldmatrix`.

use super::context::Context;
use super::convert::area;
use crate::ptx::types::{Kind, Ty};
use crate::ptx::{Area, AtomOp, Op, PtxError, Slot};

pub(super) fn decode(c: &mut Context<'_>, name: &str) -> Result<Op, PtxError> {
    match name {
        "ld" | "ldu" | "st" => access(c, name == "st"),
        "atom" | "red" => atom(c, name == "red"),
        "cp" => copy(c),
        "ldmatrix" => matrix(c),
        _ => Ok(Op::Nop),
    }
}

/// Hints and orderings that do not change what one launch computes here; tells whether the access is strong.
fn hints(c: &mut Context<'_>) -> bool {
    let strong = ["volatile", "relaxed", "acquire", "release"];
    let strong = strong.iter().any(|part| c.has(part));
    let known = |part: &str| {
        let level = part.starts_with("L1::") || part.starts_with("L2::");
        let order = ["weak", "volatile", "relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys"];
        let cache = ["ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc"];
        let hint = level && part != "L2::cache_hint" || order.contains(&part) || cache.contains(&part);
        hint.then_some(())
    };
    while c.take_map(known).is_some() {}
    strong
}

fn access(c: &mut Context<'_>, store: bool) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    if ty.kind == Kind::Pred {
        return c.unknown("its type");
    }
    let strong = hints(c);
    let area = c.take_map(area).unwrap_or(Area::Generic);
    let n = c.take_map(|part| match part {
        "v2" => Some(2),
        "v4" => Some(4),
        _ => None,
    });
    let n = n.unwrap_or(1);
    c.finish(2)?;
    let bytes = ty.bits / 8;
    if usize::from(bytes) * n > 16 || store && area == Area::Param {
        return c.unknown("its vector or space");
    }
    let (at, values) = if store { (0, 1) } else { (1, 0) };
    let addr = c.address(at, area)?;
    let slots = if store { c.stored(values, ty.bits)? } else { c.slots(values, true)? };
    if slots.len() != n || slots.iter().any(|slot| narrow(*slot, bytes)) {
        return c.unknown("registers that do not fit its type");
    }
    let mut four = [Slot::None; 4];
    four[..n].copy_from_slice(&slots);
    Ok(match store {
        true => Op::St { addr, bytes, strong, n: n as u8, s: four },
        false => Op::Ld { addr, bytes, signed: ty.signed(), strong, n: n as u8, d: four },
    })
}

/// Whether a register holds less than `bytes`. A number in a 32-bit row stands for any of its widths.
fn narrow(slot: Slot, bytes: u8) -> bool {
    match slot {
        Slot::W16(_) => bytes > 2,
        Slot::W32(_) => bytes > 4,
        Slot::W64(_) | Slot::None => false,
    }
}

fn atom(c: &mut Context<'_>, red: bool) -> Result<Op, PtxError> {
    let ty = c.ty()?;
    hints(c);
    let area = c.take_map(area).unwrap_or(Area::Generic);
    let signed = ty.signed();
    let f = c.take_map(|part| {
        Some(match part {
            "add" => AtomOp::Add,
            "min" => {
                if signed {
                    AtomOp::MinS
                } else {
                    AtomOp::MinU
                }
            }
            "max" => {
                if signed {
                    AtomOp::MaxS
                } else {
                    AtomOp::MaxU
                }
            }
            "and" => AtomOp::And,
            "or" => AtomOp::Or,
            "xor" => AtomOp::Xor,
            "exch" => AtomOp::Exch,
            "cas" => AtomOp::Cas,
            "inc" => AtomOp::Inc,
            "dec" => AtomOp::Dec,
            _ => return None,
        })
    });
    let f = match (f, ty) {
        (Some(AtomOp::Add), Ty { kind: Kind::Float, bits: 32 }) => AtomOp::AddF32,
        (Some(f), Ty { bits: 32 | 64, kind: Kind::Bits | Kind::Signed | Kind::Unsigned }) => f,
        _ => return c.unknown("its operation or type"),
    };
    let first = usize::from(!red);
    c.finish(first + if f == AtomOp::Cas { 3 } else { 2 })?;
    if !matches!(area, Area::Generic | Area::Global | Area::Shared) {
        return c.unknown("its space");
    }
    let addr = c.address(first, area)?;
    let b = c.src_bits(first + 1, ty.bits)?;
    let third = if f == AtomOp::Cas { c.src_bits(first + 2, ty.bits)? } else { b };
    let d = match red {
        true => None,
        false => match c.dst(0)? {
            Slot::None => None,
            Slot::W32(row) if ty.bits == 32 => Some(row),
            Slot::W64(row) if ty.bits == 64 => Some(row),
            _ => return c.unknown("a destination of another width"),
        },
    };
    Ok(Op::Atom { addr, f, wide: ty.bits == 64, d, b, c: third })
}

fn copy(c: &mut Context<'_>) -> Result<Op, PtxError> {
    if !c.take("async") {
        return c.unknown("its modifiers");
    }
    if c.take("commit_group") {
        c.finish(0)?;
        return Ok(Op::CpCommit);
    }
    if c.take("wait_all") {
        c.finish(0)?;
        return Ok(Op::CpWait { n: None });
    }
    if c.take("wait_group") {
        c.finish(1)?;
        return Ok(Op::CpWait { n: Some(c.number(0)? as u32) });
    }
    let bypass = c.take("cg");
    if !bypass && !c.take("ca") {
        return c.unknown("its modifiers");
    }
    hints(c);
    if !(c.take("shared") || c.take("shared::cta")) || !c.take("global") {
        return c.unknown("its spaces");
    }
    let operands = c.operands();
    c.finish(operands.clamp(3, 4))?;
    let bytes = c.number(2)?;
    if !(bytes == 16 || !bypass && (bytes == 4 || bytes == 8)) {
        return c.unknown("its size");
    }
    let dst = c.address(0, Area::Shared)?;
    let src = c.address(1, Area::Global)?;
    let (mut size, mut ignore) = (None, None);
    match operands {
        4 if c.is_pred(3) => ignore = Some(c.pred(3)?),
        4 => size = Some(c.src_bits(3, 32)?),
        _ => {}
    }
    Ok(Op::CpAsync { dst, src, bytes: bytes as u8, size, ignore })
}

fn matrix(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let shape = c.take("sync") & c.take("aligned") & c.take("m8n8") & c.take("b16");
    let trans = c.take("trans");
    let n = c.take_map(|part| match part {
        "x1" => Some(1u8),
        "x2" => Some(2),
        "x4" => Some(4),
        _ => None,
    });
    let area = c.take_map(area).unwrap_or(Area::Generic);
    let (true, Some(n)) = (shape, n) else { return c.unknown("its shape") };
    c.finish(2)?;
    let addr = c.address(1, area)?;
    let mut d = [0; 4];
    match n {
        1 => d[..1].copy_from_slice(&c.rows::<1>(0, true)?),
        2 => d[..2].copy_from_slice(&c.rows::<2>(0, true)?),
        _ => d = c.rows::<4>(0, true)?,
    }
    Ok(Op::LdMatrix { addr, n, trans, d })
}
