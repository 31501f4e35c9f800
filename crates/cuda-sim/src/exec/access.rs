//! Loads, stores and atomics: addresses of 32 lanes, checked together.

use super::lanes::Regs;
use super::races::{BlockRaces, Deed};
use super::warp::Lanes;
use super::words::{gather, gather_any, sign, store};
use super::{Checked, Shared, convert, fault};
use crate::finding::Problem;
use crate::memory::{Allocation, Owned, UNDER_WAY, Words};
use crate::observe::{Access, AccessKind, BlockObserver, Memory, Observer, Step};
use crate::ptx::{Addr, Area, Op, Slot};

/// Windows of the generic address space; global memory is everything from the first device's start.
pub(crate) const SHARED: u64 = 0x1_0000_0000;
pub(crate) const LOCAL: u64 = 0x2_0000_0000;
pub(crate) const PARAM: u64 = 0x3_0000_0000;
const WINDOW: u64 = 0x1_0000_0000;

/// What an instruction can reach, besides the registers of its warp.
pub(crate) struct Reach<'a, O: Observer> {
    pub(crate) launch: &'a Shared<'a>,
    pub(crate) block: &'a mut Owned,
    pub(crate) observer: &'a mut O::Block,
    pub(crate) races: Option<&'a mut BlockRaces>,
}

/// Executes a load, store or atomic of a warp.
pub(crate) fn execute<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &mut Lanes,
    op: &Op,
    step: Step,
) -> Checked<()> {
    match *op {
        Op::Ld { addr, bytes, signed, strong, n, d } => {
            load(reach, regs, lanes, addr, bytes, signed, strong, &d[..usize::from(n)], step)
        }
        Op::St { addr, bytes, strong, n, s } => {
            let deed = Deed::WRITE.strong(strong);
            each_area(reach, regs, lanes, addr, step, bytes * n, deed, |words, at, regs, step| {
                store(words, at, regs, bytes, &s[..usize::from(n)], step.lanes);
                Ok(())
            })
        }
        Op::Atom { addr, f, wide, d, b, c } => super::atomic::atom(reach, regs, lanes, addr, f, wide, d, [b, c], step),
        _ => Ok(()),
    }
}

/// Addresses of all lanes; lanes that do not take part get the address of one that does.
#[inline]
pub(crate) fn addresses(regs: &Regs, addr: Addr, mask: u32) -> [u64; 32] {
    let mut at = match addr.base {
        Slot::W64(row) => *regs.get64(row),
        Slot::W32(row) | Slot::W16(row) => regs.get(row).map(u64::from),
        Slot::None => [0; 32],
    };
    for at in &mut at {
        *at = at.wrapping_add(addr.offset as u64);
    }
    if matches!(addr.base, Slot::W32(_)) {
        for at in &mut at {
            *at &= 0xffff_ffff;
        }
    }
    if mask != !0 {
        let one = at[mask.trailing_zeros() as usize & 31];
        for (lane, at) in at.iter_mut().enumerate() {
            if mask >> lane & 1 == 0 {
                *at = one;
            }
        }
    }
    at
}

/// The first lane of `mask` for which `f` holds.
pub(crate) fn first(mask: u32, f: impl Fn(usize) -> bool) -> u32 {
    (0..32).find(|&lane| mask >> lane & 1 == 1 && f(lane as usize)).unwrap_or(mask.trailing_zeros() & 31)
}

/// The space of a generic address and where its window starts.
fn window(address: u64) -> (Area, u64) {
    match address / WINDOW {
        1 => (Area::Shared, SHARED),
        2 => (Area::Local, LOCAL),
        3 => (Area::Param, PARAM),
        _ => (Area::Global, 0),
    }
}

/// Bounds and alignment of an access to memory of `size` bytes that starts at address 0.
#[inline]
pub(crate) fn check_window(at: &[u64; 32], size: usize, bytes: u8, step: Step) -> Checked<()> {
    let most = at.iter().fold(0, |most, &at| most.max(at));
    let bits = at.iter().fold(0, |bits, &at| bits | at);
    let limit = (size as u64).checked_sub(u64::from(bytes));
    if limit.is_none_or(|limit| most > limit) {
        let lane = first(step.lanes, |lane| limit.is_none_or(|limit| at[lane] > limit));
        return fault(Problem::OutOfBounds { bytes: u32::from(bytes) }, lane, Some(at[lane as usize]));
    }
    check_aligned(at, bits, bytes, step)
}

#[inline]
fn check_aligned(at: &[u64; 32], bits: u64, bytes: u8, step: Step) -> Checked<()> {
    let low = u64::from(bytes) - 1;
    if bits & low != 0 {
        let lane = first(step.lanes, |lane| at[lane] & low != 0);
        let bytes = u32::from(bytes);
        return fault(Problem::Unaligned { bytes, align: bytes }, lane, Some(at[lane as usize]));
    }
    Ok(())
}

/// Finds the allocation that holds the first lane's bytes, and the lanes that it holds.
pub(crate) fn allocation<'a>(
    launch: &'a Shared<'_>,
    lanes: &mut Lanes,
    at: &[u64; 32],
    bytes: u8,
    mask: u32,
) -> Checked<(&'a Allocation, u32)> {
    let lane = mask.trailing_zeros() & 31;
    let address = at[lane as usize];
    let inside = |a: &Allocation, at: u64| at >= a.base && at - a.base + u64::from(bytes) <= a.bytes as u64;
    let cached = launch.memory.live.get(lanes.recent).filter(|a| inside(a, address));
    let found = match cached {
        Some(found) => found,
        None => match launch.memory.find(address) {
            Some(index) if inside(&launch.memory.live[index], address) => {
                lanes.recent = index;
                &launch.memory.live[index]
            }
            _ => {
                let bytes = u32::from(bytes);
                let problem = match launch.memory.freed_at(address) {
                    true => Problem::AfterFree { bytes },
                    false => Problem::OutOfBounds { bytes },
                };
                return fault(problem, lane, Some(address));
            }
        },
    };
    let device = found.device;
    if device != launch.config.device && (device > 63 || launch.config.peers >> device & 1 == 0) {
        return fault(Problem::NoPeerAccess { device }, lane, Some(address));
    }
    let (least, most) = at.iter().fold((u64::MAX, 0), |(least, most), &at| (least.min(at), most.max(at)));
    if inside(found, least) && inside(found, most) {
        return Ok((found, mask));
    }
    Ok((found, (0..32).fold(0, |held, lane| held | u32::from(inside(found, at[lane])) << lane) & mask))
}

/// Puts the address into a fault that was found behind an allocation's offsets.
pub(crate) fn locate(result: Checked<()>, at: &[u64; 32]) -> Checked<()> {
    result.map_err(|mut fault| {
        fault.address = Some(at[fault.lane as usize & 31]);
        fault
    })
}

/// Memory that an access goes to.
pub(crate) enum Target<'a> {
    Owned(&'a mut Owned),
    Global(&'a Allocation),
}

/// Resolves the space of an access, checks it, and calls `f` with word-addressable memory and byte offsets in it; more
/// than once where lanes go to different allocations or spaces.
#[allow(clippy::too_many_arguments, reason = "one access, in parts")]
pub(super) fn each_area<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &mut Lanes,
    addr: Addr,
    step: Step,
    bytes: u8,
    deed: Deed,
    mut f: impl FnMut(Target<'_>, &[u64; 32], &mut Regs, Step) -> Checked<()>,
) -> Checked<()> {
    let mut left = step.lanes;
    while left != 0 {
        let mut at = addresses(regs, addr, left);
        let mut part = Step { lanes: left, ..step };
        let mut area = addr.area;
        if area == Area::Generic {
            let (found, start) = window(at[left.trailing_zeros() as usize]);
            area = found;
            part.lanes = (0..32).fold(0, |held, lane| held | u32::from(window(at[lane]).0 == area) << lane) & left;
            at = addresses(regs, addr, part.lanes);
            at.iter_mut().for_each(|at| *at -= start);
        }
        let memory = match area {
            Area::Shared => Memory::Shared,
            Area::Local => Memory::Local,
            _ => Memory::Global,
        };
        match area {
            Area::Shared => {
                check_window(&at, reach.launch.shared_bytes, bytes, part)?;
                if let Some(races) = &reach.races {
                    if deed.writes && reach.launch.copies {
                        overtaken(races, reach.launch, reach.block, &at, bytes, part)?;
                    }
                    locate(races.shared(reach.launch, &at, u32::from(bytes), deed, part), &at)?;
                }
                locate(f(Target::Owned(reach.block), &at, regs, part), &at)?;
            }
            Area::Local => {
                check_window(&at, reach.launch.kernel.local_bytes, bytes, part)?;
                let stride = lanes.local_stride as u64;
                let offsets = std::array::from_fn(|lane| at[lane] + lane as u64 * stride);
                locate(f(Target::Owned(&mut lanes.local), &offsets, regs, part), &at)?;
            }
            Area::Param => {
                check_window(&at, reach.launch.kernel.param_bytes, bytes, part)?;
                let mut words = Owned::default();
                words.reset(reach.launch.params.len() * 4);
                for (index, &word) in reach.launch.params.iter().enumerate() {
                    words.set(index, word, !0);
                    words.mark(index, 0xf);
                }
                locate(f(Target::Owned(&mut words), &at, regs, part), &at)?;
            }
            Area::Global | Area::Generic => {
                let (found, held) = allocation(reach.launch, lanes, &at, bytes, part.lanes)?;
                if held != part.lanes {
                    part.lanes = held;
                    at = addresses(regs, addr, held);
                }
                let bits = at.iter().fold(0, |bits, &at| bits | at);
                check_aligned(&at, bits, bytes, part)?;
                let offsets = at.map(|at| at - found.base);
                if let Some(races) = &reach.races {
                    let bytes = u32::from(bytes);
                    locate(races.global(reach.launch, lanes.recent, &offsets, bytes, deed, part), &at)?;
                }
                locate(f(Target::Global(found), &offsets, regs, part), &at)?;
            }
        }
        if O::ENABLED && area != Area::Param {
            let kind = match deed {
                Deed { writes: false, .. } => AccessKind::Read,
                Deed::ATOMIC => AccessKind::Atomic,
                Deed { writes: true, .. } => AccessKind::Write,
            };
            reach.observer.access(Access { step: part, memory, kind, bytes: u32::from(bytes), addresses: &at });
        }
        left &= !part.lanes;
    }
    Ok(())
}

/// Finds a store to bytes to which an asynchronous copy is under way.
fn overtaken(
    races: &BlockRaces,
    launch: &Shared<'_>,
    block: &Owned,
    at: &[u64; 32],
    bytes: u8,
    step: Step,
) -> Checked<()> {
    for lane in (0..32u32).filter(|lane| step.lanes >> lane & 1 == 1) {
        let start = at[lane as usize];
        let words = start / 4..(start + u64::from(bytes)).div_ceil(4);
        if words.clone().any(|word| block.written(word as usize) & UNDER_WAY != 0) {
            locate(races.overtakes(launch, start, lane), at)?;
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the fields of one instruction")]
fn load<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &mut Lanes,
    addr: Addr,
    bytes: u8,
    signed: bool,
    strong: bool,
    d: &[Slot],
    step: Step,
) -> Checked<()> {
    let deed = Deed::READ.strong(strong);
    if let (Area::Param, Slot::None) = (addr.area, addr.base) {
        return parameter(reach.launch, regs, addr.offset as usize, bytes, signed, d, step);
    }
    let checks = reach.launch.config.checks;
    // What a skeleton left out must not decide.
    let own = checks || reach.launch.config.dry;
    let all = bytes * d.len() as u8;
    // The base is read again when an access is split, so results are written when all parts are there.
    if bytes == 4 && d.iter().all(|d| matches!(d, Slot::W32(_))) {
        let mut values = [[0u32; 32]; 4];
        each_area(reach, regs, lanes, addr, step, all, deed, |target, at, _, step| match target {
            Target::Owned(words) => gather(&*words, at, &mut values[..d.len()], own, step),
            Target::Global(words) => gather(&words, at, &mut values[..d.len()], checks, step),
        })?;
        for (d, v) in d.iter().zip(&values) {
            if let Slot::W32(d) = d {
                regs.put(*d, v, step.lanes);
            }
        }
        return Ok(());
    }
    let mut values = [[0u64; 32]; 4];
    each_area(reach, regs, lanes, addr, step, all, deed, |target, at, _, step| match target {
        Target::Owned(words) => gather_any(&*words, at, &mut values[..d.len()], bytes, own, step),
        Target::Global(words) => gather_any(&words, at, &mut values[..d.len()], bytes, checks, step),
    })?;
    for (&d, v) in d.iter().zip(&values) {
        let v = if signed { v.map(|v| sign(v, bytes)) } else { *v };
        convert::put(regs, d, &v, step.lanes);
    }
    Ok(())
}

fn parameter(
    launch: &Shared<'_>,
    regs: &mut Regs,
    offset: usize,
    bytes: u8,
    signed: bool,
    d: &[Slot],
    step: Step,
) -> Checked<()> {
    let size = usize::from(bytes);
    if offset + size * d.len() > launch.kernel.param_bytes {
        return fault(
            Problem::OutOfBounds { bytes: u32::from(bytes) },
            step.lanes.trailing_zeros(),
            Some(offset as u64),
        );
    }
    for (index, &d) in d.iter().enumerate() {
        let mut value = 0u64;
        for byte in (0..size).rev() {
            let at = offset + index * size + byte;
            value = value << 8 | u64::from(launch.params[at / 4] >> (at % 4 * 8) & 0xff);
        }
        let value = if signed { sign(value, bytes) } else { value };
        convert::put(regs, d, &[value; 32], step.lanes);
    }
    Ok(())
}
