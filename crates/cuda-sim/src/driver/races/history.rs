//! Who touched which bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::clocks::{Known, Stamp};

/// An operation that has run.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) stamp: Stamp,
    pub(super) what: String,
}

/// What was done to some bytes: the last write, and the reads since that are not ordered among each other.
#[derive(Debug, Clone)]
struct Span {
    end: u64,
    writer: Option<Arc<Party>>,
    readers: Vec<Arc<Party>>,
}

/// Two operations on the same bytes that nothing orders.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) other: Arc<Party>,
    pub(super) other_wrote: bool,
    pub(super) range: Range<u64>,
}

/// Spans by their starts. They do not overlap.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<u64, Span>);

impl Span {
    fn conflict(&self, writes: bool, known: &Known) -> Option<(&Arc<Party>, bool)> {
        let writer = self.writer.iter().map(|party| (party, true));
        let readers = self.readers.iter().filter(|_| writes).map(|party| (party, false));
        writer.chain(readers).find(|(party, _)| !known.has(party.stamp))
    }
}

impl History {
    /// Whether an access races with what was done before, by one who knows what `known` says.
    pub(super) fn conflict(&self, range: Range<u64>, writes: bool, known: &Known) -> Option<Conflict> {
        let before = self.0.range(..range.start).next_back().filter(|(_, span)| span.end > range.start);
        before.into_iter().chain(self.0.range(range.clone())).find_map(|(&start, span)| {
            let (other, other_wrote) = span.conflict(writes, known)?;
            let range = start.max(range.start)..span.end.min(range.end);
            Some(Conflict { other: other.clone(), other_wrote, range })
        })
    }

    /// Remembers an access.
    pub(super) fn record(&mut self, range: Range<u64>, writes: bool, by: &Arc<Party>, known: &Known) {
        if range.is_empty() {
            return;
        }
        if writes {
            self.forget(range.clone());
            self.0.insert(range.start, Span { end: range.end, writer: Some(by.clone()), readers: Vec::new() });
            return;
        }
        self.split(range.start);
        self.split(range.end);
        let (mut at, mut gaps) = (range.start, Vec::new());
        for (&start, span) in self.0.range_mut(range.clone()) {
            gaps.push(at..start);
            at = span.end;
            // Who races with a reader that this one comes after races with this one, too.
            span.readers.retain(|reader| !known.has(reader.stamp));
            span.readers.push(by.clone());
        }
        gaps.push(at..range.end);
        for gap in gaps.into_iter().filter(|gap| !gap.is_empty()) {
            self.0.insert(gap.start, Span { end: gap.end, writer: None, readers: vec![by.clone()] });
        }
    }

    /// Nobody can touch these bytes any more.
    pub(super) fn forget(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.0.range(range).map(|(start, _)| *start).collect();
        starts.iter().for_each(|start| drop(self.0.remove(start)));
    }

    /// No span lies on both sides of `at`.
    fn split(&mut self, at: u64) {
        if let Some((_, span)) = self.0.range_mut(..at).next_back()
            && span.end > at
        {
            let right = span.clone();
            span.end = at;
            self.0.insert(at, right);
        }
    }
}
