//! What a launch did, counted.

use std::sync::{Mutex, PoisonError};

use super::units::{Lines, passes};
use super::{Access, AccessKind, BlockObserver, Memory, Observer, Step};
use crate::ptx::{F1, F2, Kernel, Op};

/// Kinds of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Multiply-add of f32.
    Fma,
    /// Other arithmetic of f32 and f64.
    Float,
    /// Approximations: `ex2`, `rcp`, `div` and their like.
    Special,
    /// Integers, predicates, moves and conversions.
    Integer,
    /// `mma`.
    Tensor,
    /// Loads, stores, atomics, `ldmatrix` and asynchronous copies.
    Memory,
    /// Shuffles, votes and their like.
    Warp,
    /// Barriers of a block or a warp.
    Barrier,
    /// Branches and ends.
    Branch,
}

const KINDS: usize = Kind::Branch as usize + 1;

/// What a launch, or a part of it, did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    instructions: [u64; KINDS],
    lanes: [u64; KINDS],
    /// Sectors of 32 bytes of global memory that loads, atomics and asynchronous copies asked for, by warp and
    /// instruction: what an SM requests, whatever caches there are.
    pub read_sectors: u64,
    /// Sectors that stores asked for.
    pub write_sectors: u64,
    /// Times the banks of shared memory were used: once for 128 bytes of a warp's access, and again for conflicts.
    pub shared_passes: u64,
    /// Those of them that two words in one bank of 32 made necessary.
    pub bank_conflicts: u64,
    /// Multiply-adds of `mma`.
    pub tensor_multiply_adds: u64,
    /// Lanes that did nothing while others of their warp executed: they went another way, returned, were masked by a
    /// guard or never were.
    pub idle_lanes: u64,
}

impl Counts {
    /// Instructions of a kind, once per warp.
    pub fn instructions(&self, kind: Kind) -> u64 {
        self.instructions[kind as usize]
    }

    /// Instructions of a kind, once per thread.
    pub fn lanes(&self, kind: Kind) -> u64 {
        self.lanes[kind as usize]
    }

    /// All instructions, once per warp.
    pub fn all_instructions(&self) -> u64 {
        self.instructions.iter().sum()
    }

    fn add(&mut self, other: &Counts) {
        self.add_share(other, 1, 1);
    }

    /// Adds what `n` blocks do, when `of` blocks like them did this.
    pub(crate) fn add_share(&mut self, other: &Counts, n: u64, of: u64) {
        let of = u128::from(of.max(1));
        let share = |count: u64| ((u128::from(count) * u128::from(n) + of / 2) / of) as u64;
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, &from)| *to += share(from));
        add(&mut self.instructions, &other.instructions);
        add(&mut self.lanes, &other.lanes);
        self.read_sectors += share(other.read_sectors);
        self.write_sectors += share(other.write_sectors);
        self.shared_passes += share(other.shared_passes);
        self.bank_conflicts += share(other.bank_conflicts);
        self.tensor_multiply_adds += share(other.tensor_multiply_adds);
        self.idle_lanes += share(other.idle_lanes);
    }
}

/// Counts launches of one kernel; an observer for [`crate::launch_observed`].
#[derive(Debug)]
pub struct Counters {
    kinds: std::sync::Arc<[Kind]>,
    total: Mutex<Counts>,
}

impl Counters {
    /// Nothing counted yet.
    pub fn new(kernel: &Kernel) -> Counters {
        let kinds = kernel.code.iter().map(|inst| kind(&inst.op)).collect();
        Counters { kinds, total: Mutex::default() }
    }

    /// What all launches did that this has watched.
    pub fn counts(&self) -> Counts {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Counters {
    type Block = BlockCounts;

    fn block(&self, _: [u32; 3]) -> BlockCounts {
        BlockCounts { kinds: self.kinds.clone(), counts: Counts::default() }
    }

    fn finished(&self, block: BlockCounts) {
        self.total.lock().unwrap_or_else(PoisonError::into_inner).add(&block.counts);
    }
}

/// Counts a block.
#[derive(Debug)]
pub struct BlockCounts {
    kinds: std::sync::Arc<[Kind]>,
    counts: Counts,
}

impl BlockObserver for BlockCounts {
    fn instruction(&mut self, step: Step) {
        let kind = self.kinds[step.index as usize];
        let lanes = u64::from(step.lanes.count_ones());
        self.counts.instructions[kind as usize] += 1;
        self.counts.lanes[kind as usize] += lanes;
        self.counts.idle_lanes += 32 - lanes;
        if kind == Kind::Tensor {
            self.counts.tensor_multiply_adds += 16 * 8 * 16;
        }
    }

    fn access(&mut self, access: Access<'_>) {
        match (access.memory, access.kind) {
            (Memory::Global, AccessKind::Write) => self.counts.write_sectors += Lines::of(&access).sectors(),
            (Memory::Global, AccessKind::Read | AccessKind::Atomic) => {
                self.counts.read_sectors += Lines::of(&access).sectors()
            }
            (Memory::Shared, _) => {
                let (passes, conflicts) = passes(&access);
                self.counts.shared_passes += passes;
                self.counts.bank_conflicts += conflicts;
            }
            (Memory::Local, _) => {}
        }
    }
}

fn kind(op: &Op) -> Kind {
    match op {
        Op::Fma { .. } => Kind::Fma,
        Op::F1 { f: F1::Neg | F1::Abs, .. } => Kind::Float,
        Op::F2 { f: F2::Div | F2::DivApprox, .. } | Op::F1 { .. } => Kind::Special,
        Op::F2 { .. } | Op::D1 { .. } | Op::D2 { .. } | Op::DFma { .. } => Kind::Float,
        Op::Mma(_) => Kind::Tensor,
        Op::Ld { .. } | Op::St { .. } | Op::Atom { .. } | Op::LdMatrix { .. } => Kind::Memory,
        Op::CpAsync { .. } | Op::CpCommit | Op::CpWait { .. } => Kind::Memory,
        Op::Bar { .. } | Op::BarWarp { .. } => Kind::Barrier,
        Op::Bra { .. } | Op::Exit | Op::Trap => Kind::Branch,
        op if op.warp_wide() || matches!(op, Op::ActiveMask { .. }) => Kind::Warp,
        _ => Kind::Integer,
    }
}
