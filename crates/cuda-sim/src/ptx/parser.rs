//! Modules: directives, variables, entries and their parameters.

use super::body::literal;
use super::lexer::{Located, Token, tokens};
use super::raw::{Operand, RawKernel, RawModule};
use super::{Param, PtxError, Space, Variable};

/// Parses a module.
pub(crate) fn parse(source: &str) -> Result<RawModule, PtxError> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0 };
    let mut module = RawModule::default();
    while let Some(word) = parser.directive()? {
        match word {
            ".version" => {
                let number = parser.number()?;
                let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
                module.version = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            }
            ".target" => {
                module.target = parser.word()?.to_string();
                while parser.eat(',') {
                    parser.word()?;
                }
            }
            ".address_size" => {
                let bits = parser.number()?;
                if bits != "64" {
                    return Err(parser.unknown_directive(&format!(".address_size {bits}")));
                }
            }
            ".file" => parser.skip_file()?,
            ".section" => parser.skip_section()?,
            ".visible" | ".weak" | ".common" => {}
            ".extern" => match parser.directive()? {
                Some(".shared") => module.variables.extend(parser.variables(Space::Shared, true)?),
                Some(other) => return Err(parser.unknown_directive(&format!(".extern {other}"))),
                None => {}
            },
            ".entry" => module.kernels.push(parser.entry()?),
            other => match space(other) {
                Some(space) if space != Space::Local => module.variables.extend(parser.variables(space, false)?),
                _ => return Err(parser.unknown_directive(other)),
            },
        }
    }
    Ok(module)
}

pub(super) fn space(word: &str) -> Option<Space> {
    Some(match word {
        ".global" => Space::Global,
        ".const" => Space::Const,
        ".shared" => Space::Shared,
        ".local" => Space::Local,
        _ => return None,
    })
}

/// Bytes of a type word such as `.b32`.
pub(super) fn type_bytes(word: &str) -> Option<usize> {
    Some(match word {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" | ".f16" | ".bf16" => 2,
        ".b32" | ".u32" | ".s32" | ".f32" | ".f16x2" | ".bf16x2" => 4,
        ".b64" | ".u64" | ".s64" | ".f64" => 8,
        _ => return None,
    })
}

pub(super) struct Parser<'a> {
    tokens: Vec<Located<'a>>,
    pub(super) at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, line)| *line)
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|(token, _)| *token)
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        self.at += 1;
        self.tokens.get(self.at - 1).map(|(token, _)| *token)
    }

    pub(super) fn eat(&mut self, punct: char) -> bool {
        let found = self.peek() == Some(Token::Punct(punct));
        self.at += usize::from(found);
        found
    }

    pub(super) fn syntax<T>(&self, expected: &'static str) -> Result<T, PtxError> {
        let found = match self.peek() {
            Some(Token::Word(text) | Token::Number(text)) => text.to_string(),
            Some(Token::Text(text)) => format!("\"{text}\""),
            Some(Token::Punct(punct)) => punct.to_string(),
            None => "the end".into(),
        };
        Err(PtxError::Syntax { line: self.line(), expected, found })
    }

    pub(super) fn expect(&mut self, punct: char, expected: &'static str) -> Result<(), PtxError> {
        if self.eat(punct) { Ok(()) } else { self.syntax(expected) }
    }

    pub(super) fn word(&mut self) -> Result<&'a str, PtxError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.syntax("a name"),
        }
    }

    pub(super) fn number(&mut self) -> Result<&'a str, PtxError> {
        match self.peek() {
            Some(Token::Number(number)) => {
                self.at += 1;
                Ok(number)
            }
            _ => self.syntax("a number"),
        }
    }

    pub(super) fn integer(&mut self) -> Result<i128, PtxError> {
        let negative = self.eat('-');
        let line = self.line();
        let text = self.number()?;
        match literal(text) {
            Some(Operand::Int(value)) => Ok(if negative { -value } else { value }),
            _ => Err(PtxError::Syntax { line, expected: "an integer", found: text.into() }),
        }
    }

    pub(super) fn size(&mut self) -> Result<usize, PtxError> {
        let line = self.line();
        let value = self.integer()?;
        usize::try_from(value).ok().filter(|&size| size < 1 << 40).ok_or(PtxError::Syntax {
            line,
            expected: "a size",
            found: value.to_string(),
        })
    }

    pub(super) fn unknown_directive(&self, name: &str) -> PtxError {
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(0, |(_, line)| *line);
        PtxError::Directive { line, name: name.into() }
    }

    /// The next directive at module level, or the end.
    fn directive(&mut self) -> Result<Option<&'a str>, PtxError> {
        match self.peek() {
            None => Ok(None),
            Some(Token::Word(word)) if word.starts_with('.') => {
                self.at += 1;
                Ok(Some(word))
            }
            _ => self.syntax("a directive"),
        }
    }

    /// `.file 1 "name" [, time, size]`
    fn skip_file(&mut self) -> Result<(), PtxError> {
        self.number()?;
        if !matches!(self.next(), Some(Token::Text(_))) {
            return self.syntax("a file name");
        }
        while self.eat(',') {
            self.number()?;
        }
        Ok(())
    }

    /// `.section .debug_x { ... }`: debug information.
    fn skip_section(&mut self) -> Result<(), PtxError> {
        self.word()?;
        self.expect('{', "{")?;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some(Token::Punct('{')) => depth += 1,
                Some(Token::Punct('}')) => depth -= 1,
                Some(_) => {}
                None => return self.syntax("}"),
            }
        }
        Ok(())
    }

    /// `.align 16 .b8 name[64] = {1, 2};` after the state space, one or more.
    pub(super) fn variables(&mut self, space: Space, external: bool) -> Result<Vec<Variable>, PtxError> {
        let (mut align, mut element) = (None, None);
        while let Some(Token::Word(word)) = self.peek() {
            if !word.starts_with('.') {
                break;
            }
            self.at += 1;
            match word {
                ".align" => align = Some(self.size()?),
                ".attribute" => return Err(self.unknown_directive(word)),
                ty => element = Some(type_bytes(ty).ok_or_else(|| self.unknown_directive(ty))?),
            }
        }
        let element = element.ok_or_else(|| self.unknown_directive("a variable without a type"))?;
        let align = align.unwrap_or(element);
        let mut out = Vec::new();
        loop {
            let name = self.word()?.to_string();
            let (mut count, mut unsized_array) = (1, false);
            while self.eat('[') {
                if self.eat(']') {
                    unsized_array = true;
                } else {
                    count *= self.size()?;
                    self.expect(']', "]")?;
                }
            }
            let init = if self.eat('=') { self.initialiser(element)? } else { Vec::new() };
            let bytes = if !unsized_array {
                count * element
            } else if external {
                0
            } else {
                init.len()
            };
            out.push(Variable { name, space, align: align.max(1), bytes: bytes.max(init.len()), init, external });
            if !self.eat(',') {
                break;
            }
        }
        self.expect(';', ";")?;
        Ok(out)
    }

    fn initialiser(&mut self, element: usize) -> Result<Vec<u8>, PtxError> {
        let mut bytes = Vec::new();
        if self.eat('{') {
            while !self.eat('}') {
                bytes.extend(self.initialiser(element)?);
                self.eat(',');
            }
            return Ok(bytes);
        }
        let negative = self.eat('-');
        let line = self.line();
        let Some(Token::Number(text)) = self.peek() else { return self.syntax("a number (addresses are not known)") };
        self.at += 1;
        let bits = match literal(text) {
            Some(Operand::Int(value)) => (if negative { -value } else { value }) as u64,
            Some(Operand::F32(bits)) => u64::from(bits ^ (u32::from(negative) << 31)),
            Some(Operand::F64(bits)) => bits ^ (u64::from(negative) << 63),
            _ => return Err(PtxError::Syntax { line, expected: "a number", found: text.into() }),
        };
        bytes.extend(&bits.to_le_bytes()[..element]);
        Ok(bytes)
    }

    fn entry(&mut self) -> Result<RawKernel, PtxError> {
        let mut kernel = RawKernel { name: self.word()?.into(), scopes: vec![0], ..RawKernel::default() };
        if self.eat('(') {
            while !self.eat(')') {
                let param = self.param(kernel.param_bytes)?;
                kernel.param_bytes = param.offset + param.bytes;
                kernel.params.push(param);
                self.eat(',');
            }
        }
        while !self.eat('{') {
            let word = self.word()?;
            let triple = |parser: &mut Self| -> Result<[u32; 3], PtxError> {
                let mut out = [1; 3];
                for (axis, value) in out.iter_mut().enumerate() {
                    if axis == 0 || parser.eat(',') {
                        *value = parser.size()? as u32;
                    }
                }
                Ok(out)
            };
            match word {
                ".maxntid" => kernel.bounds.max_threads = Some(triple(self)?),
                ".reqntid" => kernel.bounds.required_threads = Some(triple(self)?),
                ".minnctapersm" => kernel.bounds.min_blocks = Some(self.size()? as u32),
                ".maxnreg" => kernel.bounds.max_registers = Some(self.size()? as u32),
                other => return Err(self.unknown_directive(other)),
            }
        }
        self.body(kernel)
    }

    /// `.param .align 8 .b8 name[24]` or `.param .u64 .ptr .global .align 1 name`
    fn param(&mut self, end: usize) -> Result<Param, PtxError> {
        if self.word()? != ".param" {
            return self.syntax(".param");
        }
        let (mut align, mut element, mut pointer) = (None, 0, false);
        loop {
            match self.word()? {
                ".align" => {
                    let value = self.size()?;
                    if !pointer {
                        align = Some(value);
                    }
                }
                ".ptr" => pointer = true,
                ".global" | ".const" | ".shared" | ".local" | ".generic" if pointer => {}
                word if type_bytes(word).is_some() => element = type_bytes(word).unwrap_or(0),
                word if word.starts_with('.') => return Err(self.unknown_directive(word)),
                name => {
                    let mut bytes = element;
                    if self.eat('[') {
                        bytes *= self.size()?;
                        self.expect(']', "]")?;
                    }
                    let align = align.unwrap_or(element).max(1);
                    return Ok(Param { name: name.into(), offset: end.next_multiple_of(align), bytes });
                }
            }
        }
    }
}
