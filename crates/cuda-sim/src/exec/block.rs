//! A block: its warps run in turn, each to its next barrier, in an order that the seed picks anew each time.

use pulp::NullaryFnOnce;

use super::access::Reach;
use super::order::Order;
use super::races::BlockRaces;
use super::warp::{Pause, Warp};
use super::{Checked, Fault, Shared, Stats, fault};
use crate::finding::{Finding, Problem};
use crate::memory::Owned;
use crate::observe::{BlockObserver, Observer};
use crate::ptx::{BarKind, Op};

/// Barriers of a block.
const BARRIERS: usize = 16;

/// Runs blocks one after the other, on one thread, in the same buffers.
pub(crate) struct BlockRun<'a> {
    launch: &'a Shared<'a>,
    memory: Owned,
    warps: Vec<Warp>,
    state: Vec<State>,
    barriers: [Barrier; BARRIERS],
    races: Option<BlockRaces>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Waits { barrier: usize },
    Ended,
}

/// Who came to a barrier since it last opened.
#[derive(Debug, Clone, Copy, Default)]
struct Barrier {
    /// Threads, in whole warps.
    arrived: u32,
    expected: u32,
    count: u32,
    and: bool,
    or: bool,
}

impl<'a> BlockRun<'a> {
    pub(crate) fn new(launch: &'a Shared<'a>) -> Self {
        let warps: Vec<Warp> = (0..launch.threads.div_ceil(32)).map(|index| Warp::new(launch, index)).collect();
        let state = vec![State::Runs; warps.len()];
        let races = launch.races.is_some().then(|| BlockRaces::new(warps.len(), launch.shared_bytes));
        BlockRun { launch, memory: Owned::default(), warps, state, barriers: Default::default(), races }
    }

    /// Runs block `index` to its end.
    pub(crate) fn run<O: Observer>(&mut self, index: usize, observer: &O) -> Result<Stats, Box<Finding>> {
        let block = self.launch.block(index as u32);
        self.memory.reset(self.launch.shared_bytes);
        self.barriers = Default::default();
        self.state.fill(State::Runs);
        for warp in &mut self.warps {
            warp.start(self.launch, block);
        }
        if let Some(races) = &mut self.races {
            races.start(index as u32);
        }
        let mut watcher = observer.block(block);
        let order = Order(self.launch.config.seed);
        let mut turns: Vec<usize> = (0..self.warps.len()).collect();
        for round in 0.. {
            order.warps(&mut turns, (index as u64) << 32 | round);
            for &warp in &turns {
                if self.state[warp] != State::Runs {
                    continue;
                }
                if let Err(fault) = self.turn::<O>(warp, &mut watcher) {
                    return Err(self.finding(warp, *fault, block));
                }
            }
            if self.state.iter().all(|state| *state == State::Ended) {
                break;
            }
            if !self.state.contains(&State::Runs) {
                return Err(self.stuck(block));
            }
        }
        observer.finished(watcher);
        let sum = |f: fn(&Warp) -> u64| self.warps.iter().map(f).sum();
        Ok(Stats { warp_instructions: sum(|w| w.instructions), lane_instructions: sum(|w| w.lane_instructions) })
    }

    fn turn<O: Observer>(&mut self, index: usize, observer: &mut O::Block) -> Checked<()> {
        let warp = &mut self.warps[index];
        let mut reach =
            Reach::<O> { launch: self.launch, block: &mut self.memory, observer, races: self.races.as_mut() };
        match vectorise(Run { warp, reach: &mut reach })? {
            Pause::Ended => self.state[index] = State::Ended,
            Pause::Turn => {}
            Pause::Barrier(pc) => {
                if let Op::Bar { kind, id, count, .. } = self.launch.kernel.code[pc as usize].op {
                    let regs = &self.warps[index].regs;
                    let lane = self.warps[index].active().trailing_zeros() as usize & 31;
                    let id = regs.get(id)[lane];
                    let count = count.map(|row| regs.get(row)[lane]);
                    if self.arrive(index, kind, id, count)? {
                        observer.barrier(id);
                    }
                }
            }
        }
        Ok(())
    }

    /// A warp comes to a barrier; true when that opens it.
    fn arrive(&mut self, index: usize, kind: BarKind, id: u32, count: Option<u32>) -> Checked<bool> {
        let all = self.warps.len() as u32 * 32;
        let expected = count.unwrap_or(all);
        let bad = fault(Problem::BadBarrier { id, count: expected }, 0, None);
        let Some(barrier) = self.barriers.get_mut(id as usize) else { return bad };
        if !expected.is_multiple_of(32)
            || expected == 0
            || expected > all
            || barrier.arrived > 0 && barrier.expected != expected
        {
            return bad;
        }
        let warp = &mut self.warps[index];
        if barrier.arrived == 0 {
            *barrier = Barrier { and: true, ..Barrier::default() };
        }
        barrier.expected = expected;
        barrier.arrived += 32;
        if let Some(races) = &mut self.races {
            races.clocks().arrive(index as u32, id as usize);
        }
        if let BarKind::RedPopc(_, pred) | BarKind::RedAnd(_, pred) | BarKind::RedOr(_, pred) = kind {
            let holds = warp.regs.guard(pred) & warp.active();
            barrier.count += holds.count_ones();
            barrier.and &= holds == warp.active();
            barrier.or |= holds != 0;
        }
        if kind == BarKind::Arrive {
            warp.pass();
        } else {
            self.state[index] = State::Waits { barrier: id as usize };
        }
        if barrier.arrived < expected {
            return Ok(false);
        }
        let found = std::mem::take(barrier);
        for (state, warp) in self.state.iter_mut().zip(&mut self.warps) {
            if *state == (State::Waits { barrier: id as usize }) {
                *state = State::Runs;
                if let Some(races) = &mut self.races {
                    races.clocks().leave(warp.index, id as usize);
                }
                if let Op::Bar { kind, .. } = self.launch.kernel.code[warp.pc() as usize].op {
                    let value = match kind {
                        BarKind::RedPopc(..) => found.count,
                        BarKind::RedAnd(..) => found.and.into(),
                        _ => found.or.into(),
                    };
                    warp.reduced(kind, value);
                }
                warp.pass();
            }
        }
        if let Some(races) = &mut self.races {
            races.clocks().opened(id as usize);
        }
        Ok(true)
    }

    /// Every warp waits or has ended.
    fn stuck(&self, block: [u32; 3]) -> Box<Finding> {
        let waiting = self.state.iter().position(|state| matches!(state, State::Waits { .. })).unwrap_or(0);
        let ended = self.state.iter().position(|state| *state == State::Ended);
        let State::Waits { barrier } = self.state[waiting] else {
            return self.finding(waiting, Fault { problem: Problem::Deadlock, lane: 0, address: None }, block);
        };
        let Barrier { arrived, expected, .. } = self.barriers[barrier];
        let problem = match ended {
            Some(_) => Problem::BarrierNotReached { arrived, expected },
            None => Problem::Deadlock,
        };
        let mut finding = self.finding(waiting, Fault { problem, lane: 0, address: None }, block);
        if let Some(warp) = ended {
            // The thread that is missing, not the one that waits.
            finding.thread = self.launch.thread(warp as u32 * 32);
        }
        finding
    }

    fn finding(&self, warp: usize, fault: Fault, block: [u32; 3]) -> Box<Finding> {
        let kernel = self.launch.kernel;
        let pc = self.warps[warp].pc() as usize;
        let lane = fault.lane.min(31);
        Box::new(Finding {
            problem: fault.problem,
            kernel: kernel.name.clone(),
            line: kernel.code.get(pc).map_or(0, |inst| inst.line),
            instruction: kernel.texts.get(pc).cloned().unwrap_or_default(),
            block,
            thread: self.launch.thread(warp as u32 * 32 + lane),
            address: fault.address,
        })
    }
}

struct Run<'r, 'a, O: Observer> {
    warp: &'r mut Warp,
    reach: &'r mut Reach<'a, O>,
}

impl<O: Observer> NullaryFnOnce for Run<'_, '_, O> {
    type Output = Checked<Pause>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        self.warp.run(self.reach)
    }
}

/// Runs the interpreter as it is compiled for this processor's vectors: AVX2 with FMA where there is one, since
/// without FMA every `fma` is a library call.
fn vectorise<F: NullaryFnOnce>(run: F) -> F::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(run);
    }
    run.call()
}
