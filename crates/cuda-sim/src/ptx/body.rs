//! Bodies of kernels: scopes, registers, labels, instructions and their operands.

use std::collections::HashMap;

use super::lexer::Token;
use super::parser::{Parser, space, type_bytes};
use super::raw::{Operand, RawInst, RawKernel, Reg, Width};
use super::{PtxError, Space};

/// Names of registers in the scopes that are open.
struct Body {
    kernel: RawKernel,
    open: Vec<(usize, HashMap<String, Reg>)>,
}

impl Parser<'_> {
    /// Everything between the braces of a kernel; the first is read.
    pub(super) fn body(&mut self, kernel: RawKernel) -> Result<RawKernel, PtxError> {
        let mut body = Body { kernel, open: vec![(0, HashMap::new())] };
        while !body.open.is_empty() {
            self.statement(&mut body)?;
        }
        Ok(body.kernel)
    }

    fn statement(&mut self, body: &mut Body) -> Result<(), PtxError> {
        if self.eat('}') {
            body.open.pop();
            return Ok(());
        }
        let scope = body.open.last().map_or(0, |(scope, _)| *scope);
        if self.eat('{') {
            body.kernel.scopes.push(scope);
            body.open.push((body.kernel.scopes.len() - 1, HashMap::new()));
            return Ok(());
        }
        if self.eat(';') {
            return Ok(());
        }
        let line = self.line();
        let guard = if self.eat('@') {
            let negated = self.eat('!');
            let name = self.word()?;
            match body.find(name) {
                Some(reg) if reg.width == Width::Pred => Some((reg, negated)),
                _ => return Err(PtxError::Unknown { line, name: name.into() }),
            }
        } else {
            None
        };
        let word = self.word()?;
        if guard.is_none() && self.eat(':') {
            body.kernel.labels.push((scope, word.into(), body.kernel.code.len()));
            return Ok(());
        }
        if word.starts_with('.') {
            return self.body_directive(word, body);
        }
        let mut operands = Vec::new();
        while !self.eat(';') {
            operands.push(self.operand(body)?);
            if !self.eat(',') && self.peek() != Some(Token::Punct(';')) {
                return self.syntax(", or ;");
            }
        }
        body.kernel.code.push(RawInst { line, guard, opcode: word.into(), operands, scope });
        Ok(())
    }

    fn body_directive(&mut self, word: &str, body: &mut Body) -> Result<(), PtxError> {
        match word {
            ".reg" => self.registers(body),
            ".loc" => {
                let line = self.line();
                while self.line() == line && !matches!(self.peek(), None | Some(Token::Punct(';' | '{' | '}'))) {
                    self.at += 1;
                }
                Ok(())
            }
            ".pragma" => {
                while !self.eat(';') {
                    if self.next().is_none() {
                        return self.syntax(";");
                    }
                }
                Ok(())
            }
            ".shared" | ".local" => {
                let space = space(word).unwrap_or(Space::Shared);
                body.kernel.variables.extend(self.variables(space, false)?);
                Ok(())
            }
            other => Err(self.unknown_directive(other)),
        }
    }

    /// `.reg .b32 %r<10>, a;`
    fn registers(&mut self, body: &mut Body) -> Result<(), PtxError> {
        let ty = self.word()?;
        let width = match (ty, type_bytes(ty)) {
            (".pred", _) => Width::Pred,
            (_, Some(2)) => Width::W16,
            (_, Some(4)) => Width::W32,
            (_, Some(8)) => Width::W64,
            _ => return Err(self.unknown_directive(&format!(".reg {ty}"))),
        };
        loop {
            let name = self.word()?;
            if self.eat('<') {
                let count = self.size()?;
                self.expect('>', ">")?;
                for index in 0..count.min(1 << 20) {
                    body.declare(format!("{name}{index}"), width);
                }
            } else {
                body.declare(name.into(), width);
            }
            if !self.eat(',') {
                break;
            }
        }
        self.expect(';', ";")
    }

    fn operand(&mut self, body: &Body) -> Result<Operand, PtxError> {
        if self.eat('{') {
            let mut items = Vec::new();
            while !self.eat('}') {
                items.push(self.operand(body)?);
                self.eat(',');
            }
            return Ok(Operand::Vector(items));
        }
        if self.eat('[') {
            let base = match self.peek() {
                Some(Token::Word(_)) => Some(self.operand(body)?),
                _ => None,
            };
            let mut offset = 0;
            while !self.eat(']') {
                self.eat('+');
                offset += self.integer()? as i64;
            }
            return Ok(Operand::Address(Box::new(base), offset));
        }
        if self.eat('!') {
            return match self.operand(body)? {
                Operand::Reg(reg) => Ok(Operand::NotReg(reg)),
                _ => self.syntax("a predicate after !"),
            };
        }
        let negative = self.eat('-');
        match self.peek() {
            Some(Token::Number(text)) => {
                self.at += 1;
                match literal(text) {
                    Some(Operand::Int(value)) => Ok(Operand::Int(if negative { -value } else { value })),
                    Some(Operand::F32(bits)) => Ok(Operand::F32(bits ^ (u32::from(negative) << 31))),
                    Some(Operand::F64(bits)) => Ok(Operand::F64(bits ^ (u64::from(negative) << 63))),
                    _ => {
                        self.at -= 1;
                        self.syntax("a number")
                    }
                }
            }
            Some(Token::Word(word)) => {
                self.at += 1;
                let operand = match body.find(word) {
                    _ if word == "_" => Operand::Sink,
                    Some(reg) => Operand::Reg(reg),
                    None => Operand::Name(word.into()),
                };
                if self.eat('|') {
                    return Ok(Operand::Pair(Box::new(operand), Box::new(self.operand(body)?)));
                }
                Ok(operand)
            }
            _ => self.syntax("an operand"),
        }
    }
}

impl Body {
    fn find(&self, name: &str) -> Option<Reg> {
        self.open.iter().rev().find_map(|(_, names)| names.get(name).copied())
    }

    fn declare(&mut self, name: String, width: Width) {
        let reg = Reg { width, id: self.kernel.registers };
        self.kernel.registers += 1;
        if let Some((_, names)) = self.open.last_mut() {
            names.insert(name, reg);
        }
    }
}

/// A number as PTX writes it.
pub(super) fn literal(text: &str) -> Option<Operand> {
    let radix = |digits: &str, radix| i128::from_str_radix(digits.trim_end_matches(['U', 'u']), radix).ok();
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0f") {
        return u32::from_str_radix(digits, 16).ok().map(Operand::F32);
    }
    if let Some(digits) = lower.strip_prefix("0d") {
        return u64::from_str_radix(digits, 16).ok().map(Operand::F64);
    }
    if let Some(digits) = lower.strip_prefix("0x") {
        return radix(digits, 16).map(Operand::Int);
    }
    if let Some(digits) = lower.strip_prefix("0b") {
        return radix(digits, 2).map(Operand::Int);
    }
    if lower.contains('.') {
        return lower.parse::<f64>().ok().map(|value| Operand::F64(value.to_bits()));
    }
    if lower.len() > 1 && lower.starts_with('0') {
        return radix(&lower[1..], 8).map(Operand::Int);
    }
    radix(&lower, 10).map(Operand::Int)
}
