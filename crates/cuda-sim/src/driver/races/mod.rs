//! Races between operations: two on the same bytes, one of them writing, and nothing that orders them.
//!
//! Order is what the program asked for, by streams, events, graphs and waiting, not what happened: [`Clocks`] tells
//! which operations an operation comes after. So any schedule finds them, the one in the order of the calls, too. Every
//! byte of device and of pinned memory remembers its last write and the reads since ([`History`]); what a launch
//! touches is known when it has run, to the byte.
//!
//! - The host counts as one thread: when one of its threads has waited for something, all know that it is over.
//! - The host's own reads and writes of pinned memory are seen only where it passes the memory to a blocking call, and
//!   as a change of bytes that a copy uses ([`Watch`]). A read of what a copy has not brought yet is not seen; with the
//!   late schedule it finds the bytes of before.
//! - Atomics are writes here: launches that update one counter have to be ordered.
//! - A launch of more blocks than the interpreter's race checks tell apart touches nothing here.

mod clocks;
mod history;
mod host;

use std::ops::Range;
use std::sync::Arc;

use super::Driver;
use super::error::Code;
use super::pinned::HostBytes;
use super::schedule::Id;
use clocks::{Clocks, Known};
use history::{Conflict, History, Party};
use host::Watch;

/// What an operation did to some bytes.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// In pinned memory, not in a device's.
    pub(super) host: bool,
    pub(super) range: Range<u64>,
    pub(super) writes: bool,
}

impl Access {
    pub(super) fn device(at: u64, bytes: usize, writes: bool) -> Access {
        Access { host: false, range: at..at + bytes as u64, writes }
    }

    pub(super) fn host(bytes: &HostBytes, writes: bool) -> Access {
        Access { host: true, range: bytes.range(), writes }
    }
}

/// Order and accesses of all operations.
#[derive(Debug, Default)]
pub(super) struct Races {
    clocks: Clocks,
    device: History,
    host: History,
    watches: Vec<Watch>,
}

/// What an access races with.
type Found = (Access, Conflict);

impl Races {
    /// An operation is given, after others. Numbers only rise.
    pub(super) fn give(&mut self, id: Id, context: u64, after: &[Id]) {
        self.clocks.give(id, context, after);
    }

    /// Operations of a context that the host does not know to be over.
    pub(super) fn open(&self, context: u64) -> Vec<Id> {
        self.clocks.open(context).collect()
    }

    /// Copies that use host memory which overlaps `host` and that the host does not know to be over.
    pub(super) fn users(&self, host: &Range<u64>) -> usize {
        self.watches.iter().filter(|watch| watch.overlaps(host)).count()
    }

    /// Bytes that nobody can touch any more.
    pub(super) fn forget(&mut self, host: bool, range: Range<u64>) {
        if host { self.host.forget(range) } else { self.device.forget(range) }
    }

    fn conflict(&self, accesses: &[Access], known: &Known) -> Option<Found> {
        accesses.iter().find_map(|access| {
            let history = if access.host { &self.host } else { &self.device };
            let found = history.conflict(access.range.clone(), access.writes, known)?;
            Some((access.clone(), found))
        })
    }

    /// An operation has run.
    fn ran(&mut self, id: Id, what: &str, accesses: &[Access]) -> Option<Found> {
        let (stamp, known) = self.clocks.of(id)?;
        let found = self.conflict(accesses, known);
        let by = Arc::new(Party { stamp, what: what.to_string() });
        for Access { host, range, writes } in accesses {
            let history = if *host { &mut self.host } else { &mut self.device };
            history.record(range.clone(), *writes, &by, known);
        }
        found
    }
}

impl Driver {
    /// Waits for operations, as the host does: what they come after is over for all that is given later.
    pub(super) fn wait(&mut self, targets: &[Id]) {
        self.check_host(|clocks, watch| clocks.ends(watch.copy, targets));
        self.run(targets);
        self.races.clocks.waited(targets);
        self.races.watches.retain(|watch| self.races.clocks.of(watch.copy).is_some());
    }

    /// A copy is given that uses host memory: remembers how that looks.
    pub(super) fn watch(&mut self, copy: Id, context: u64, (host, writes): (HostBytes, bool), what: String) {
        let range = host.range();
        self.check_host(|_, watch| watch.overlaps(&range));
        self.races.watches.push(Watch::new(copy, context, host, writes, what));
    }

    /// A copy to or from host memory is about to run.
    pub(super) fn before_copy(&mut self, host: &Range<u64>) {
        self.check_host(|_, watch| watch.overlaps(host));
    }

    /// A copy may have changed host memory.
    pub(super) fn after_copy(&mut self, host: &Range<u64>) {
        self.races.watches.iter_mut().filter(|watch| watch.overlaps(host)).for_each(Watch::renew);
    }

    /// An operation has run: reports what it races with.
    pub(super) fn ran(&mut self, id: Id, context: u64, what: &str, accesses: &[Access]) {
        if let Some(found) = self.races.ran(id, what, accesses) {
            let does = if found.0.writes { "writes" } else { "reads" };
            self.race(context, &format!("{what} {does}"), found);
        }
    }

    /// A call reads pinned memory: no copy may still write it.
    pub(super) fn host_reads(&mut self, context: u64, call: &str, host: &Range<u64>) {
        let writer = self.races.watches.iter().find(|watch| watch.writes && watch.overlaps(host));
        if let Some(writer) = writer {
            let text = format!(
                "{call} reads pinned memory at {:#x} that {} writes, and nobody has waited for that",
                writer.host.range().start,
                writer.what
            );
            self.fail(context, text);
        }
    }

    /// Device memory is freed: whoever touched it must be over. What has not run yet will not find it.
    pub(super) fn host_frees(&mut self, context: u64, address: u64, bytes: usize) {
        let freed = Access::device(address, bytes, true);
        if let Some(found) = self.races.conflict(&[freed], self.races.clocks.host()) {
            self.race(context, "cuMemFree frees", found);
        }
    }

    /// Looks for a change of host memory under copies that `concerns` is about.
    fn check_host(&mut self, concerns: impl Fn(&Clocks, &Watch) -> bool) {
        let Races { clocks, watches, .. } = &mut self.races;
        let mut changed = watches.iter_mut().filter(|watch| concerns(clocks, watch) && watch.has_changed());
        let Some(watch) = changed.next() else { return };
        // It is said once.
        watch.renew();
        let text = format!(
            "the host wrote pinned memory at {:#x} that {} uses, and did not wait for it before",
            watch.host.range().start,
            watch.what
        );
        let context = watch.context;
        self.fail(context, text);
    }

    fn race(&mut self, context: u64, does: &str, (access, conflict): Found) {
        let did = if conflict.other_wrote { "wrote" } else { "read" };
        let place = self.place(access.host, &conflict.range);
        let other = &conflict.other.what;
        self.fail(
            context,
            format!("a race: {does} {place}, which {other} {did}, and no event, wait or stream orders the two"),
        );
    }

    /// Names bytes by their place in what was allocated.
    fn place(&self, host: bool, range: &Range<u64>) -> String {
        let allocation = match host {
            true => self.pinned.range(..=range.start).next_back().map(|(base, block)| (*base, block.bytes(), "pinned")),
            false => {
                let all = self.memory.allocations();
                let holds = |&(base, bytes, _): &(u64, usize, u32)| (base..base + bytes as u64).contains(&range.start);
                all.into_iter().find(holds).map(|(base, bytes, _)| (base, bytes, "device"))
            }
        };
        match allocation {
            Some((base, bytes, kind)) => format!(
                "bytes {}..{} of the {bytes} of {kind} memory at {base:#x}",
                range.start - base,
                range.end - base
            ),
            None => format!("bytes at {:#x}..{:#x}", range.start, range.end),
        }
    }

    /// Reports a finding that is not a kernel's own, and puts it on the context.
    pub(super) fn fail(&mut self, context: u64, text: String) {
        self.report(text);
        if let Some(context) = self.contexts.get_mut(&context) {
            context.fault.get_or_insert(Code::LAUNCH_FAILED);
        }
    }
}
