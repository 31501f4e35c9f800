//! The uniformity rule: what all threads of a warp must do together stands under no thread-dependent branch.
//!
//! Compilers that do not know that an instruction is convergent copy it into both arms of a branch, and the kernel
//! hangs or computes with half a warp. The rule finds this in the PTX: values that depend on `%tid`, `%laneid` or a
//! load are tainted, and so is what is assigned between a tainted branch and the point where its arms meet. Branches
//! to `trap` are exempt. `shfl.idx` with an untainted lane, votes and `redux` give every lane the same value. Loads
//! from parameters are uniform.
//!
//! Taint sticks to a register wherever it is assigned, as compilers' PTX assigns most registers once. The rule is about warps: a branch that differs between warps, but not within one, is tainted all the same when it
//! comes from `%tid`; make such a value uniform by `shfl.sync.idx`.

use crate::ptx::{Area, Kernel, Op, ShflMode};

use super::Graph;

/// An instruction for the whole warp under a condition that differs between its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Kernel.
    pub kernel: String,
    /// Line of the instruction in the PTX.
    pub line: u32,
    /// The instruction's opcode.
    pub instruction: String,
    /// Line of the branch at fault, or the instruction's own line when its guard is.
    pub branch: u32,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Divergence { kernel, line, instruction, branch } = self;
        write!(f, "{kernel}, line {line}: {instruction} under the thread-dependent condition of line {branch}")
    }
}

/// All places of a kernel that break the rule, in order of the code.
pub fn divergences(kernel: &Kernel) -> Vec<Divergence> {
    let graph = Graph::new(&kernel.code);
    let registers = kernel.facts.iter().flat_map(|f| f.defs.iter().chain(&f.uses).chain(&f.guard));
    let mut taint = vec![false; registers.map(|reg| reg.id as usize + 1).max().unwrap_or(0)];
    // For each block, the last instruction of a block whose branch divides the lanes that run it.
    let mut fault: Vec<Option<usize>> = vec![None; graph.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (index, block) in graph.blocks.iter().enumerate() {
            let last = block.end - 1;
            let guard = kernel.facts[last].guard.is_some_and(|reg| taint[reg.id as usize]);
            if guard && matches!(kernel.code[last].op, Op::Bra { .. }) && graph.forks(index) {
                for inside in graph.between(index) {
                    if fault[inside].is_none() {
                        fault[inside] = Some(last);
                        changed = true;
                    }
                }
            }
        }
        for (index, block) in graph.blocks.iter().enumerate() {
            for at in block.start..block.end {
                let facts = &kernel.facts[at];
                let tainted = |reg: &crate::ptx::Reg| taint[reg.id as usize];
                let source = facts.specials.iter().any(|s| s.varies_in_warp()) || facts.uses.iter().any(tainted);
                let varies = match kernel.code[at].op {
                    Op::Shfl { mode: ShflMode::Idx, .. } => lane_varies(facts, &taint),
                    Op::Vote { .. } | Op::Redux { .. } | Op::Bar { .. } => false,
                    Op::Ld { addr, .. } => addr.area != Area::Param || source,
                    Op::Atom { .. } | Op::LdMatrix { .. } | Op::Mma(_) | Op::ActiveMask { .. } => true,
                    _ => source,
                };
                if varies || fault[index].is_some() || facts.guard.as_ref().is_some_and(tainted) {
                    for reg in &facts.defs {
                        changed |= !std::mem::replace(&mut taint[reg.id as usize], true);
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    for (index, block) in graph.blocks.iter().enumerate() {
        for at in block.start..block.end {
            let inst = &kernel.code[at];
            let guard = kernel.facts[at].guard.filter(|reg| taint[reg.id as usize]).map(|_| at);
            if let (true, Some(branch)) = (inst.op.warp_wide(), guard.or(fault[index])) {
                out.push(Divergence {
                    kernel: kernel.name.clone(),
                    line: inst.line,
                    instruction: kernel.texts[at].clone(),
                    branch: kernel.code[branch].line,
                });
            }
        }
    }
    out
}

/// Whether the lane that a `shfl.idx` reads differs between threads: its sources are value, lane, clamp and mask.
fn lane_varies(facts: &crate::ptx::Facts, taint: &[bool]) -> bool {
    // A number leaves no trace in the facts, so with a lane given as a number the only use is the value itself.
    facts.uses.iter().skip(1).any(|reg| taint[reg.id as usize])
}
