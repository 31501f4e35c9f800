//! Vector clocks of operations and of the host.
//!
//! Operations stand on lines. Each comes after all that stand before it on its line, so what an operation comes after
//! is, for each line, the last operation that it knows to be over. An operation goes on any line whose last operation
//! it comes after; so there are never more lines than what was given can run at once.

use std::collections::HashMap;

use super::super::schedule::Id;

/// What is over: for each line the last operation, 0 for none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Vec<Id>);

/// An operation and its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    line: usize,
    id: Id,
}

impl Known {
    pub(super) fn has(&self, stamp: Stamp) -> bool {
        self.0.get(stamp.line).is_some_and(|&last| last >= stamp.id)
    }

    fn join(&mut self, other: &Known) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(last, &other)| *last = other.max(*last));
    }
}

/// An operation that the host does not know to be over.
#[derive(Debug)]
struct Given {
    context: u64,
    stamp: Stamp,
    /// What it comes after, and itself.
    known: Known,
}

/// The clocks of a machine. Threads of the host have one in common: what one of them waited for, all know.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The last operation of each line.
    lines: Vec<Id>,
    given: HashMap<Id, Given>,
    host: Known,
}

impl Clocks {
    /// An operation is given, after others and after what the host knows. Numbers only rise.
    pub(super) fn give(&mut self, id: Id, context: u64, after: &[Id]) {
        let mut known = self.host.clone();
        // One that is not here the host knows.
        after.iter().filter_map(|before| self.given.get(before)).for_each(|before| known.join(&before.known));
        known.0.resize(self.lines.len(), 0);
        let line = known.0.iter().zip(&self.lines).position(|(known, last)| known == last);
        let line = line.unwrap_or_else(|| {
            self.lines.push(0);
            known.0.push(0);
            self.lines.len() - 1
        });
        self.lines[line] = id;
        known.0[line] = id;
        self.given.insert(id, Given { context, stamp: Stamp { line, id }, known });
    }

    /// The stamp of an operation that the host does not know to be over, and what it knows.
    pub(super) fn of(&self, id: Id) -> Option<(Stamp, &Known)> {
        self.given.get(&id).map(|given| (given.stamp, &given.known))
    }

    pub(super) fn host(&self) -> &Known {
        &self.host
    }

    /// Operations of a context that the host does not know to be over.
    pub(super) fn open(&self, context: u64) -> impl Iterator<Item = Id> {
        self.given.iter().filter(move |(_, given)| given.context == context).map(|(id, _)| *id)
    }

    /// Whether the host knows `id` to be over when it has waited for `targets`.
    pub(super) fn ends(&self, id: Id, targets: &[Id]) -> bool {
        let Some(given) = self.given.get(&id) else { return true };
        targets.iter().filter_map(|target| self.given.get(target)).any(|target| target.known.has(given.stamp))
    }

    /// The host has waited.
    pub(super) fn waited(&mut self, targets: &[Id]) {
        for target in targets {
            if let Some(target) = self.given.get(target) {
                self.host.join(&target.known);
            }
        }
        let host = &self.host;
        self.given.retain(|_, given| !host.has(given.stamp));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_before(clocks: &Clocks, first: Id, second: Id) -> bool {
        clocks.of(second).unwrap().1.has(clocks.of(first).unwrap().0)
    }

    #[test]
    fn an_operation_knows_what_it_comes_after_and_no_more() {
        let mut clocks = Clocks::default();
        // 1 - 2 - 5
        //   \ 3 /   4
        for (id, after) in [(1, &[][..]), (2, &[1]), (3, &[1]), (4, &[]), (5, &[2, 3])] {
            clocks.give(id, 0, after);
        }
        let before: Vec<(Id, Id)> = (1..=5)
            .flat_map(|second| (1..second).map(move |first| (first, second)))
            .filter(|&(first, second)| is_before(&clocks, first, second))
            .collect();
        assert_eq!(before, [(1, 2), (1, 3), (1, 5), (2, 5), (3, 5)]);
        assert_eq!(clocks.lines.len(), 3, "three can run at once");
    }

    #[test]
    fn what_the_host_waited_for_is_known_to_all_that_is_given_later() {
        let mut clocks = Clocks::default();
        clocks.give(1, 7, &[]);
        clocks.give(2, 7, &[]);
        let first = clocks.of(1).unwrap().0;
        assert!(clocks.ends(1, &[1]) && !clocks.ends(2, &[1]));
        clocks.waited(&[1]);
        clocks.give(3, 7, &[]);
        assert!(clocks.of(3).unwrap().1.has(first) && clocks.host().has(first));
        assert!(!is_before(&clocks, 2, 3));
        let mut open: Vec<Id> = clocks.open(7).collect();
        open.sort_unstable();
        assert_eq!(open, [2, 3]);
    }
}
