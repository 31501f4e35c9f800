//! Registers that are read although no path of the program wrote them.
//!
//! It asks for one path that writes, not for all: compilers leave a register unwritten on a path that does not need
//! its value. A guarded write counts as one, so a write and a read under the same guard are right.

use super::Graph;
use super::rows::Set;
use crate::ptx::Facts;

/// For each instruction, whether it reads a register that nothing before it writes on any path.
pub(crate) fn reads_unwritten(graph: &Graph, facts: &[Facts], registers: u32) -> Vec<bool> {
    let empty = Set::new(registers as usize);
    // What may have been written when a block starts.
    let mut written = vec![empty; graph.blocks.len() + 1];
    let mut changed = true;
    while changed {
        changed = false;
        for (index, block) in graph.blocks.iter().enumerate() {
            let mut set = written[index].clone();
            for reg in facts[block.start..block.end].iter().flat_map(|fact| &fact.defs) {
                set.insert(reg.id as usize);
            }
            for &next in &block.next {
                let before = written[next].clone();
                written[next].insert_all(&set);
                changed |= written[next] != before;
            }
        }
    }
    let mut out = vec![false; facts.len()];
    for (block, mut set) in graph.blocks.iter().zip(written) {
        for at in block.start..block.end {
            out[at] = facts[at].uses.iter().chain(&facts[at].guard).any(|reg| !set.contains(reg.id as usize));
            facts[at].defs.iter().for_each(|reg| set.insert(reg.id as usize));
        }
    }
    out
}
