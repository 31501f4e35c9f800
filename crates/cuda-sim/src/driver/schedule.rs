//! Operations that wait to run, and who goes next.
//!
//! An operation names those it comes after; stream order, events, the legacy stream and graphs are all turned into
//! such names when the operation is given.

use std::collections::{BTreeMap, BTreeSet};

use super::operation::Work;
use super::options::Schedule;

/// Number of an operation, in the order of calls.
pub(super) type Id = u64;

/// Something that a context does later.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) context: u64,
    /// The stream that was given it, or its graph.
    pub(super) stream: u64,
    /// What has to be done before. Those that are not pending are done.
    pub(super) after: Vec<Id>,
    pub(super) work: Work,
}

/// What is not done yet.
#[derive(Debug)]
pub(super) struct Queue {
    schedule: Schedule,
    random: Random,
    next: Id,
    pending: BTreeMap<Id, Operation>,
    /// Contexts of which nothing runs any more.
    silent: BTreeSet<u64>,
}

impl Queue {
    pub(super) fn new(schedule: Schedule, seed: u64) -> Queue {
        Queue { schedule, random: Random(seed), next: 1, pending: BTreeMap::new(), silent: BTreeSet::new() }
    }

    /// Goes on in other orders.
    pub(super) fn reseed(&mut self, schedule: Schedule, seed: u64) {
        (self.schedule, self.random) = (schedule, Random(seed));
    }

    pub(super) fn push(&mut self, operation: Operation) -> Id {
        self.next += 1;
        self.pending.insert(self.next, operation);
        self.next
    }

    pub(super) fn is_pending(&self, id: Id) -> bool {
        self.pending.contains_key(&id)
    }

    /// Puts an operation back, and lets nothing of its context run any more.
    pub(super) fn silence(&mut self, id: Id, operation: Operation) {
        self.silent.insert(operation.context);
        self.pending.insert(id, operation);
    }

    /// Lets all contexts run again; gives those that did not.
    pub(super) fn end_silence(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.silent)
    }

    /// Takes the operation that runs next so that `targets` get done; none when they are, or wait for a silent context.
    pub(super) fn take(&mut self, targets: &[Id]) -> Option<(Id, Operation)> {
        let needed = self.needed(targets);
        if needed.is_empty() {
            return None;
        }
        let is_ready = |id: &Id| {
            let Operation { context, after, .. } = &self.pending[id];
            !self.silent.contains(context) && after.iter().all(|before| !self.is_pending(*before))
        };
        let ready: Vec<Id> = match self.schedule {
            Schedule::Late => needed.into_iter().filter(is_ready).collect(),
            Schedule::Random => self.pending.keys().copied().filter(is_ready).collect(),
            Schedule::Eager => self.pending.keys().copied().filter(is_ready).take(1).collect(),
        };
        // An operation comes after earlier ones only, so the earliest is ready unless it is silent.
        if ready.is_empty() {
            return None;
        }
        let chosen = ready[self.random.below(ready.len())];
        Some((chosen, self.pending.remove(&chosen)?))
    }

    /// The pending ones among `targets` and all that they come after.
    fn needed(&self, targets: &[Id]) -> BTreeSet<Id> {
        let mut needed = BTreeSet::new();
        let mut left = targets.to_vec();
        while let Some(id) = left.pop() {
            if let Some(operation) = self.pending.get(&id)
                && needed.insert(id)
            {
                left.extend(&operation.after);
            }
        }
        needed
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % n as u64) as usize
    }
}
