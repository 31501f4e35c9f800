//! Basic blocks and post-dominators.

use crate::ptx::{Inst, Op};

/// A basic block: instructions `start..end` and the blocks that may follow.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) next: Vec<usize>,
    /// Ends in an unguarded `trap`: edges to it do not count for meeting points, because a launch that traps is over.
    traps: bool,
}

/// Blocks in order of the code; block `blocks.len()` is the exit.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) blocks: Vec<Block>,
    /// Immediate post-dominator of each block; the exit is `blocks.len()`.
    pub(crate) meet: Vec<usize>,
    instructions: usize,
}

impl Graph {
    pub(crate) fn new(code: &[Inst]) -> Graph {
        let mut leader = vec![false; code.len() + 1];
        leader[0] = true;
        for (at, inst) in code.iter().enumerate() {
            match inst.op {
                Op::Bra { target } => {
                    leader[target as usize] = true;
                    leader[at + 1] = true;
                }
                Op::Exit | Op::Trap => leader[at + 1] = true,
                _ => {}
            }
        }
        let starts: Vec<usize> = (0..code.len()).filter(|&at| leader[at]).collect();
        let block_at = |at: usize| starts.partition_point(|&start| start < at);
        let mut blocks = Vec::with_capacity(starts.len());
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(code.len());
            let last = &code[end - 1];
            let guarded = last.guard.is_some();
            let mut next = match last.op {
                Op::Bra { target } => vec![block_at(target as usize)],
                Op::Exit | Op::Trap if !guarded => vec![starts.len()],
                _ => vec![index + 1],
            };
            if matches!(last.op, Op::Bra { .. }) && guarded && !next.contains(&(index + 1)) {
                next.push(index + 1);
            }
            blocks.push(Block { start, end, next, traps: matches!(last.op, Op::Trap) && !guarded });
        }
        let meet = post_dominators(&blocks);
        Graph { blocks, meet, instructions: code.len() }
    }

    /// For each instruction, the instruction where lanes that part in its block meet again; `u32::MAX` where they
    /// meet only when they have ended.
    pub(crate) fn meeting_points(&self) -> Vec<u32> {
        let mut out = vec![u32::MAX; self.instructions];
        for (index, block) in self.blocks.iter().enumerate() {
            let point = self.blocks.get(self.meet[index]).map_or(u32::MAX, |meet| meet.start as u32);
            out[block.start..block.end].fill(point);
        }
        out
    }

    /// Blocks that lanes may run through between the end of `from` and the block where they meet again.
    pub(crate) fn between(&self, from: usize) -> Vec<usize> {
        let mut seen = vec![false; self.blocks.len() + 1];
        seen[self.meet[from]] = true;
        seen[self.blocks.len()] = true;
        let (mut open, mut out) = (self.blocks[from].next.clone(), Vec::new());
        while let Some(block) = open.pop() {
            if !std::mem::replace(&mut seen[block], true) && !self.blocks[block].traps {
                out.push(block);
                open.extend(&self.blocks[block].next);
            }
        }
        out
    }

    /// Whether blocks after `from` differ between lanes: it has two successors that do not trap.
    pub(crate) fn forks(&self, from: usize) -> bool {
        let lives = |&&next: &&usize| self.blocks.get(next).is_none_or(|block| !block.traps);
        self.blocks[from].next.iter().filter(lives).count() > 1
    }
}

/// Immediate post-dominators after Cooper, Harvey and Kennedy, on the reversed graph.
fn post_dominators(blocks: &[Block]) -> Vec<usize> {
    let exit = blocks.len();
    let next = |block: usize| {
        let all = &blocks[block].next;
        let lives: Vec<usize> = all.iter().copied().filter(|&n| n == exit || !blocks[n].traps).collect();
        if lives.is_empty() { all.clone() } else { lives }
    };
    let mut previous = vec![Vec::new(); exit + 1];
    for block in 0..exit {
        for n in next(block) {
            previous[n].push(block);
        }
    }
    // Depth-first post-order of the reversed graph, from the exit.
    let (mut order, mut seen, mut stack) = (Vec::new(), vec![false; exit + 1], vec![(exit, 0)]);
    seen[exit] = true;
    while let Some((block, child)) = stack.pop() {
        if let Some(&p) = previous[block].get(child) {
            stack.push((block, child + 1));
            if !std::mem::replace(&mut seen[p], true) {
                stack.push((p, 0));
            }
        } else {
            order.push(block);
        }
    }
    let mut rank = vec![usize::MAX; exit + 1];
    for (at, &block) in order.iter().enumerate() {
        rank[block] = at;
    }
    let mut dominator = vec![usize::MAX; exit + 1];
    dominator[exit] = exit;
    let mut changed = true;
    while changed {
        changed = false;
        for &block in order.iter().rev().filter(|&&block| block != exit) {
            let mut found = usize::MAX;
            for n in next(block).into_iter().filter(|&n| dominator[n] != usize::MAX) {
                if found == usize::MAX {
                    found = n;
                    continue;
                }
                let mut other = n;
                while found != other {
                    while rank[found] < rank[other] {
                        found = dominator[found];
                    }
                    while rank[other] < rank[found] {
                        other = dominator[other];
                    }
                }
            }
            if dominator[block] != found {
                dominator[block] = found;
                changed = true;
            }
        }
    }
    dominator.pop();
    // Blocks that never reach the exit (endless loops) meet nowhere.
    dominator.into_iter().map(|block| if block == usize::MAX { exit } else { block }).collect()
}
