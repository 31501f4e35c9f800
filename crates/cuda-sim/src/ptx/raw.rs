//! What the parser hands to the decoder: instructions as written, names resolved to registers.

use super::{Bounds, Param, Variable};

/// Width of a register as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Width {
    Pred,
    W16,
    W32,
    W64,
}

/// A declared register: its width and its number among all registers of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reg {
    pub(crate) width: Width,
    pub(crate) id: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Reg(Reg),
    /// `!%p`
    NotReg(Reg),
    /// A special register or the name of a variable, parameter or label.
    Name(String),
    Int(i128),
    F32(u32),
    F64(u64),
    Vector(Vec<Operand>),
    /// `[base + offset]`
    Address(Box<Option<Operand>>, i64),
    /// `d|p`
    Pair(Box<Operand>, Box<Operand>),
    /// `_`
    Sink,
}

#[derive(Debug, Clone)]
pub(crate) struct RawInst {
    pub(crate) line: u32,
    pub(crate) guard: Option<(Reg, bool)>,
    pub(crate) opcode: String,
    pub(crate) operands: Vec<Operand>,
    /// Scope it stands in, to find labels.
    pub(crate) scope: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RawKernel {
    pub(crate) name: String,
    pub(crate) params: Vec<Param>,
    pub(crate) param_bytes: usize,
    pub(crate) bounds: Bounds,
    pub(crate) variables: Vec<Variable>,
    pub(crate) code: Vec<RawInst>,
    /// (scope, name) to the instruction that follows.
    pub(crate) labels: Vec<(usize, String, usize)>,
    /// Parent of each scope; scope 0 is the body and its own parent.
    pub(crate) scopes: Vec<usize>,
    pub(crate) registers: u32,
}

impl RawKernel {
    /// The instruction that `label` names, seen from `scope`.
    pub(crate) fn target(&self, mut scope: usize, label: &str) -> Option<usize> {
        loop {
            if let Some(found) = self.labels.iter().find(|(s, name, _)| *s == scope && name == label) {
                return Some(found.2);
            }
            if scope == 0 {
                return None;
            }
            scope = self.scopes[scope];
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct RawModule {
    pub(crate) version: (u32, u32),
    pub(crate) target: String,
    pub(crate) variables: Vec<Variable>,
    pub(crate) kernels: Vec<RawKernel>,
}
