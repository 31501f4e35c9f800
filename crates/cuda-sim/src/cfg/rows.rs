//! Which registers may share a row of the register file.
//!
//! Compilers write PTX with a register per value: thousands of them, few alive at once. A linear scan over the
//! stretches of code in which each register is alive gives rows; a register keeps its row for the whole of its life.
//! Divergence does not matter: lanes own their part of a row, and each lane's path is a path of the graph.

use super::Graph;
use crate::ptx::Facts;

/// For each register the number of its row among the rows of its width; registers with one number share.
pub(crate) fn share_rows(graph: &Graph, facts: &[Facts], registers: u32) -> Vec<u32> {
    let n = registers as usize;
    let mut first = vec![usize::MAX; n];
    let mut last = vec![0; n];
    let mut class = vec![0u8; n];
    for (at, fact) in facts.iter().enumerate() {
        for reg in fact.defs.iter().chain(&fact.uses).chain(&fact.guard) {
            let id = reg.id as usize;
            first[id] = first[id].min(at);
            last[id] = last[id].max(at);
            class[id] = match reg.width {
                crate::ptx::Width::Pred => 2,
                crate::ptx::Width::W64 => 1,
                _ => 0,
            };
        }
    }
    let live = live_at_start(graph, facts, n);
    for (block, live) in graph.blocks.iter().zip(&live) {
        for id in live.ones() {
            first[id] = first[id].min(block.start);
            last[id] = last[id].max(block.start);
        }
    }
    // Alive at the end of a block: alive at the start of a successor.
    for block in &graph.blocks {
        for next in block.next.iter().filter(|&&next| next < graph.blocks.len()) {
            for id in live[*next].ones() {
                first[id] = first[id].min(block.end - 1);
                last[id] = last[id].max(block.end - 1);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).filter(|&id| first[id] != usize::MAX).collect();
    order.sort_by_key(|&id| first[id]);
    let mut rows: [Vec<usize>; 3] = Default::default();
    let mut out: Vec<u32> = (0..registers).collect();
    for id in order {
        // Ends of the lives of the rows handed out so far; a row is free when that is behind.
        let ends = &mut rows[usize::from(class[id])];
        let row = ends.iter().position(|&end| end < first[id]).unwrap_or_else(|| {
            ends.push(0);
            ends.len() - 1
        });
        ends[row] = last[id];
        out[id] = row as u32;
    }
    out
}

/// A set of registers.
#[derive(Clone, PartialEq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    pub(super) fn new(registers: usize) -> Set {
        Set(vec![0; registers.div_ceil(64)])
    }

    pub(super) fn contains(&self, id: usize) -> bool {
        self.0[id / 64] >> (id % 64) & 1 == 1
    }

    pub(super) fn insert_all(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn insert(&mut self, id: usize) {
        self.0[id / 64] |= 1 << (id % 64);
    }

    pub(super) fn remove(&mut self, id: usize) {
        self.0[id / 64] &= !(1 << (id % 64));
    }

    fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(word, &bits)| (0..64).filter(move |b| bits >> b & 1 == 1).map(move |b| word * 64 + b))
    }
}

fn live_at_start(graph: &Graph, facts: &[Facts], registers: usize) -> Vec<Set> {
    let empty = Set::new(registers);
    let mut live = vec![empty.clone(); graph.blocks.len() + 1];
    let mut changed = true;
    while changed {
        changed = false;
        for (index, block) in graph.blocks.iter().enumerate().rev() {
            let mut set = empty.clone();
            for &next in &block.next {
                set.insert_all(&live[next]);
            }
            for fact in facts[block.start..block.end].iter().rev() {
                // A guarded write leaves the old value in some lanes.
                if fact.guard.is_none() {
                    fact.defs.iter().for_each(|reg| set.remove(reg.id as usize));
                }
                fact.uses.iter().chain(&fact.guard).for_each(|reg| set.insert(reg.id as usize));
            }
            if set != live[index] {
                live[index] = set;
                changed = true;
            }
        }
    }
    live
}
