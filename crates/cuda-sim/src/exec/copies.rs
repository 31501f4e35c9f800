//! `cp.async`: copies that arrive as late as the program allows.
//!
//! A copy is only noted when it is issued, its source is read and its destination written when the thread waits for
//! its group. Until then the destination counts as under way, so a read without a wait is found, and gives old bytes.
//! What nobody waits for never arrives.

use super::access::{Reach, addresses, allocation, check_window, first, locate};
use super::lanes::Regs;
use super::order::Order;
use super::races::{BlockRaces, Deed};
use super::warp::Lanes;
use super::{Checked, Shared, fault};
use crate::finding::Problem;
use crate::memory::{Owned, Words};
use crate::observe::{Access, AccessKind, BlockObserver, Memory, Observer, Step};
use crate::ptx::{Addr, Op};

/// Copies of a warp that have not arrived.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    waiting: Vec<Copy>,
    /// For each lane, the number of the group that it fills.
    group: [u32; 32],
}

#[derive(Debug)]
struct Copy {
    step: Step,
    group: [u32; 32],
    dst: [u64; 32],
    src: [u64; 32],
    bytes: u8,
    /// Bytes to take from the source; the rest is zero.
    size: [u32; 32],
}

impl Copies {
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.group = [0; 32];
    }
}

/// Executes `cp.async` and what waits for it; false when the instruction is none.
pub(crate) fn execute<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &Regs,
    lanes: &mut Lanes,
    op: &Op,
    step: Step,
) -> Checked<bool> {
    match *op {
        Op::CpAsync { dst, src, bytes, size, ignore } => {
            let mut size = size.map_or([u32::from(bytes); 32], |row| regs.get(row).map(|size| size.min(bytes.into())));
            if let Some(ignore) = ignore {
                let ignored = regs.guard(ignore);
                (0..32).filter(|lane| ignored >> lane & 1 == 1).for_each(|lane| size[lane] = 0);
            }
            issue(reach, regs, lanes, dst, src, bytes, size, step)?;
        }
        Op::CpCommit => {
            for lane in (0..32).filter(|lane| step.lanes >> lane & 1 == 1) {
                lanes.copies.group[lane] += 1;
            }
        }
        Op::CpWait { n } => {
            // Groups below the limit have arrived when a lane goes on; without a number everything has.
            let limit = std::array::from_fn(|lane| match n {
                Some(n) => lanes.copies.group[lane].saturating_sub(n),
                None => u32::MAX,
            });
            arrive(reach, lanes, &limit, step)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[allow(clippy::too_many_arguments, reason = "the fields of one instruction")]
fn issue<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &Regs,
    lanes: &mut Lanes,
    dst: Addr,
    src: Addr,
    bytes: u8,
    size: [u32; 32],
    step: Step,
) -> Checked<()> {
    let dst = addresses(regs, dst, step.lanes);
    check_window(&dst, reach.launch.shared_bytes, bytes, step)?;
    // Lanes that take nothing may name any address.
    let reading = (0..32).fold(0, |reading, lane| reading | u32::from(size[lane] > 0) << lane) & step.lanes;
    let src_of = |mask| addresses(regs, src, mask);
    if reading != 0 {
        let at = src_of(reading);
        if let lane @ 0..32 = first_unaligned(&at, bytes, reading) {
            let bytes = u32::from(bytes);
            return fault(Problem::Unaligned { bytes, align: bytes }, lane, Some(at[lane as usize]));
        }
        let mut left = reading;
        while left != 0 {
            let at = src_of(left);
            let (from, held) = allocation(reach.launch, lanes, &at, 1, left)?;
            if let Some(races) = &reach.races {
                let offsets = src_of(held).map(|at| at - from.base);
                let step = Step { lanes: held, ..step };
                locate(read(races, reach.launch, lanes.recent, &offsets, &size, step), &at)?;
            }
            left &= !held;
        }
    }
    let src = if reading == 0 { [0; 32] } else { src_of(reading) };
    if let Some(races) = &reach.races {
        locate(races.shared(reach.launch, &dst, u32::from(bytes), Deed::WRITE, step), &dst)?;
    }
    let copy = Copy { step, group: lanes.copies.group, dst, src, bytes, size };
    if reach.launch.config.checks {
        under_way(reach.block, &copy);
    }
    lanes.copies.waiting.push(copy);
    Ok(())
}

fn under_way(block: &mut Owned, copy: &Copy) {
    for lane in (0..32).filter(|lane| copy.step.lanes >> lane & 1 == 1) {
        for word in 0..usize::from(copy.bytes) / 4 {
            block.unmark((copy.dst[lane] / 4) as usize + word);
        }
    }
}

fn first_unaligned(at: &[u64; 32], bytes: u8, mask: u32) -> u32 {
    let low = u64::from(bytes) - 1;
    if at.iter().any(|at| at & low != 0) { first(mask, |lane| at[lane] & low != 0) } else { 32 }
}

fn arrive<O: Observer>(reach: &mut Reach<'_, O>, lanes: &mut Lanes, limit: &[u32; 32], step: Step) -> Checked<()> {
    let mut waiting = std::mem::take(&mut lanes.copies.waiting);
    // Copies that are due together arrive in any order.
    let n = waiting.len();
    let key = u64::from(step.warp) << 32 | u64::from(lanes.copies.group[0]);
    let first = Order(reach.launch.config.seed).first(n, key);
    for turn in 0..n {
        let copy = &mut waiting[(first + turn) % n];
        let due = (0..32).fold(0, |due, lane| due | u32::from(copy.group[lane] < limit[lane]) << lane);
        let due = due & step.lanes & copy.step.lanes;
        if due == 0 {
            continue;
        }
        copy.step.lanes &= !due;
        let arrival = Step { lanes: due, ..copy.step };
        if let Some(races) = &reach.races {
            locate(races.shared(reach.launch, &copy.dst, u32::from(copy.bytes), Deed::WRITE, arrival), &copy.dst)?;
        }
        let mut reading = 0;
        for lane in (0..32).filter(|lane| due >> lane & 1 == 1) {
            let mut words = [0u32; 4];
            let size = copy.size[lane] as usize;
            if size > 0 {
                reading |= 1 << lane;
                let source = [copy.src[lane]; 32];
                let (from, _) = allocation(reach.launch, lanes, &source, size as u8, 1 << lane)?;
                let start = (copy.src[lane] - from.base) as usize;
                for (index, word) in words.iter_mut().enumerate().take(size.div_ceil(4)) {
                    let keep = (size - index * 4).min(4);
                    let note = from.written(start / 4 + index) & ((1 << keep) - 1) as u8;
                    if reach.launch.config.checks && !from.all_written() && note.count_ones() as usize != keep {
                        return fault(Problem::Unwritten, lane as u32, Some(copy.src[lane]));
                    }
                    let value = from.get(start / 4 + index);
                    *word = if keep == 4 { value } else { value & ((1 << (8 * keep)) - 1) };
                }
            }
            let to = (copy.dst[lane] / 4) as usize;
            for (index, &word) in words.iter().enumerate().take(usize::from(copy.bytes) / 4) {
                reach.block.set(to + index, word, !0);
                reach.block.mark(to + index, 0xf);
            }
        }
        if O::ENABLED {
            let bytes = u32::from(copy.bytes);
            let step = Step { lanes: reading, ..copy.step };
            let (memory, kind) = (Memory::Global, AccessKind::Read);
            reach.observer.access(Access { step, memory, kind, bytes, addresses: &copy.src });
            let (memory, kind) = (Memory::Shared, AccessKind::Write);
            reach.observer.access(Access { step: arrival, memory, kind, bytes, addresses: &copy.dst });
        }
    }
    waiting.retain(|copy| copy.step.lanes != 0);
    if reach.launch.config.checks {
        // What came for one group may be the destination of a later one too.
        waiting.iter().for_each(|copy| under_way(reach.block, copy));
    }
    lanes.copies.waiting = waiting;
    Ok(())
}

/// Remembers what the lanes of `step` read of one allocation, at these offsets.
fn read(
    races: &BlockRaces,
    launch: &Shared<'_>,
    index: usize,
    at: &[u64; 32],
    size: &[u32; 32],
    step: Step,
) -> Checked<()> {
    // Lanes of one size together, whole words first.
    let mut left = step.lanes;
    while left != 0 {
        let bytes = size[left.trailing_zeros() as usize];
        let lanes = (0..32).fold(0, |same, lane| same | u32::from(size[lane] == bytes) << lane) & left;
        let mut done = 0;
        for part in [16, 8, 4, 2, 1].into_iter().filter(|part| bytes & part != 0) {
            let from = at.map(|at| at + done);
            races.global(launch, index, &from, part, Deed::READ, Step { lanes, ..step })?;
            done += u64::from(part);
        }
        left &= !lanes;
    }
    Ok(())
}
