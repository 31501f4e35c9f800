//! What the threads of a warp do together: shuffles, votes, `ldmatrix`, `mma`.
//!
//! `mma.sync` forms each of its sums as a chain of fused multiply-adds in f32, from the addend on, k ascending: each
//! product is exact, each step rounds to nearest even. A GPU adds groups of products in a wider format, cuts off low
//! bits instead of rounding, and keeps its order for itself; results differ in the last bits. A value read by `shfl`
//! from a lane that does not take part is a finding; without checks it is that lane's last value of the register.

use half::f16;

use super::access::{Reach, SHARED, addresses, check_window, locate};
use super::integer;
use super::lanes::Regs;
use super::races::Deed;
use super::warp::Lanes;
use super::words::gather;
use super::{Checked, fault};
use crate::finding::Problem;
use crate::observe::{Access, AccessKind, BlockObserver, Memory, Observer, Step};
use crate::ptx::{Addr, Area, Mma, Op, ShflMode, Slot, Vote};

/// Executes a warp-wide instruction; false when it is none of these.
pub(crate) fn execute<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &Lanes,
    op: &Op,
    step: Step,
) -> Checked<bool> {
    let checks = reach.launch.config.checks;
    let whole = |member: u32| if checks { needs(member & lanes.born, step) } else { Ok(()) };
    match *op {
        Op::Shfl { mode, d, p, a, b, c, mask } => {
            members(regs, mask, lanes, step, checks)?;
            let absent = shuffle(regs, mode, d, p, [a, b, c], step.lanes);
            if let (Some((lane, from)), true) = (absent, checks) {
                return fault(Problem::ShuffleSource { lane, from }, lane, None);
            }
        }
        Op::Vote { mode, d, a, mask } => {
            let member = members(regs, mask, lanes, step, checks)?;
            let holds = regs.guard(a) & step.lanes & member;
            let all = step.lanes & member;
            match mode {
                Vote::Ballot(d) => regs.put(d, &[holds; 32], step.lanes),
                Vote::All => regs.put_pred(d, u32::from(holds == all).wrapping_neg(), step.lanes),
                Vote::Any => regs.put_pred(d, u32::from(holds != 0).wrapping_neg(), step.lanes),
                Vote::Uni => regs.put_pred(d, u32::from(holds == 0 || holds == all).wrapping_neg(), step.lanes),
            }
        }
        Op::MatchAny { d, a, mask } => {
            let member = members(regs, mask, lanes, step, checks)?;
            let v = super::convert::get(regs, a);
            let found = std::array::from_fn(|lane| {
                (0..32).fold(0, |same, other| same | u32::from(v[other] == v[lane]) << other) & member & step.lanes
            });
            regs.put(d, &found, step.lanes);
        }
        Op::Redux { f, d, a, mask } => {
            members(regs, mask, lanes, step, checks)?;
            let v = regs.get(a);
            let mut taking = (0..32).filter(|lane| step.lanes >> lane & 1 == 1).map(|lane| v[lane]);
            let start = taking.next().unwrap_or(0);
            let all = taking.fold(start, |all, v| integer::two(f, all, v));
            regs.put(d, &[all; 32], step.lanes);
        }
        Op::ActiveMask { d } => regs.put(d, &[step.lanes; 32], step.lanes),
        Op::BarWarp { mask } => {
            members(regs, mask, lanes, step, checks)?;
            if let Some(races) = &mut reach.races {
                races.clocks().tick(step.warp);
            }
        }
        Op::LdMatrix { addr, n, trans, d } => {
            whole(!0)?;
            matrix(reach, regs, addr, n, trans, &d, step)?;
        }
        Op::Mma(ref m) => {
            whole(!0)?;
            mma(regs, m);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Fails unless all lanes of `needed` execute.
pub(crate) fn needs(needed: u32, step: Step) -> Checked<()> {
    if step.lanes & needed == needed {
        return Ok(());
    }
    fault(Problem::Diverged { active: step.lanes, needed }, (needed & !step.lanes).trailing_zeros(), None)
}

/// The member mask, checked: every lane that executes gives the same one and is in it, and all of it executes.
fn members(regs: &Regs, row: u16, lanes: &Lanes, step: Step, checks: bool) -> Checked<u32> {
    let masks = regs.get(row);
    let lane = step.lanes.trailing_zeros() as usize & 31;
    let member = masks[lane];
    if checks {
        let odd = (0..32).filter(|lane| step.lanes >> lane & 1 == 1);
        let odd = odd.clone().find(|&lane| masks[lane] != member || member >> lane & 1 == 0);
        if let Some(lane) = odd {
            return fault(Problem::Diverged { active: step.lanes, needed: masks[lane] }, lane as u32, None);
        }
        needs(member & lanes.born, step)?;
    }
    Ok(member)
}

/// Gives the first lane that reads from one that does not take part, and that one.
fn shuffle(regs: &mut Regs, mode: ShflMode, d: u16, p: Option<u16>, s: [u16; 3], mask: u32) -> Option<(u32, u32)> {
    let mut absent = None;
    let (a, b, c) = (regs.get(s[0]), regs.get(s[1]), regs.get(s[2]));
    let (mut v, mut inside) = ([0; 32], 0u32);
    for lane in 0..32u32 {
        let index = lane as usize;
        let (by, clamp, segment) = (b[index] & 31, c[index] & 31, c[index] >> 8 & 31);
        let limit = lane & segment | clamp & !segment;
        let (from, valid) = match mode {
            ShflMode::Up => (lane.wrapping_sub(by), lane as i32 - by as i32 >= limit as i32),
            ShflMode::Down => (lane + by, lane + by <= limit),
            ShflMode::Bfly => (lane ^ by, lane ^ by <= limit),
            ShflMode::Idx => {
                let from = lane & segment | by & !segment;
                (from, from <= limit)
            }
        };
        v[index] = a[if valid { from as usize & 31 } else { index }];
        inside |= u32::from(valid) << lane;
        if valid && mask >> lane & 1 == 1 && mask >> (from & 31) & 1 == 0 {
            absent = absent.or(Some((lane, from)));
        }
    }
    regs.put(d, &v, mask);
    if let Some(p) = p {
        regs.put_pred(p, inside, mask);
    }
    absent
}

fn matrix<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    addr: Addr,
    n: u8,
    trans: bool,
    d: &[u16; 4],
    step: Step,
) -> Checked<()> {
    // Lanes 0..8n give the rows; the addresses of the others do not matter.
    let given = if n == 4 { !0 } else { (1u32 << (8 * n)) - 1 };
    let mut at = addresses(regs, addr, given);
    if addr.area == Area::Generic && matches!(addr.base, Slot::W64(_)) {
        at.iter_mut().for_each(|at| *at = at.wrapping_sub(SHARED));
    }
    let rows = Step { lanes: given, ..step };
    check_window(&at, reach.launch.shared_bytes, 16, rows)?;
    if let Some(races) = &reach.races {
        locate(races.shared(reach.launch, &at, 16, Deed::MATRIX, rows), &at)?;
    }
    let mut words = [[0u32; 32]; 4];
    locate(gather(&*reach.block, &at, &mut words, reach.launch.config.checks, rows), &at)?;
    for (matrix, &d) in d.iter().enumerate().take(usize::from(n)) {
        let element = |row: usize, column: usize| words[column / 2][matrix * 8 + row] >> (column % 2 * 16) & 0xffff;
        let v = std::array::from_fn(|lane| {
            let (row, column) = (lane / 4, lane % 4 * 2);
            match trans {
                false => words[lane % 4][matrix * 8 + row],
                true => element(column, row) | element(column + 1, row) << 16,
            }
        });
        regs.put(d, &v, step.lanes);
    }
    if O::ENABLED {
        let (memory, kind) = (Memory::Shared, AccessKind::Read);
        reach.observer.access(Access { step: rows, memory, kind, bytes: 16, addresses: &at });
    }
    Ok(())
}

#[inline(always)]
fn mma(regs: &mut Regs, m: &Mma) {
    let value = |bits: u32| match m.bf16 {
        true => f32::from_bits(bits << 16),
        false => f16::from_bits(bits as u16).to_f32(),
    };
    // a[row][k], b[k][column], c[row][column]
    let (mut a, mut b, mut c) = ([[0f32; 16]; 16], [[0f32; 8]; 16], [[0f32; 8]; 16]);
    for lane in 0..32 {
        let (group, pair) = (lane / 4, lane % 4 * 2);
        for part in 0..4 {
            let bits = regs.get(m.a[part])[lane];
            let (row, k) = (group + part % 2 * 8, pair + part / 2 * 8);
            a[row][k] = value(bits & 0xffff);
            a[row][k + 1] = value(bits >> 16);
            c[group + part / 2 * 8][pair + part % 2] = f32::from_bits(regs.get(m.c[part])[lane]);
        }
        for part in 0..2 {
            let bits = regs.get(m.b[part])[lane];
            b[pair + part * 8][group] = value(bits & 0xffff);
            b[pair + part * 8 + 1][group] = value(bits >> 16);
        }
    }
    for (a, c) in a.iter().zip(&mut c) {
        let mut sum = *c;
        for (a, b) in a.iter().zip(&b) {
            for column in 0..8 {
                sum[column] = a.mul_add(b[column], sum[column]);
            }
        }
        *c = sum;
    }
    for part in 0..4 {
        let v = std::array::from_fn(|lane| c[lane / 4 + part / 2 * 8][lane % 4 * 2 + part % 2].to_bits());
        regs.put(m.d[part], &v, !0);
    }
}
