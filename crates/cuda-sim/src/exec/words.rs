//! Moves between registers and words of memory, and the note of which bytes were written.

use super::access::Target;
use super::lanes::Regs;
use super::{Checked, convert, fault};
use crate::finding::Problem;
use crate::memory::{UNDER_WAY, Words};
use crate::observe::Step;
use crate::ptx::Slot;

/// Whole words: the loads that inner loops have.
#[inline]
pub(super) fn gather<W: Words>(
    words: &W,
    at: &[u64; 32],
    out: &mut [[u32; 32]],
    checks: bool,
    step: Step,
) -> Checked<()> {
    for (element, out) in out.iter_mut().enumerate() {
        if step.lanes == !0 {
            for lane in 0..32 {
                out[lane] = words.get((at[lane] / 4) as usize + element);
            }
        } else {
            for lane in (0..32).filter(|lane| step.lanes >> lane & 1 == 1) {
                out[lane] = words.get((at[lane] / 4) as usize + element);
            }
        }
    }
    if checks && !words.all_written() {
        let n = out.len();
        let mut note = 0xf;
        for at in at {
            for element in 0..n {
                note &= words.written((at / 4) as usize + element);
            }
        }
        if note != 0xf {
            return unwritten(words, at, 4, n as u8, step);
        }
    }
    Ok(())
}

pub(super) fn gather_any<W: Words>(
    words: &W,
    at: &[u64; 32],
    out: &mut [[u64; 32]],
    bytes: u8,
    checks: bool,
    step: Step,
) -> Checked<()> {
    let size = usize::from(bytes);
    let n = out.len() as u8;
    for (element, out) in out.iter_mut().enumerate() {
        for lane in (0..32).filter(|lane| step.lanes >> lane & 1 == 1) {
            let at = at[lane] as usize + element * size;
            out[lane] = match size {
                8 => u64::from(words.get(at / 4 + 1)) << 32 | u64::from(words.get(at / 4)),
                4 => u64::from(words.get(at / 4)),
                _ => u64::from(words.get(at / 4)) >> (at % 4 * 8) & ((1 << (8 * size)) - 1),
            };
        }
    }
    if checks && !words.all_written() { unwritten(words, at, bytes, n, step) } else { Ok(()) }
}

/// Reports the first lane that reads a byte nobody wrote, if there is one.
pub(super) fn unwritten<W: Words>(words: &W, at: &[u64; 32], bytes: u8, n: u8, step: Step) -> Checked<()> {
    for lane in (0..32u32).filter(|lane| step.lanes >> lane & 1 == 1) {
        let start = at[lane as usize] as usize;
        for byte in start..start + usize::from(bytes) * usize::from(n) {
            let note = words.written(byte / 4);
            if note >> (byte % 4) & 1 == 0 {
                let problem = if note & UNDER_WAY != 0 { Problem::CopyUnderWay } else { Problem::Unwritten };
                return fault(problem, lane, None);
            }
        }
    }
    Ok(())
}

pub(super) fn store(target: Target<'_>, at: &[u64; 32], regs: &Regs, bytes: u8, s: &[Slot], mask: u32) {
    match target {
        Target::Owned(words) => scatter(words, at, regs, bytes, s, mask),
        Target::Global(mut words) => scatter(&mut words, at, regs, bytes, s, mask),
    }
}

/// Writes lane after lane: where lanes write the same bytes, the last one stays.
pub(super) fn scatter<W: Words>(words: &mut W, at: &[u64; 32], regs: &Regs, bytes: u8, s: &[Slot], mask: u32) {
    let size = usize::from(bytes);
    for (element, &slot) in s.iter().enumerate() {
        if let (4, Slot::W32(row)) = (size, slot) {
            let v = regs.get(row);
            for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
                let word = (at[lane] / 4) as usize + element;
                words.set(word, v[lane], !0);
                words.mark(word, 0xf);
            }
            continue;
        }
        let v = convert::get(regs, slot);
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let at = at[lane] as usize + element * size;
            if size >= 4 {
                for word in 0..size / 4 {
                    words.set(at / 4 + word, (v[lane] >> (32 * word)) as u32, !0);
                    words.mark(at / 4 + word, 0xf);
                }
            } else {
                let shift = at % 4 * 8;
                let field = (1u32 << (8 * size)) - 1;
                words.set(at / 4, (v[lane] as u32 & field) << shift, field << shift);
                words.mark(at / 4, (((1u32 << size) - 1) << (at % 4)) as u8);
            }
        }
    }
}

pub(super) fn sign(v: u64, bytes: u8) -> u64 {
    let shift = 64 - 8 * u32::from(bytes);
    (((v << shift) as i64) >> shift) as u64
}
