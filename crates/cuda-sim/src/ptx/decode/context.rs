//! Operands of the instruction being decoded.

use std::collections::HashMap;

use crate::ptx::raw::{Operand, RawInst, RawKernel, Reg, Width};
use crate::ptx::types::{Const, Special, Ty};
use crate::ptx::{Addr, Area, Facts, Files, Guard, PtxError, R, Slot};

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Symbol {
    Shared(usize),
    Local(usize),
    Param(usize),
    Variable(usize),
}

/// Gives rows to registers and constants.
pub(crate) struct Alloc {
    /// Registers with the same number here share a row.
    sharing: Vec<u32>,
    rows: HashMap<(Width, u32), usize>,
    consts32: HashMap<Const, usize>,
    consts64: HashMap<Const, usize>,
    next: [usize; 3],
}

impl Alloc {
    pub(crate) fn new(sharing: Vec<u32>) -> Self {
        Alloc { sharing, rows: HashMap::new(), consts32: HashMap::new(), consts64: HashMap::new(), next: [0; 3] }
    }

    fn row(&mut self, reg: Reg) -> R {
        let (width, file) = match reg.width {
            Width::W16 | Width::W32 => (Width::W32, 0),
            Width::W64 => (Width::W64, 1),
            Width::Pred => (Width::Pred, 2),
        };
        let next = &mut self.next[file];
        let row = *self.rows.entry((width, self.sharing[reg.id as usize])).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        row as R
    }

    fn constant(&mut self, wide: bool, value: Const) -> R {
        let (table, next) = match wide {
            true => (&mut self.consts64, &mut self.next[1]),
            false => (&mut self.consts32, &mut self.next[0]),
        };
        let row = *table.entry(value).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        row as R
    }

    pub(crate) fn finish(self, kernel: &str) -> Result<Files, PtxError> {
        if let Some(rows) = self.next.iter().find(|&&rows| rows > usize::from(R::MAX)) {
            return Err(PtxError::TooLarge { kernel: kernel.into(), what: format!("{rows} registers and constants") });
        }
        let list = |table: HashMap<Const, usize>| table.into_iter().map(|(value, row)| (row as R, value)).collect();
        let [rows32, rows64, preds] = self.next;
        Ok(Files { rows32, rows64, preds, consts32: list(self.consts32), consts64: list(self.consts64) })
    }
}

/// The instruction being decoded: modifiers not yet understood, and its operands.
pub(crate) struct Context<'a> {
    kernel: &'a RawKernel,
    inst: &'a RawInst,
    symbols: &'a HashMap<String, Symbol>,
    alloc: &'a mut Alloc,
    parts: Vec<&'a str>,
    pub(crate) facts: Facts,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        kernel: &'a RawKernel,
        inst: &'a RawInst,
        symbols: &'a HashMap<String, Symbol>,
        alloc: &'a mut Alloc,
    ) -> Self {
        let parts = inst.opcode.split('.').skip(1).collect();
        Context { kernel, inst, symbols, alloc, parts, facts: Facts::default() }
    }

    /// The first word of the opcode.
    pub(crate) fn name(&self) -> &'a str {
        self.inst.opcode.split('.').next().unwrap_or_default()
    }

    /// An error about the instruction as a whole.
    pub(crate) fn unknown<T>(&self, what: impl Into<String>) -> Result<T, PtxError> {
        Err(PtxError::Instruction { line: self.inst.line, text: self.inst.opcode.clone(), what: what.into() })
    }

    fn bad<T>(&self, operand: usize, problem: impl Into<String>) -> Result<T, PtxError> {
        let text = self.inst.opcode.clone();
        Err(PtxError::Operand { line: self.inst.line, text, operand: operand + 1, problem: problem.into() })
    }

    /// Takes a modifier if it is there.
    pub(crate) fn take(&mut self, modifier: &str) -> bool {
        let found = self.parts.iter().position(|part| *part == modifier);
        found.map(|at| self.parts.remove(at)).is_some()
    }

    /// Whether a modifier is there.
    pub(crate) fn has(&self, modifier: &str) -> bool {
        self.parts.contains(&modifier)
    }

    /// Takes the first modifier that `parse` understands.
    pub(crate) fn take_map<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (at, value) = self.parts.iter().enumerate().find_map(|(at, part)| Some((at, parse(part)?)))?;
        self.parts.remove(at);
        Some(value)
    }

    /// Takes the last part, which is the type.
    pub(crate) fn ty(&mut self) -> Result<Ty, PtxError> {
        match self.parts.last().and_then(|part| Ty::parse(part)) {
            Some(ty) => {
                self.parts.pop();
                Ok(ty)
            }
            None => self.unknown("its type"),
        }
    }

    /// Checks that every modifier was understood and that there are `operands` operands.
    pub(crate) fn finish(&self, operands: usize) -> Result<(), PtxError> {
        if let Some(part) = self.parts.first() {
            return self.unknown(format!("its modifier .{part}"));
        }
        if self.inst.operands.len() != operands {
            return self.unknown(format!("{} operands instead of {operands}", self.inst.operands.len()));
        }
        Ok(())
    }

    /// The modifiers not yet taken, as written.
    pub(crate) fn rest(&self) -> String {
        self.parts.join(".")
    }

    /// Takes all modifiers.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
    }

    pub(crate) fn operands(&self) -> usize {
        self.inst.operands.len()
    }

    pub(crate) fn operand(&self, index: usize) -> Result<&'a Operand, PtxError> {
        self.inst.operands.get(index).map_or_else(|| self.bad(index, "is missing"), Ok)
    }

    pub(crate) fn guard(&mut self) -> Result<Option<Guard>, PtxError> {
        let Some((reg, negated)) = self.inst.guard else { return Ok(None) };
        self.facts.guard = Some(reg);
        Ok(Some(Guard { pred: self.alloc.row(reg), negated }))
    }

    fn define(&mut self, reg: Reg) -> Slot {
        self.facts.defs.push(reg);
        self.slot(reg)
    }

    fn slot(&mut self, reg: Reg) -> Slot {
        let row = self.alloc.row(reg);
        match reg.width {
            Width::W16 => Slot::W16(row),
            Width::W64 => Slot::W64(row),
            _ => Slot::W32(row),
        }
    }

    pub(super) fn slot_of(&mut self, operand: &Operand, index: usize, dst: bool) -> Result<Slot, PtxError> {
        match operand {
            Operand::Reg(reg) if reg.width != Width::Pred && dst => Ok(self.define(*reg)),
            Operand::Reg(reg) if reg.width != Width::Pred => {
                self.facts.uses.push(*reg);
                Ok(self.slot(*reg))
            }
            Operand::Sink if dst => Ok(Slot::None),
            _ => self.bad(index, "must be a register"),
        }
    }

    /// A destination of any width.
    pub(crate) fn dst(&mut self, index: usize) -> Result<Slot, PtxError> {
        let operand = self.operand(index)?;
        self.slot_of(operand, index, true)
    }

    /// A destination of exactly `bits`.
    pub(crate) fn dst_bits(&mut self, index: usize, bits: u8) -> Result<R, PtxError> {
        match (self.dst(index)?, bits) {
            (Slot::W16(row), 16) | (Slot::W32(row), 32) | (Slot::W64(row), 64) => Ok(row),
            _ => self.bad(index, format!("must be a register of {bits} bits")),
        }
    }

    /// A source of exactly `bits`: register, special register, address of a variable or number.
    pub(crate) fn src_bits(&mut self, index: usize, bits: u8) -> Result<R, PtxError> {
        let operand = self.operand(index)?;
        self.source(operand, index, bits)
    }

    fn source(&mut self, operand: &Operand, index: usize, bits: u8) -> Result<R, PtxError> {
        let wide = bits == 64;
        let value = match operand {
            Operand::Reg(_) => {
                return match (self.slot_of(operand, index, false)?, bits) {
                    (Slot::W16(row), 16) | (Slot::W32(row), 32) | (Slot::W64(row), 64) => Ok(row),
                    _ => self.bad(index, format!("must have {bits} bits")),
                };
            }
            Operand::Int(value) => match bits {
                16 => Const::Bits(u64::from(*value as u16)),
                32 => Const::Bits(u64::from(*value as u32)),
                _ => Const::Bits(*value as u64),
            },
            Operand::F32(value) if bits == 32 => Const::Bits(u64::from(*value)),
            Operand::F64(value) if bits == 64 => Const::Bits(*value),
            Operand::F64(value) if bits == 32 => Const::Bits(u64::from((f64::from_bits(*value) as f32).to_bits())),
            Operand::Name(name) => match (Special::parse(name), self.symbols.get(name)) {
                (Some(special), _) => {
                    self.facts.specials.push(special);
                    Const::Special(special)
                }
                (None, Some(Symbol::Variable(variable))) if wide => Const::Variable(*variable),
                (None, Some(Symbol::Variable(_))) => return self.bad(index, "is a 64-bit address"),
                (None, Some(Symbol::Shared(at) | Symbol::Local(at) | Symbol::Param(at))) => Const::Bits(*at as u64),
                (None, None) => return Err(PtxError::Unknown { line: self.inst.line, name: name.clone() }),
            },
            _ => return self.bad(index, "is of a kind that does not fit"),
        };
        Ok(self.alloc.constant(wide, value))
    }

    /// A source of any register width, or a number taken at `bits`.
    pub(crate) fn src_any(&mut self, index: usize, bits: u8) -> Result<Slot, PtxError> {
        let operand = self.operand(index)?;
        if let Operand::Reg(_) = operand {
            return self.slot_of(operand, index, false);
        }
        let row = self.source(operand, index, bits)?;
        Ok(if bits == 64 { Slot::W64(row) } else { Slot::W32(row) })
    }

    /// A predicate that is written.
    pub(crate) fn pred_dst(&mut self, index: usize) -> Result<R, PtxError> {
        let operand = self.operand(index)?;
        self.pred_written(operand, index)
    }

    pub(crate) fn pred_written(&mut self, operand: &Operand, index: usize) -> Result<R, PtxError> {
        match operand {
            Operand::Reg(reg) if reg.width == Width::Pred => {
                self.facts.defs.push(*reg);
                Ok(self.alloc.row(*reg))
            }
            _ => self.bad(index, "must be a predicate"),
        }
    }

    /// Whether an operand is a predicate, perhaps negated.
    pub(crate) fn is_pred(&self, index: usize) -> bool {
        let width = |reg: &Reg| reg.width == Width::Pred;
        matches!(self.operand(index), Ok(Operand::Reg(reg) | Operand::NotReg(reg)) if width(reg))
    }

    /// A predicate that is read.
    pub(crate) fn pred(&mut self, index: usize) -> Result<Guard, PtxError> {
        let (reg, negated) = match self.operand(index)? {
            Operand::Reg(reg) => (*reg, false),
            Operand::NotReg(reg) => (*reg, true),
            _ => return self.bad(index, "must be a predicate"),
        };
        if reg.width != Width::Pred {
            return self.bad(index, "must be a predicate");
        }
        self.facts.uses.push(reg);
        Ok(Guard { pred: self.alloc.row(reg), negated })
    }

    /// `{a, b}` or one register: registers of any width.
    pub(crate) fn slots(&mut self, index: usize, dst: bool) -> Result<Vec<Slot>, PtxError> {
        match self.operand(index)? {
            Operand::Vector(items) => items.iter().map(|item| self.slot_of(item, index, dst)).collect(),
            operand => Ok(vec![self.slot_of(operand, index, dst)?]),
        }
    }

    /// A vector of sources, numbers allowed, each of `bits`; registers may be wider.
    pub(crate) fn stored(&mut self, index: usize, bits: u8) -> Result<Vec<Slot>, PtxError> {
        let items = match self.operand(index)? {
            Operand::Vector(items) => items.as_slice(),
            operand => std::slice::from_ref(operand),
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(match item {
                Operand::Reg(_) => self.slot_of(item, index, false)?,
                _ if bits == 64 => Slot::W64(self.source(item, index, 64)?),
                _ => Slot::W32(self.source(item, index, if bits == 8 { 16 } else { bits })?),
            });
        }
        Ok(out)
    }

    /// Exactly `N` 32-bit rows in braces (or one register where `N` is 1).
    pub(crate) fn rows<const N: usize>(&mut self, index: usize, dst: bool) -> Result<[R; N], PtxError> {
        let items = match self.operand(index)? {
            Operand::Vector(items) => items.as_slice(),
            operand => std::slice::from_ref(operand),
        };
        if items.len() != N {
            return self.bad(index, format!("must be {N} registers"));
        }
        let mut out = [0; N];
        for (row, item) in out.iter_mut().zip(items) {
            *row = if dst {
                match self.slot_of(item, index, true)? {
                    Slot::W32(row) => row,
                    _ => return self.bad(index, "must be registers of 32 bits"),
                }
            } else {
                self.source(item, index, 32)?
            };
        }
        Ok(out)
    }

    /// `[base + offset]` in a space.
    pub(crate) fn address(&mut self, index: usize, area: Area) -> Result<Addr, PtxError> {
        let Operand::Address(base, offset) = self.operand(index)? else {
            return self.bad(index, "must be [address]");
        };
        let mut offset = *offset;
        let base = match base.as_ref() {
            None => Slot::None,
            Some(operand @ Operand::Reg(reg)) => match self.slot_of(operand, index, false)? {
                Slot::W16(_) => return self.bad(index, "must be an address of 32 or 64 bits"),
                slot => {
                    self.facts.addresses.push(*reg);
                    slot
                }
            },
            Some(Operand::Name(name)) => match self.symbols.get(name) {
                Some(Symbol::Variable(variable)) => Slot::W64(self.alloc.constant(true, Const::Variable(*variable))),
                Some(Symbol::Shared(at) | Symbol::Local(at) | Symbol::Param(at)) => {
                    offset += *at as i64;
                    Slot::None
                }
                None => return Err(PtxError::Unknown { line: self.inst.line, name: name.clone() }),
            },
            Some(_) => return self.bad(index, "must be an address"),
        };
        Ok(Addr { area, base, offset })
    }

    /// The instruction that a branch goes to.
    pub(crate) fn target(&self, index: usize) -> Result<u32, PtxError> {
        let Operand::Name(name) = self.operand(index)? else { return self.bad(index, "must be a label") };
        match self.kernel.target(self.inst.scope, name) {
            Some(target) => Ok(target as u32),
            None => Err(PtxError::Unknown { line: self.inst.line, name: name.clone() }),
        }
    }

    /// A constant number.
    pub(crate) fn number(&self, index: usize) -> Result<i128, PtxError> {
        match self.operand(index)? {
            Operand::Int(value) => Ok(*value),
            _ => self.bad(index, "must be a number"),
        }
    }
}
