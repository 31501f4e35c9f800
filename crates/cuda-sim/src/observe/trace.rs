//! What blocks request of global memory, in order.

use std::sync::{Mutex, PoisonError};

use super::units::Lines;
use super::{Access, AccessKind, BlockObserver, Memory, Observer, number};

/// A request of a warp for sectors of a line of 128 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request(u64);

impl Request {
    /// A request for the sectors of `line` whose bits are set, to write them or to read them.
    pub fn new(line: u64, sectors: u8, write: bool) -> Request {
        Request(line << 5 | u64::from(write) << 4 | u64::from(sectors & 0xf))
    }

    /// The line's number: its address over 128.
    pub fn line(self) -> u64 {
        self.0 >> 5
    }

    /// A bit for each of the four sectors.
    pub fn sectors(self) -> u8 {
        self.0 as u8 & 0xf
    }

    /// Whether they are written.
    pub fn write(self) -> bool {
        self.0 >> 4 & 1 == 1
    }
}

/// Records the requests of each block.
#[derive(Debug)]
pub struct Trace {
    grid: [u32; 3],
    blocks: Mutex<Vec<(u64, Vec<Request>)>>,
}

impl Trace {
    /// For a launch of this grid.
    pub fn new(grid: [u32; 3]) -> Trace {
        Trace { grid, blocks: Mutex::default() }
    }

    /// The requests of each block that ran, by the blocks' numbers.
    pub fn into_blocks(self) -> Vec<Vec<Request>> {
        let mut blocks = self.blocks.into_inner().unwrap_or_else(PoisonError::into_inner);
        blocks.sort_unstable_by_key(|(number, _)| *number);
        blocks.into_iter().map(|(_, requests)| requests).collect()
    }
}

impl Observer for Trace {
    const OWN: bool = false;
    type Block = BlockTrace;

    fn block(&self, block: [u32; 3]) -> BlockTrace {
        BlockTrace { number: number(block, self.grid), requests: Vec::new() }
    }

    fn finished(&self, block: BlockTrace) {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).push((block.number, block.requests));
    }
}

/// Records a block.
#[derive(Debug)]
pub struct BlockTrace {
    number: u64,
    requests: Vec<Request>,
}

impl BlockTrace {
    fn add(&mut self, access: &Access<'_>, write: bool) {
        self.requests.extend(Lines::of(access).iter().map(|(line, sectors)| Request::new(line, sectors, write)));
    }
}

impl BlockObserver for BlockTrace {
    fn access(&mut self, access: Access<'_>) {
        if access.memory != Memory::Global {
            return;
        }
        if access.kind != AccessKind::Write {
            self.add(&access, false);
        }
        if access.kind != AccessKind::Read {
            self.add(&access, true);
        }
    }
}
