//! Places where counters and race checks watch a launch.
//!
//! The interpreter is generic over an [`Observer`]; with [`Unobserved`] every call disappears.

mod counters;
mod intercept;
mod trace;
mod units;

pub use counters::{BlockCounts, Counters, Counts, Kind};
pub(crate) use intercept::interceptor;
pub use intercept::{Intercept, intercept};
pub use trace::{BlockTrace, Request, Trace};

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
    /// Whether a dry launch shows it accesses to the block's and the thread's own memory.
    const OWN: bool = true;
    /// Watches one block, on one thread.
    type Block: BlockObserver;
    /// Whether the block is run at all: what a sample leaves out has no effect on memory.
    fn runs(&self, _block: [u32; 3]) -> bool {
        true
    }
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

/// Two observers of one launch.
impl<A: Observer, B: Observer> Observer for (&A, &B) {
    const OWN: bool = A::OWN || B::OWN;
    type Block = (A::Block, B::Block);

    fn runs(&self, block: [u32; 3]) -> bool {
        self.0.runs(block) && self.1.runs(block)
    }

    fn block(&self, block: [u32; 3]) -> Self::Block {
        (self.0.block(block), self.1.block(block))
    }

    fn finished(&self, (a, b): Self::Block) {
        self.0.finished(a);
        self.1.finished(b);
    }
}

impl<A: BlockObserver, B: BlockObserver> BlockObserver for (A, B) {
    fn instruction(&mut self, step: Step) {
        self.0.instruction(step);
        self.1.instruction(step);
    }

    fn access(&mut self, access: Access<'_>) {
        self.0.access(access);
        self.1.access(access);
    }

    fn barrier(&mut self, id: u32) {
        self.0.barrier(id);
        self.1.barrier(id);
    }
}

/// Runs only some blocks of a launch.
#[derive(Debug)]
pub struct Only {
    /// The blocks' numbers in the grid, ascending.
    pub blocks: Vec<u64>,
    /// Blocks of the grid in each direction.
    pub grid: [u32; 3],
}

impl Observer for Only {
    const OWN: bool = false;
    type Block = ();

    fn runs(&self, block: [u32; 3]) -> bool {
        self.blocks.binary_search(&number(block, self.grid)).is_ok()
    }

    fn block(&self, _: [u32; 3]) {}
}

/// The number of a block in its grid, x fastest.
pub(crate) fn number([x, y, z]: [u32; 3], grid: [u32; 3]) -> u64 {
    u64::from(x) + u64::from(grid[0]) * (u64::from(y) + u64::from(grid[1]) * u64::from(z))
}
