//! Races: two threads on the same bytes, one of them writing, and nothing that orders them.
//!
//! Every warp has a clock, which moves on at each barrier it comes to, and knows how far the clocks of the others had
//! come when it last met them ([`Clocks`]). Every word of shared memory and, for the length of a launch, of global
//! memory remembers its last write and up to two reads that are not ordered among each other ([`shadow`]). An access
//! is a race with a remembered one when its warp does not know that this is over.
//!
//! - Blocks of a launch are never ordered; a block that waits for another one by atomics or flags is a finding.
//! - Lanes of a warp are ordered by `bar.warp.sync` and by barriers, not by running together. `ldmatrix` reads for the
//!   whole warp, and is over when it has been executed.
//! - Atomics and volatile, relaxed, acquire and release accesses are no races among each other; what they order is not
//!   followed.
//! - The destination of an asynchronous copy is written when it is issued and again when it arrives. A store to it in
//!   between is a race whatever barriers there are.
//! - A bit of the mask of `bar.warp.sync` is not looked at: it orders the whole warp.

mod clocks;
mod shadow;

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering::SeqCst, fence};

use super::{Checked, Shared, fault};
use crate::finding::Problem;
use crate::memory::Snapshot;
use crate::observe::Step;
use clocks::Clocks;
use shadow::{Mark, Other, Shadow, Thread};

/// Blocks that marks can tell apart.
pub(crate) const MOST_BLOCKS: usize = (1 << 20) - 1;

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) writes: bool,
    /// No race with another access that is atomic.
    pub(crate) atomic: bool,
    /// By the warp as one, not by each lane.
    pub(crate) together: bool,
}

impl Deed {
    pub(crate) const READ: Deed = Deed { writes: false, atomic: false, together: false };
    pub(crate) const WRITE: Deed = Deed { writes: true, ..Deed::READ };
    pub(crate) const ATOMIC: Deed = Deed { writes: true, atomic: true, together: false };
    pub(crate) const MATRIX: Deed = Deed { together: true, ..Deed::READ };

    pub(crate) fn strong(self, strong: bool) -> Deed {
        Deed { atomic: self.atomic | strong, ..self }
    }
}

/// What a launch accessed in each allocation.
pub(crate) struct Accessed {
    allocations: Vec<OnceLock<Shadow>>,
    /// Address and bytes of each.
    places: Vec<(u64, usize)>,
}

impl Accessed {
    pub(crate) fn new(memory: &Snapshot) -> Accessed {
        let allocations = memory.live.iter().map(|_| OnceLock::new()).collect();
        Accessed {
            allocations,
            places: memory.live.iter().map(|allocation| (allocation.base, allocation.bytes)).collect(),
        }
    }

    /// The bytes that were read, and those that were written (true), as few ranges of each allocation.
    pub(crate) fn ranges(&self) -> Vec<(Range<u64>, bool)> {
        let mut ranges = Vec::new();
        for (shadow, (base, _)) in self.allocations.iter().zip(&self.places) {
            for writes in [false, true] {
                let touched = shadow.get().map_or_else(Vec::new, |shadow| shadow.touched(writes));
                ranges.extend(touched.into_iter().map(|range| (base + range.start..base + range.end, writes)));
            }
        }
        ranges
    }
}

/// What a block accessed in its own memory, and how far its warps are.
pub(crate) struct BlockRaces {
    clocks: Clocks,
    shared: Shadow,
    block: u32,
    /// Blocks that have used this memory, this one included.
    uses: u32,
}

impl BlockRaces {
    pub(crate) fn new(warps: usize, shared_bytes: usize) -> BlockRaces {
        BlockRaces { clocks: Clocks::new(warps), shared: Shadow::new(shared_bytes), block: 0, uses: 0 }
    }

    /// Another block starts, in the same memory.
    pub(crate) fn start(&mut self, block: u32) {
        self.clocks.start();
        self.block = block;
        self.uses += 1;
    }

    pub(crate) fn clocks(&mut self) -> &mut Clocks {
        &mut self.clocks
    }

    /// Remembers a read of `N` words of shared memory by the whole warp; `at` are offsets. False when it may be a race.
    pub(crate) fn reads<const N: usize>(&self, at: &[u32; 32], step: Step) -> bool {
        self.shared.read::<N>(self.by(Deed::READ, step), at)
    }

    /// Remembers an access to shared memory; `at` are offsets.
    pub(crate) fn shared(
        &self,
        launch: &Shared<'_>,
        at: &[u64; 32],
        bytes: u32,
        deed: Deed,
        step: Step,
    ) -> Checked<()> {
        let by = self.by(deed, step);
        match self.shared.touch(by, at, bytes, step.lanes) {
            Some((lane, other)) => report(launch, self.block, deed, lane, other),
            None => Ok(()),
        }
    }

    /// Remembers an access to allocation number `index`; `at` are offsets in it.
    #[allow(clippy::too_many_arguments, reason = "one access, in parts")]
    pub(crate) fn global(
        &self,
        launch: &Shared<'_>,
        index: usize,
        at: &[u64; 32],
        bytes: u32,
        deed: Deed,
        step: Step,
    ) -> Checked<()> {
        let Some(accessed) = &launch.races else { return Ok(()) };
        let shadow = accessed.allocations[index].get_or_init(|| Shadow::new(accessed.places[index].1));
        let by = self.by(deed, step);
        let by = Thread { mark: Mark::new(self.block, step, by.time(), deed), floor: 1, global: true, ..by };
        let mut found = shadow.record(by, at, bytes, step.lanes);
        // Of two blocks that do this at once, one sees what the other remembered.
        fence(SeqCst);
        found = found.or_else(|| shadow.conflict(by, at, bytes, step.lanes));
        match found {
            Some((lane, other)) => report(launch, other.mark.block(), deed, lane, other),
            None => Ok(()),
        }
    }

    /// A store to bytes to which an asynchronous copy is under way.
    pub(crate) fn overtakes(&self, launch: &Shared<'_>, offset: u64, lane: u32) -> Checked<()> {
        report(launch, self.block, Deed::WRITE, lane, self.shared.last_write(offset))
    }

    fn by(&self, deed: Deed, step: Step) -> Thread<'_> {
        let known = self.clocks.known(step.warp);
        let mark = Mark::new(self.uses, step, known[step.warp as usize], deed);
        Thread { mark, known, deed, floor: Mark::floor(self.uses, self.clocks.floor(step.warp)), global: false }
    }
}

/// The other side is in `block`.
fn report(launch: &Shared<'_>, block: u32, deed: Deed, lane: u32, other: Other) -> Checked<()> {
    let Other { mark: other, wrote } = other;
    let verb = |writes: bool, atomic: bool, both: [&'static str; 3]| both[if atomic { 2 } else { usize::from(writes) }];
    let does = verb(deed.writes, deed.atomic, ["reads", "writes", "updates"]);
    let did = verb(wrote, other.atomic(), ["read", "wrote", "updated"]);
    let line = launch.kernel.code.get(other.index()).map_or(0, |inst| inst.line);
    let (block, thread) = (launch.block(block), launch.thread(other.thread()));
    fault(Problem::Race { does, did, line, block, thread }, lane, None)
}
