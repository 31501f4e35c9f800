//! A warp: registers of 32 lanes, one program counter, and lanes that wait where they will meet again.

use super::access::{self, Reach};
use super::collective;
use super::copies::{self, Copies};
use super::lanes::{Regs, Row, Row64};
use super::{Checked, Shared, alu, convert, fast, fault, touch};
use crate::finding::Problem;
use crate::memory::Owned;
use crate::observe::{BlockObserver, Observer, Step};
use crate::ptx::{BarKind, Const, LaneMask, Op, Special};

/// Instructions after which a warp lets the others run.
const TURN: u64 = 1 << 16;

/// Lanes that run, or wait, at one place.
#[derive(Debug, Clone, Copy)]
struct Frame {
    pc: u32,
    lanes: u32,
    /// Where they wait for the others of the frame below.
    meet: u32,
}

/// State of a warp's lanes besides registers.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// Lanes that the block has.
    pub(crate) born: u32,
    pub(crate) local: Owned,
    /// Bytes of local memory per lane.
    pub(crate) local_stride: usize,
    pub(crate) copies: Copies,
    /// Number of the allocation that was accessed last.
    pub(crate) recent: usize,
}

/// A warp of a block.
#[derive(Debug)]
pub(crate) struct Warp {
    pub(crate) regs: Regs,
    pub(crate) lanes: Lanes,
    now: Frame,
    below: Vec<Frame>,
    pub(crate) index: u32,
    pub(crate) instructions: u64,
    pub(crate) lane_instructions: u64,
}

/// Why a warp stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    /// It came to a barrier; the instruction's number.
    Barrier(u32),
    /// It ran long enough for now: another warp may be what it waits for.
    Turn,
    Ended,
}

impl Warp {
    pub(crate) fn new(launch: &Shared<'_>, index: u32) -> Warp {
        let files = &launch.kernel.files;
        let regs = Regs {
            w32: vec![Row([0; 32]); files.rows32],
            w64: vec![Row64([0; 32]); files.rows64],
            preds: vec![0; files.preds],
        };
        let local_stride = launch.kernel.local_bytes.next_multiple_of(16);
        let lanes = Lanes { local_stride, ..Lanes::default() };
        let now = Frame { pc: 0, lanes: 0, meet: u32::MAX };
        Warp { regs, lanes, now, below: Vec::new(), index, instructions: 0, lane_instructions: 0 }
    }

    /// Starts the warp in a block. Registers keep what they had: a program that reads before it writes gets rubbish.
    pub(crate) fn start(&mut self, launch: &Shared<'_>, block: [u32; 3]) {
        let first = self.index * 32;
        self.lanes.born = match launch.threads - first {
            count @ 0..32 => (1 << count) - 1,
            _ => !0,
        };
        self.now = Frame { pc: 0, lanes: self.lanes.born, meet: u32::MAX };
        self.below.clear();
        self.lanes.copies.clear();
        self.lanes.local.reset(self.lanes.local_stride * 32);
        (self.instructions, self.lane_instructions) = (0, 0);
        let files = &launch.kernel.files;
        for &(row, value) in &files.consts32 {
            self.regs.w32[usize::from(row)].0 = match value {
                Const::Bits(bits) => [bits as u32; 32],
                Const::Special(special) => {
                    std::array::from_fn(|lane| special_value(launch, block, self.index, lane as u32, special))
                }
                Const::Variable(_) => [0; 32],
            };
        }
        for &(row, value) in &files.consts64 {
            self.regs.w64[usize::from(row)].0 = match value {
                Const::Bits(bits) => [bits; 32],
                Const::Special(special) => {
                    std::array::from_fn(|lane| special_value(launch, block, self.index, lane as u32, special).into())
                }
                Const::Variable(index) => [launch.addresses[index]; 32],
            };
        }
    }

    /// Lanes that execute the instruction where the warp stands.
    pub(crate) fn active(&self) -> u32 {
        self.now.lanes
    }

    pub(crate) fn pc(&self) -> u32 {
        self.now.pc
    }

    /// Goes past the barrier where it stands.
    pub(crate) fn pass(&mut self) {
        self.now.pc += 1;
    }

    /// Runs to the next barrier or to the end.
    #[inline(always)]
    pub(crate) fn run<O: Observer>(&mut self, reach: &mut Reach<'_, O>) -> Checked<Pause> {
        let kernel = reach.launch.kernel;
        let limit = reach.launch.config.max_instructions;
        let turn = self.instructions + TURN;
        loop {
            if self.now.pc == self.now.meet || self.now.lanes == 0 {
                match self.below.pop() {
                    Some(frame) => self.now = frame,
                    None => return Ok(Pause::Ended),
                }
                continue;
            }
            let pc = self.now.pc;
            let Some(inst) = kernel.code.get(pc as usize) else { return Ok(Pause::Ended) };
            let mut mask = self.now.lanes;
            if let Some(guard) = inst.guard {
                mask &= self.regs.guard(guard);
            }
            self.instructions += 1;
            self.lane_instructions += u64::from(mask.count_ones());
            let step = Step { index: pc, line: inst.line, warp: self.index, lanes: mask };
            if O::ENABLED {
                reach.observer.instruction(step);
            }
            if let Op::Bra { target } = inst.op {
                if self.instructions > limit {
                    return fault(Problem::TooLong { limit }, mask.trailing_zeros() & 31, None);
                }
                self.branch(target, mask, kernel.meet[pc as usize]);
                if self.instructions > turn {
                    return Ok(Pause::Turn);
                }
                continue;
            }
            if inst.undefined && mask != 0 && reach.launch.config.checks {
                return fault(Problem::Undefined, mask.trailing_zeros(), None);
            }
            if mask != 0
                && !alu::execute(&mut self.regs, &inst.op, mask)
                && !fast::shared_load(reach, &mut self.regs, &inst.op, step)
            {
                match inst.op {
                    Op::Exit => {
                        self.exit(mask);
                        continue;
                    }
                    Op::Trap => return fault(Problem::Trap, mask.trailing_zeros() & 31, None),
                    Op::Bar { aligned, .. } => {
                        // Without .aligned lanes may come one by one on hardware; here they come together too.
                        if reach.launch.config.checks || !aligned {
                            collective::needs(self.lanes.born, step)?;
                        }
                        return Ok(Pause::Barrier(pc));
                    }
                    Op::Fence | Op::Nop => {}
                    _ => self.memory(reach, &inst.op, step)?,
                }
            }
            self.now.pc = pc + 1;
        }
    }

    /// Everything that is not arithmetic or control flow.
    #[inline(never)]
    fn memory<O: Observer>(&mut self, reach: &mut Reach<'_, O>, op: &Op, step: Step) -> Checked<()> {
        match op {
            Op::Ld { .. } | Op::St { .. } | Op::Atom { .. } => {
                return access::execute(reach, &mut self.regs, &mut self.lanes, op, step);
            }
            Op::Touch(op) => return touch::execute(reach, &mut self.regs, &mut self.lanes, op, step),
            _ => {}
        }
        if convert::execute(&mut self.regs, op, step.lanes)
            || collective::execute(reach, &mut self.regs, &self.lanes, op, step)?
        {
            return Ok(());
        }
        copies::execute(reach, &self.regs, &mut self.lanes, op, step)?;
        Ok(())
    }

    /// Lanes of `taken` go to `target`, the others on; they meet at `meet`.
    #[inline(always)]
    fn branch(&mut self, target: u32, taken: u32, meet: u32) {
        let Frame { pc, lanes, .. } = self.now;
        if taken == lanes {
            self.now.pc = target;
        } else if taken == 0 {
            self.now.pc = pc + 1;
        } else {
            self.diverge(target, taken, meet);
        }
    }

    #[inline(never)]
    fn diverge(&mut self, target: u32, taken: u32, meet: u32) {
        let Frame { pc, lanes, meet: outer } = self.now;
        // The frame below already waits there when both meet at one place.
        if meet != outer && meet != u32::MAX {
            self.below.push(Frame { pc: meet, lanes, meet: outer });
        }
        let inner = if meet == u32::MAX { outer } else { meet };
        let (stay, go) =
            (Frame { pc: pc + 1, lanes: lanes & !taken, meet: inner }, Frame { pc: target, lanes: taken, meet: inner });
        if go.pc == meet {
            self.now = stay;
        } else if stay.pc == meet {
            self.now = go;
        } else {
            self.below.push(go);
            self.now = stay;
        }
    }

    fn exit(&mut self, mask: u32) {
        self.now.lanes &= !mask;
        self.now.pc += 1;
        for frame in &mut self.below {
            frame.lanes &= !mask;
        }
    }

    /// Writes what a barrier's reduction found.
    pub(crate) fn reduced(&mut self, kind: BarKind, value: u32) {
        let mask = self.now.lanes;
        match kind {
            BarKind::RedPopc(d, _) => self.regs.put(d, &[value; 32], mask),
            BarKind::RedAnd(d, _) | BarKind::RedOr(d, _) => self.regs.put_pred(d, value.wrapping_neg(), mask),
            BarKind::Sync | BarKind::Arrive => {}
        }
    }
}

fn special_value(launch: &Shared<'_>, block: [u32; 3], warp: u32, lane: u32, special: Special) -> u32 {
    let axis = |axis: u8| usize::from(axis);
    match special {
        Special::Tid(a) => launch.thread(warp * 32 + lane)[axis(a)],
        Special::Ntid(a) => launch.config.block[axis(a)],
        Special::Ctaid(a) => block[axis(a)],
        Special::Nctaid(a) => launch.config.grid[axis(a)],
        Special::LaneId => lane,
        Special::WarpId => warp,
        Special::NWarpId => launch.threads.div_ceil(32),
        Special::SmId => 0,
        Special::LaneMask(LaneMask::Eq) => 1 << lane,
        Special::LaneMask(LaneMask::Lt) => (1 << lane) - 1,
        Special::LaneMask(LaneMask::Le) => (2u32.wrapping_shl(lane)).wrapping_sub(1) | if lane == 31 { !0 } else { 0 },
        Special::LaneMask(LaneMask::Gt) => {
            if lane == 31 {
                0
            } else {
                !0 << (lane + 1)
            }
        }
        Special::LaneMask(LaneMask::Ge) => !0 << lane,
        Special::DynamicShared => launch.config.shared_bytes as u32,
        Special::TotalShared => launch.shared_bytes as u32,
    }
}
