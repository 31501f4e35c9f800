//! A kernel's skeleton: what decides its way and its addresses, and nothing else.
//!
//! Counting what a kernel asks for needs none of the numbers that it computes. Going backwards from branches, guards,
//! barriers and addresses, an instruction stays when somebody wants what it writes. The others become [`Op::Nop`], and
//! accesses whose data nobody wants become [`Op::Touch`].
//!
//! Sums are not formed: where one decides (whether `tanh` takes its series), a multiply-add gives zero. A skeleton never
//! writes to global memory. Where a loaded value decides (the largest of a pool, a label), it is what
//! memory holds before the launch; an atomic whose old value decides gives that and changes nothing. Stores to the
//! block's or the thread's own memory stay where a value from there decides, asynchronous copies do not: a load that
//! decides by what one brought is found to read what nobody wrote, and the launch fails.

use super::Graph;
use super::rows::Set;
use crate::ptx::{Area, Facts, Inst, Mma, Op, Slot};

/// The code of the skeleton; instructions keep their places.
pub(crate) fn skeleton(graph: &Graph, facts: &[Facts], code: &[Inst]) -> Vec<Inst> {
    let mut search = Search { graph, facts, code, keeps_own: false };
    let mut wanted = search.wanted();
    let decides = |at: usize| wanted[at] && reads_own(&code[at].op);
    if (0..code.len()).any(decides) {
        search.keeps_own = true;
        wanted = search.wanted();
    }
    let op = |at: usize| match &code[at].op {
        op if search.stays(op) => op.clone(),
        // The old value, for who wants it.
        Op::Atom { addr, wide, d, .. } if wanted[at] => {
            let slot = d.map_or(Slot::None, |d| if *wide { Slot::W64(d) } else { Slot::W32(d) });
            let d = [slot, Slot::None, Slot::None, Slot::None];
            Op::Ld { addr: *addr, bytes: if *wide { 8 } else { 4 }, signed: false, strong: true, n: 1, d }
        }
        Op::Fma { d, .. } if wanted[at] => Op::Zero { d: [*d; 4], n: 1 },
        Op::Mma(mma) if wanted[at] => {
            let Mma { d, .. } = **mma;
            Op::Zero { d, n: 4 }
        }
        op if wanted[at] => op.clone(),
        op @ Op::Ld { addr, .. } if addr.area != Area::Param => Op::Touch(Box::new(op.clone())),
        op @ (Op::St { .. } | Op::Atom { .. } | Op::CpAsync { .. } | Op::LdMatrix { .. }) => {
            Op::Touch(Box::new(op.clone()))
        }
        _ => Op::Nop,
    };
    code.iter().enumerate().map(|(at, inst)| Inst { op: op(at), ..inst.clone() }).collect()
}

fn reads_own(op: &Op) -> bool {
    match op {
        Op::Ld { addr, .. } | Op::Atom { addr, .. } => matches!(addr.area, Area::Shared | Area::Local),
        Op::LdMatrix { .. } => true,
        _ => false,
    }
}

struct Search<'a> {
    graph: &'a Graph,
    facts: &'a [Facts],
    code: &'a [Inst],
    /// Whether values from shared or local memory decide anything.
    keeps_own: bool,
}

impl Search<'_> {
    /// Instructions that stay as they are, whether or not somebody wants what they write.
    fn stays(&self, op: &Op) -> bool {
        match op {
            Op::Bra { .. } | Op::Exit | Op::Trap | Op::Bar { .. } | Op::BarWarp { .. } | Op::Fence => true,
            Op::St { addr, .. } | Op::Atom { addr, .. } => {
                self.keeps_own && matches!(addr.area, Area::Shared | Area::Local)
            }
            _ => false,
        }
    }

    /// For each instruction, whether somebody wants what it writes.
    fn wanted(&self) -> Vec<bool> {
        let registers = self.facts.iter().flat_map(|fact| fact.defs.iter().chain(&fact.uses).chain(&fact.guard));
        let empty = Set::new(registers.map(|reg| reg.id as usize + 1).max().unwrap_or(0));
        let mut at_start = vec![empty.clone(); self.graph.blocks.len() + 1];
        let mut wanted = vec![false; self.code.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (index, block) in self.graph.blocks.iter().enumerate().rev() {
                let mut set = empty.clone();
                block.next.iter().for_each(|&next| set.insert_all(&at_start[next]));
                for at in (block.start..block.end).rev() {
                    wanted[at] = self.step(at, &mut set);
                }
                changed |= set != at_start[index];
                at_start[index] = set;
            }
        }
        wanted
    }

    /// What is wanted before an instruction, from what is wanted after it; true when that is something it writes.
    fn step(&self, at: usize, set: &mut Set) -> bool {
        let (fact, inst) = (&self.facts[at], &self.code[at]);
        let wanted = fact.defs.iter().any(|reg| set.contains(reg.id as usize));
        if inst.guard.is_none() {
            fact.defs.iter().for_each(|reg| set.remove(reg.id as usize));
        }
        let uses = match inst.op {
            // All of them say which bytes.
            Op::CpAsync { .. } => &fact.uses,
            Op::Fma { .. } | Op::Mma(_) => &fact.addresses,
            _ if wanted || self.stays(&inst.op) => &fact.uses,
            _ => &fact.addresses,
        };
        uses.iter().chain(&fact.guard).for_each(|reg| set.insert(reg.id as usize));
        wanted
    }
}

#[cfg(test)]
mod tests {
    use crate::ptx::{Module, Op};

    /// The opcodes of a kernel's skeleton, `-` for what is gone and `?` before what moves nothing.
    fn skeleton(body: &str) -> String {
        let source = format!(
            ".version 7.0 .target sm_80 .address_size 64 .visible .entry k(.param .u64 x) {{
             .reg .pred %p<4>; .reg .b32 %r<16>; .reg .f32 %f<16>; .reg .b64 %rd<16>; .shared .b32 s[32];
             ld.param.u64 %rd1, [x]; {body} ret; }}"
        );
        let module = Module::parse(&source).unwrap();
        let kernel = &module.kernels[0];
        let code = &kernel.skeleton().code;
        let words = code.iter().zip(&kernel.texts).map(|(inst, text)| match inst.op {
            Op::Nop => "-".to_string(),
            Op::Touch(_) => format!("?{}", text.split('.').next().unwrap_or_default()),
            _ => text.split('.').next().unwrap_or_default().to_string(),
        });
        words.skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_go_and_addresses_stay() {
        let body = "mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd2, %rd1, %rd2;
                    ld.global.f32 %f1, [%rd2]; fma.rn.f32 %f2, %f1, %f1, %f1; st.global.f32 [%rd2], %f2;";
        assert_eq!(skeleton(body), "mov mul add ?ld - ?st ret");
    }

    #[test]
    fn a_value_that_decides_stays_with_all_that_it_comes_from() {
        let body = "ld.global.u32 %r1, [%rd1]; add.u32 %r1, %r1, 1; st.shared.u32 [s], %r1; bar.sync 0;
                    ld.shared.u32 %r2, [s]; ld.shared.u32 %r3, [s+4]; setp.eq.u32 %p1, %r2, 7; @%p1 bra END;
                    st.global.u32 [%rd1], %r3; END:";
        assert_eq!(skeleton(body), "ld add st bar ld ?ld setp bra ?st ret");
    }

    #[test]
    fn a_loop_counts_and_computes_nothing() {
        let body = "mov.u32 %r1, 8; mov.f32 %f1, 0f00000000; L: add.f32 %f1, %f1, %f1; sub.u32 %r1, %r1, 1;
                    setp.ne.u32 %p1, %r1, 0; @%p1 bra L; st.global.f32 [%rd1], %f1;";
        assert_eq!(skeleton(body), "mov - - sub setp bra ?st ret");
    }

    #[test]
    fn a_sum_that_decides_is_zero() {
        let body = "ld.global.f32 %f1, [%rd1]; fma.rn.f32 %f2, %f1, %f1, %f1; setp.lt.f32 %p1, %f2, 0f00000000;
                    @%p1 bra END; st.global.f32 [%rd1], %f2; END:";
        assert_eq!(skeleton(body), "?ld fma setp bra ?st ret");
    }

    #[test]
    fn an_old_value_is_only_read() {
        let body = "atom.global.add.u32 %r1, [%rd1], 1; setp.eq.u32 %p1, %r1, 3; @%p1 bra END;
                    red.global.add.u32 [%rd1], 1; END:";
        assert_eq!(skeleton(body), "atom setp bra ?red ret");
    }
}
