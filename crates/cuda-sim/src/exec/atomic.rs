//! `atom` and `red`, lane after lane.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use super::Checked;
use super::access::{Reach, Target, each_area};
use super::lanes::Regs;
use super::races::Deed;
use super::warp::Lanes;
use super::words::unwritten;
use crate::memory::Words;
use crate::observe::{Observer, Step};
use crate::ptx::{Addr, AtomOp};

/// Makes atomics of 64 bits atomic among each other.
static WIDE: Mutex<()> = Mutex::new(());

#[allow(clippy::too_many_arguments, reason = "the fields of one instruction")]
pub(super) fn atom<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &mut Lanes,
    addr: Addr,
    f: AtomOp,
    wide: bool,
    d: Option<u16>,
    s: [u16; 2],
    step: Step,
) -> Checked<()> {
    let checks = reach.launch.config.checks;
    let bytes = if wide { 8 } else { 4 };
    let mut old = [0u64; 32];
    each_area(reach, regs, lanes, addr, step, bytes, Deed::ATOMIC, |mut target, at, regs, step| {
        if checks {
            match &target {
                Target::Owned(words) => unwritten(&**words, at, bytes, 1, step)?,
                Target::Global(words) => unwritten(words, at, bytes, 1, step)?,
            }
        }
        for lane in (0..32).filter(|lane| step.lanes >> lane & 1 == 1) {
            let word = (at[lane] / 4) as usize;
            let operand = |row: u16| if wide { regs.get64(row)[lane] } else { u64::from(regs.get(row)[lane]) };
            let (b, c) = (operand(s[0]), operand(s[1]));
            old[lane] = match &mut target {
                Target::Global(words) if !wide => {
                    let update = |old: u32| Some(apply(f, u64::from(old), b, c, false) as u32);
                    u64::from(words.word(word).fetch_update(Relaxed, Relaxed, update).unwrap_or_default())
                }
                Target::Global(words) => {
                    let _guard = WIDE.lock().unwrap_or_else(PoisonError::into_inner);
                    update(words, word, wide, |old| apply(f, old, b, c, wide))
                }
                Target::Owned(words) => update(&mut **words, word, wide, |old| apply(f, old, b, c, wide)),
            };
        }
        Ok(())
    })?;
    match d {
        Some(d) if wide => regs.put64(d, &old, step.lanes),
        Some(d) => regs.put(d, &old.map(|old| old as u32), step.lanes),
        None => {}
    }
    Ok(())
}

fn update<W: Words>(words: &mut W, at: usize, wide: bool, f: impl Fn(u64) -> u64) -> u64 {
    let old = u64::from(words.get(at)) | if wide { u64::from(words.get(at + 1)) << 32 } else { 0 };
    let new = f(old);
    words.set(at, new as u32, !0);
    if wide {
        words.set(at + 1, (new >> 32) as u32, !0);
    }
    old
}

fn apply(f: AtomOp, old: u64, b: u64, c: u64, wide: bool) -> u64 {
    let signed = |v: u64| if wide { v as i64 } else { i64::from(v as u32 as i32) };
    let float = |v: u64| f32::from_bits(v as u32);
    match f {
        AtomOp::Add => old.wrapping_add(b),
        AtomOp::AddF32 => u64::from((float(old) + float(b)).to_bits()),
        AtomOp::MinU => old.min(b),
        AtomOp::MaxU => old.max(b),
        AtomOp::MinS => {
            if signed(b) < signed(old) {
                b
            } else {
                old
            }
        }
        AtomOp::MaxS => {
            if signed(b) > signed(old) {
                b
            } else {
                old
            }
        }
        AtomOp::And => old & b,
        AtomOp::Or => old | b,
        AtomOp::Xor => old ^ b,
        AtomOp::Exch => b,
        AtomOp::Cas => {
            if old == b {
                c
            } else {
                old
            }
        }
        AtomOp::Inc => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        AtomOp::Dec => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
    }
}
