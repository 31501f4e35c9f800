//! The loads of inner loops, inlined into the vectorised interpreter: whole words of shared memory by a whole warp.
//!
//! Whatever is unusual (lanes missing, an end or alignment violated, bytes that nobody wrote, a race) is left to the general
//! path, which finds the lane at fault.

use super::access::Reach;
use super::lanes::Regs;
use super::races::BlockRaces;
use crate::observe::{Observer, Step};
use crate::ptx::{Area, Op, Slot};

/// Executes a load from shared memory; false when it did nothing.
#[inline(always)]
pub(crate) fn shared_load<O: Observer>(reach: &Reach<'_, O>, regs: &mut Regs, op: &Op, step: Step) -> bool {
    let Op::Ld { addr, bytes: 4, n, d, strong: false, .. } = op else { return false };
    let (Area::Shared, Slot::W32(base), u32::MAX, false) = (addr.area, addr.base, step.lanes, O::ENABLED) else {
        return false;
    };
    let mut at = *regs.get(base);
    for at in &mut at {
        *at = at.wrapping_add(addr.offset as u32);
    }
    match n {
        1 => gather::<O, 1>(reach, regs, &at, d, step),
        2 => gather::<O, 2>(reach, regs, &at, d, step),
        _ => gather::<O, 4>(reach, regs, &at, d, step),
    }
}

#[inline(always)]
fn gather<O: Observer, const N: usize>(
    reach: &Reach<'_, O>,
    regs: &mut Regs,
    at: &[u32; 32],
    d: &[Slot; 4],
    step: Step,
) -> bool {
    let size = 4 * N as u32;
    let (most, bits) = at.iter().fold((0, 0), |(most, bits), &at| (at.max(most), at | bits));
    if u64::from(most) + u64::from(size) > reach.launch.shared_bytes as u64 || bits & (size - 1) != 0 {
        return false;
    }
    if reach.launch.config.checks && !reach.block.are_written::<N>(at) {
        return false;
    }
    let ordered = |races: &&mut BlockRaces| races.reads::<N>(at, step);
    if !reach.races.as_ref().is_none_or(ordered) {
        return false;
    }
    let mut values = [[0; 32]; N];
    for lane in 0..32 {
        let words = reach.block.words::<N>((at[lane] / 4) as usize);
        for (value, word) in values.iter_mut().zip(words) {
            value[lane] = word;
        }
    }
    for (value, &d) in values.iter().zip(d) {
        match d {
            Slot::W32(d) => regs.put(d, value, !0),
            Slot::W16(_) | Slot::W64(_) | Slot::None => super::convert::put(regs, d, &value.map(u64::from), !0),
        }
    }
    true
}
