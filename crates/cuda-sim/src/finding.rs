//! What a kernel did wrong, and where.

use crate::ptx::PtxError;

/// What was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum Problem {
    #[error("{bytes} bytes outside any allocation")]
    OutOfBounds { bytes: u32 },
    #[error("{bytes} bytes in memory that was freed")]
    AfterFree { bytes: u32 },
    #[error("an access of {bytes} bytes that is not aligned to {align}")]
    Unaligned { bytes: u32, align: u32 },
    #[error("memory of device {device} without peer access")]
    NoPeerAccess { device: u32 },
    #[error("read of memory that nobody wrote")]
    Unwritten,
    #[error("read of shared memory whose asynchronous copy was not waited for")]
    CopyUnderWay,
    #[error("only lanes {active:#010x} of {needed:#010x} execute an instruction that needs all of them")]
    Diverged { active: u32, needed: u32 },
    #[error("a barrier that not all threads reach: it waits for {expected} threads and {arrived} came")]
    BarrierNotReached { arrived: u32, expected: u32 },
    #[error("deadlock: every warp waits, at different barriers")]
    Deadlock,
    #[error("barrier {id} with a bad number or count ({count})")]
    BadBarrier { id: u32, count: u32 },
    #[error("lane {lane} reads from lane {from}, which does not take part")]
    ShuffleSource { lane: u32, from: u32 },
    #[error("a register that nothing has written")]
    Undefined,
    #[error(
        "a race: it {does} bytes that line {line}, block {block:?}, thread {thread:?} {did}, and nothing orders the two"
    )]
    Race { does: &'static str, did: &'static str, line: u32, block: [u32; 3], thread: [u32; 3] },
    #[error("the kernel trapped")]
    Trap,
    #[error("the launch executed more than {limit} instructions in a warp")]
    TooLong { limit: u64 },
}

/// A problem and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was wrong.
    pub problem: Problem,
    /// Name of the kernel.
    pub kernel: String,
    /// Line of the instruction in the PTX.
    pub line: u32,
    /// The instruction's opcode.
    pub instruction: String,
    /// Block in the grid.
    pub block: [u32; 3],
    /// Thread in the block; the first at fault.
    pub thread: [u32; 3],
    /// The address, as the instruction gave it.
    pub address: Option<u64>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { problem, kernel, line, instruction, block, thread, address } = self;
        write!(f, "{kernel}, PTX line {line} ({instruction}), block {block:?}, thread {thread:?}")?;
        if let Some(address) = address {
            write!(f, ", address {address:#x}")?;
        }
        write!(f, ": {problem}")
    }
}

/// Why a launch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum LaunchError {
    #[error("{0}")]
    Finding(Box<Finding>),
    #[error("no kernel {name} in the module")]
    NoKernel { name: String },
    #[error("the kernel takes {expected} bytes of parameters, {got} were given")]
    Params { expected: usize, got: usize },
    #[error("a block of {block:?} threads, the kernel allows {allowed:?}")]
    Block { block: [u32; 3], allowed: [u32; 3] },
    #[error("a grid of {grid:?} blocks")]
    Grid { grid: [u32; 3] },
    #[error(transparent)]
    Ptx(#[from] PtxError),
    #[error(transparent)]
    Memory(#[from] crate::memory::MemoryError),
}
