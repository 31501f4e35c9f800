//! PTX text to modules: variables, and kernels whose instructions are decoded once.
//!
//! Only what the simulator can execute is accepted. A directive, instruction, modifier or type it does not know is an
//! error that names it and its line; nothing is skipped silently but debug information (`.loc`, `.file`, `.section`).

mod body;
mod decode;
mod lexer;
mod op;
mod parser;
mod raw;
mod types;

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::cfg;

pub(crate) use op::*;
pub(crate) use raw::{Reg, Width};
pub(crate) use types::{Const, Kind, LaneMask, Special, Ty};

/// Why PTX text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum PtxError {
    #[error("line {line}: unexpected character {found:?}")]
    Character { line: u32, found: char },
    #[error("line {line}: a string does not end")]
    UnclosedString { line: u32 },
    #[error("line {line}: expected {expected}, found {found}")]
    Syntax { line: u32, expected: &'static str, found: String },
    #[error("line {line}: the simulator does not know the directive {name}")]
    Directive { line: u32, name: String },
    #[error("line {line}: the simulator does not know the instruction {text} ({what})")]
    Instruction { line: u32, text: String, what: String },
    #[error("line {line}: {text}: operand {operand} {problem}")]
    Operand { line: u32, text: String, operand: usize, problem: String },
    #[error("line {line}: {name} is not declared")]
    Unknown { line: u32, name: String },
    #[error("kernel {kernel}: {what}, more than the simulator holds")]
    TooLarge { kernel: String, what: String },
}

/// State space of a module's variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Memory of the device.
    Global,
    /// Memory of the device that kernels only read.
    Const,
    /// Memory of a block.
    Shared,
    /// Memory of a thread.
    Local,
}

/// A variable at module or kernel level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// Alignment in bytes.
    pub align: usize,
    /// Size in bytes; 0 for the dynamic shared array (`.extern .shared x[]`).
    pub bytes: usize,
    /// The first bytes; the rest is zero (global and const only).
    pub init: Vec<u8>,
    /// Declared `.extern`.
    pub external: bool,
}

/// One parameter of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name in the PTX.
    pub name: String,
    /// Where it starts in the block of parameters.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
}

/// Performance directives of a kernel, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `.maxntid`: most threads per block in each direction.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`: the exact block.
    pub required_threads: Option<[u32; 3]>,
    /// `.minnctapersm`.
    pub min_blocks: Option<u32>,
    /// `.maxnreg`.
    pub max_registers: Option<u32>,
}

/// A kernel, ready to run.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Name of the `.entry`.
    pub name: String,
    /// Its parameters, laid out as the driver lays them out.
    pub params: Vec<Param>,
    /// Bytes of all parameters.
    pub param_bytes: usize,
    /// Performance directives.
    pub bounds: Bounds,
    /// Bytes of static shared memory; the dynamic array starts here.
    pub shared_bytes: usize,
    /// Bytes of local memory per thread.
    pub local_bytes: usize,
    pub(crate) code: Vec<Inst>,
    pub(crate) facts: Vec<Facts>,
    /// Opcodes as written, for reports.
    pub(crate) texts: Vec<String>,
    pub(crate) files: Files,
    /// Block of the control flow at whose start diverged lanes meet again, for each instruction.
    pub(crate) meet: Vec<u32>,
    skeleton: OnceLock<Box<Kernel>>,
}

impl Kernel {
    /// The same without what decides neither its way nor its addresses; instructions keep their places.
    pub(crate) fn skeleton(&self) -> &Kernel {
        self.skeleton.get_or_init(|| {
            let graph = cfg::Graph::new(&self.code);
            let code = cfg::skeleton(&graph, &self.facts, &self.code);
            Box::new(Kernel { code, skeleton: OnceLock::new(), ..self.clone() })
        })
    }

    /// Instructions in the code.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Whether it has no instruction.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// Registers of 32 bits that hold something at once, numbers and special registers aside.
    pub(crate) fn live_registers(&self) -> u32 {
        let Files { rows32, rows64, consts32, consts64, .. } = &self.files;
        (rows32 - consts32.len() + 2 * (rows64 - consts64.len())) as u32
    }

    /// Registers a thread has, in the simulator's layout: (32 bits and less, 64 bits, predicates).
    pub fn registers(&self) -> (usize, usize, usize) {
        (self.files.rows32, self.files.rows64, self.files.preds)
    }
}

/// A parsed module.
#[derive(Debug, Clone)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// First word of `.target`.
    pub target: String,
    /// Global and const variables (shared ones belong to the kernels that use them).
    pub variables: Vec<Variable>,
    /// Kernels by order of appearance.
    pub kernels: Vec<Kernel>,
}

impl Module {
    /// Parses and decodes PTX text.
    ///
    /// # Errors
    /// [`PtxError`] with the line, for anything that the simulator cannot execute exactly as written.
    pub fn parse(source: &str) -> Result<Module, PtxError> {
        let raw = parser::parse(source)?;
        let mut shared = HashMap::new();
        let mut variables = Vec::new();
        for variable in raw.variables {
            if variable.space == Space::Shared {
                shared.insert(variable.name.clone(), variable);
            } else {
                variables.push(variable);
            }
        }
        let kernels = raw
            .kernels
            .into_iter()
            .map(|kernel| decode::kernel(kernel, &shared, &variables))
            .collect::<Result<_, _>>()?;
        Ok(Module { version: raw.version, target: raw.target, variables, kernels })
    }

    /// The kernel called `name`.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }
}
