//! Raw instructions to [`Op`]s.
//!
//! Code is decoded twice: first each register has a row of its own, which tells what every instruction reads and
//! writes; then registers that are never alive together share rows, so that the files of a warp stay in cache.

mod arithmetic;
mod context;
mod convert;
mod memory;
mod warp;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::raw::{RawInst, RawKernel};
use super::{Facts, Inst, Kernel, Op, PtxError, Space, Variable};
use crate::cfg;
use context::{Alloc, Context, Symbol};

/// Decodes a kernel; `shared` and `variables` are those of the module.
pub(crate) fn kernel(
    raw: RawKernel,
    shared: &HashMap<String, Variable>,
    variables: &[Variable],
) -> Result<Kernel, PtxError> {
    let mut symbols: HashMap<String, Symbol> = HashMap::new();
    for (index, variable) in variables.iter().enumerate() {
        symbols.insert(variable.name.clone(), Symbol::Variable(index));
    }
    for param in &raw.params {
        symbols.insert(param.name.clone(), Symbol::Param(param.offset));
    }
    let (mut shared_bytes, mut local_bytes, mut dynamic) = (0usize, 0usize, Vec::new());
    let mut used: Vec<&Variable> = names(&raw.code).filter_map(|name| shared.get(name)).collect();
    used.sort_by(|a, b| a.name.cmp(&b.name));
    used.dedup_by(|a, b| a.name == b.name);
    for variable in raw.variables.iter().chain(used) {
        let end = if variable.space == Space::Local { &mut local_bytes } else { &mut shared_bytes };
        if variable.bytes == 0 {
            dynamic.push(variable);
            continue;
        }
        let offset = end.next_multiple_of(variable.align);
        *end = offset + variable.bytes;
        let symbol = if variable.space == Space::Local { Symbol::Local(offset) } else { Symbol::Shared(offset) };
        symbols.insert(variable.name.clone(), symbol);
    }
    // The dynamic array starts where its strictest declaration allows; all declarations name the same bytes.
    let align = dynamic.iter().map(|variable| variable.align).max().unwrap_or(1);
    shared_bytes = shared_bytes.next_multiple_of(align);
    for variable in dynamic {
        symbols.insert(variable.name.clone(), Symbol::Shared(shared_bytes));
    }

    let identity: Vec<u32> = (0..raw.registers).collect();
    let (_, facts, first) = code(&raw, &symbols, Alloc::new(identity))?;
    let graph = cfg::Graph::new(&first);
    let sharing = cfg::share_rows(&graph, &facts, raw.registers);
    let (files, facts, mut code) = code(&raw, &symbols, Alloc::new(sharing))?;
    for (inst, undefined) in code.iter_mut().zip(cfg::reads_unwritten(&graph, &facts, raw.registers)) {
        inst.undefined = undefined;
    }
    let texts = raw.code.iter().map(|inst| inst.opcode.clone()).collect();
    let meet = graph.meeting_points();
    Ok(Kernel {
        name: raw.name,
        params: raw.params,
        param_bytes: raw.param_bytes,
        bounds: raw.bounds,
        shared_bytes,
        local_bytes,
        code,
        facts,
        texts,
        files,
        meet,
        skeleton: OnceLock::new(),
    })
}

type Decoded = (super::Files, Vec<Facts>, Vec<Inst>);

fn code(raw: &RawKernel, symbols: &HashMap<String, Symbol>, mut alloc: Alloc) -> Result<Decoded, PtxError> {
    let mut facts = Vec::with_capacity(raw.code.len());
    let mut code = Vec::with_capacity(raw.code.len());
    for inst in &raw.code {
        let mut context = Context::new(raw, inst, symbols, &mut alloc);
        let guard = context.guard()?;
        let op = instruction(&mut context)?;
        facts.push(context.facts);
        code.push(Inst { op, guard, line: inst.line, undefined: false });
    }
    Ok((alloc.finish(&raw.name)?, facts, code))
}

fn names(code: &[RawInst]) -> impl Iterator<Item = &str> {
    fn collect<'a>(operand: &'a super::raw::Operand, out: &mut Vec<&'a str>) {
        use super::raw::Operand;
        match operand {
            Operand::Name(name) => out.push(name),
            Operand::Vector(items) => items.iter().for_each(|item| collect(item, out)),
            Operand::Address(base, _) => base.iter().for_each(|item| collect(item, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    code.iter().flat_map(|inst| &inst.operands).for_each(|operand| collect(operand, &mut out));
    out.into_iter()
}

fn instruction(c: &mut Context<'_>) -> Result<Op, PtxError> {
    let name = c.name();
    match name {
        "add" | "sub" | "mul" | "mul24" | "mad" | "fma" | "div" | "rem" | "min" | "max" | "and" | "or" | "xor"
        | "not" | "cnot" | "neg" | "abs" | "shl" | "shr" | "shf" | "bfe" | "bfi" | "bfind" | "brev" | "popc"
        | "clz" | "prmt" | "lop3" | "sad" | "sqrt" | "rcp" | "rsqrt" | "ex2" | "lg2" | "sin" | "cos" | "tanh"
        | "copysign" => arithmetic::decode(c, name),
        "setp" | "selp" | "mov" | "cvt" | "cvta" => convert::decode(c, name),
        "ld" | "ldu" | "st" | "atom" | "red" | "cp" | "ldmatrix" | "prefetch" | "prefetchu" | "discard" => {
            memory::decode(c, name)
        }
        _ => warp::decode(c, name),
    }
}
