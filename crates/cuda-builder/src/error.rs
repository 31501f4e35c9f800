//! What can go wrong.

use std::path::{Path, PathBuf};

use crate::{Arch, Finding};

/// Why there is no PTX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No compiler that can build kernels.
    #[error("no rustc for kernels: {reasons}; run `cargo xtask setup`")]
    NoRustc {
        /// What was looked at and why it will not do.
        reasons: String,
    },
    /// The compiler that a variable names cannot build kernels.
    #[error("{variable} names {path}, which cannot build kernels: {reason}", path = path.display())]
    UnfitRustc {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A gate cannot run.
    #[error("no ptxas, which checks registers and spills; run `cargo xtask setup`")]
    NoPtxas,
    /// A program could not be started.
    #[error("cannot start {program}: {cause}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The compiler failed.
    #[error("rustc cannot build {path}; its messages are above", path = crate_dir.display())]
    Compile {
        /// The crate of kernels.
        crate_dir: PathBuf,
    },
    /// The PTX is not what a compiler writes.
    #[error("{path}, line {line}: cannot read this PTX", path = path.display())]
    Ptx {
        /// The PTX.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The assembler refused the PTX.
    #[error("ptxas refuses {path}:\n{log}", path = path.display())]
    Assemble {
        /// The PTX.
        path: PathBuf,
        /// What the assembler says.
        log: String,
    },
    /// The PTX breaks rules.
    #[error("{path} breaks {n} rules:{list}", path = path.display(), n = findings.len(), list = list(findings))]
    Rejected {
        /// The PTX.
        path: PathBuf,
        /// Every broken rule.
        findings: Vec<Finding>,
    },
    /// No such architecture.
    #[error("unknown architecture {name:?}; known are {known}", known = Arch::ALL.map(Arch::name).join(", "))]
    UnknownArch {
        /// What was asked for.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, cause: std::io::Error) -> Error {
        Error::File { path: path.to_path_buf(), cause }
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
