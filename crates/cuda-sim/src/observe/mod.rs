//! Places where counters and race checks watch a launch.
//!
//! The interpreter is generic over an [`Observer`]; with [`Unobserved`] every call disappears.

mod counters;

pub use counters::{BlockCounts, Counters, Counts, Kind};

/// Which memory an access goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Device memory; addresses are those of the device.
    Global,
    /// The block's memory; addresses start at 0.
    Shared,
    /// The thread's own memory; addresses start at 0.
    Local,
}

/// How memory is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKind {
    /// A plain load, `ldmatrix`, or the source of an asynchronous copy.
    Read,
    /// A plain store, or the destination of an asynchronous copy when it arrives.
    Write,
    /// An atomic read and write.
    Atomic,
}

/// One instruction of one warp.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Index of the instruction in the kernel.
    pub index: u32,
    /// Its line in the PTX.
    pub line: u32,
    /// Warp in the block.
    pub warp: u32,
    /// Lanes that execute it.
    pub lanes: u32,
}

/// The memory side of an instruction.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The instruction.
    pub step: Step,
    /// Where.
    pub memory: Memory,
    /// How.
    pub kind: AccessKind,
    /// Bytes per lane.
    pub bytes: u32,
    /// Address of each lane; only those in `step.lanes` count.
    pub addresses: &'a [u64; 32],
}

/// Watches a launch: makes a watcher for each block.
pub trait Observer: Sync {
    /// Whether the interpreter calls it at all.
    const ENABLED: bool = true;
    /// Watches one block, on one thread.
    type Block: BlockObserver;
    /// Called before a block starts.
    fn block(&self, block: [u32; 3]) -> Self::Block;
    /// Called after a block has ended without a finding.
    fn finished(&self, _block: Self::Block) {}
}

/// Watches a block.
pub trait BlockObserver {
    /// Before each instruction.
    fn instruction(&mut self, _step: Step) {}
    /// At each access, after its checks.
    fn access(&mut self, _access: Access<'_>) {}
    /// All warps that a barrier waited for have come.
    fn barrier(&mut self, _id: u32) {}
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    const ENABLED: bool = false;
    type Block = ();
    fn block(&self, _: [u32; 3]) {}
}

impl BlockObserver for () {}
