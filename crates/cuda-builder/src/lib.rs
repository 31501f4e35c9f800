//! Builds a crate of GPU kernels to PTX, with rustc's own `nvptx64-nvidia-cuda` back end, and checks
//! what came out.
//!
//! It has the role and the interface of Rust-CUDA's `cuda_builder`:
//! ```no_run
//! # fn main() -> Result<(), cuda_builder::Error> {
//! use cuda_builder::{Arch, CudaBuilder};
//!
//! let build = CudaBuilder::new("kernels-gpu").arch(Arch::Sm80).copy_to("kernels.ptx").build()?;
//! println!("{}", build.table());
//! # Ok(())
//! # }
//! ```
//! Reading order: [`CudaBuilder`], [`Kernel`] (what the kernels' declarations say), [`gates`] (what PTX has
//! to keep), [`Toolchain`] (what builds and checks it).
//!
//! PTX that breaks a rule is not copied: [`CudaBuilder::build`] returns [`Error::Rejected`], which names every finding.
#![forbid(unsafe_code)]

mod compile;
mod error;
pub mod gates;
mod kernel;
pub mod ptx;
pub mod ptxas;
mod table;
mod toolchain;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use error::Error;
pub use gates::Finding;
pub use kernel::{Kernel, Kind, Parameter};
pub use toolchain::{OLDEST_RUSTC, Origin, Rustc, Toolchain};

/// The processors that PTX is made for; each runs on all later ones, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arch {
    /// A100 and everything after it.
    #[default]
    Sm80,
}

impl Arch {
    /// Every one.
    pub const ALL: [Arch; 1] = [Arch::Sm80];

    /// As compilers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::Sm80 => "sm_80",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Arch, Error> {
        let known = Arch::ALL.into_iter().find(|arch| arch.name() == name);
        known.ok_or_else(|| Error::UnknownArch { name: name.to_string() })
    }
}

/// Builds a crate of kernels.
#[derive(Clone, Debug)]
pub struct CudaBuilder {
    crate_dir: PathBuf,
    arch: Arch,
    kernels: Option<Vec<Kernel>>,
    copy_to: Option<PathBuf>,
    target_dir: Option<PathBuf>,
    toolchain: Option<Toolchain>,
    every_gate: bool,
    protected: bool,
}

/// PTX that passed its gates.
#[derive(Clone, Debug)]
pub struct Build {
    /// The text, with a head that names the compiler.
    pub ptx: String,
    /// What it was made for.
    pub arch: Arch,
    /// What made it.
    pub rustc: Rustc,
    /// What the kernels' declarations say.
    pub kernels: Vec<Kernel>,
    /// What the assembler says about each kernel; nothing where there is no `ptxas`.
    pub assembled: Option<ptxas::Report>,
}

impl CudaBuilder {
    /// A builder for the crate in this folder.
    pub fn new(crate_dir: impl Into<PathBuf>) -> CudaBuilder {
        CudaBuilder {
            crate_dir: crate_dir.into(),
            arch: Arch::default(),
            kernels: None,
            copy_to: None,
            target_dir: None,
            toolchain: None,
            every_gate: false,
            protected: true,
        }
    }

    /// The processor to build for; by default the first of [`Arch::ALL`].
    pub fn arch(mut self, arch: Arch) -> CudaBuilder {
        self.arch = arch;
        self
    }

    /// The kernels' declarations. Launch bounds come from them, and entries and parameters are compared with
    /// them; without them there are no bounds and nothing to compare with.
    pub fn kernels(mut self, kernels: impl IntoIterator<Item = Kernel>) -> CudaBuilder {
        self.kernels = Some(kernels.into_iter().collect());
        self
    }

    /// Where the PTX goes when it passed its gates.
    pub fn copy_to(mut self, path: impl Into<PathBuf>) -> CudaBuilder {
        self.copy_to = Some(path.into());
        self
    }

    /// The folder for everything that is built; by default `target` of the crate's workspace.
    pub fn target_dir(mut self, path: impl Into<PathBuf>) -> CudaBuilder {
        self.target_dir = Some(path.into());
        self
    }

    /// The tools; by default those that [`Toolchain::find`] finds.
    pub fn toolchain(mut self, toolchain: Toolchain) -> CudaBuilder {
        self.toolchain = Some(toolchain);
        self
    }

    /// Makes it an error when a gate cannot run because `ptxas` is missing.
    pub fn every_gate(mut self) -> CudaBuilder {
        self.every_gate = true;
        self
    }

    /// Leaves out the flags without which the compiler moves barriers and matrix instructions into branches: for
    /// tests of the rule that finds such PTX.
    #[doc(hidden)]
    pub fn unprotected(mut self) -> CudaBuilder {
        self.protected = false;
        self
    }

    /// Compiles, checks and copies.
    ///
    /// # Errors
    /// A missing tool, a compiler's error, or a broken rule.
    pub fn build(self) -> Result<Build, Error> {
        let crate_dir = self.crate_dir.canonicalize().map_err(|cause| Error::file(&self.crate_dir, cause))?;
        let target_dir = match self.target_dir {
            Some(path) => std::path::absolute(&path).map_err(|cause| Error::file(&path, cause))?,
            None => workspace(&crate_dir).join("target"),
        };
        let toolchain = match self.toolchain {
            Some(toolchain) => toolchain,
            None => Toolchain::find(&target_dir.join("toolchain"))?,
        };
        let kernels = self.kernels.as_deref().unwrap_or_default();
        let compile = compile::Compile {
            crate_dir: &crate_dir,
            target_dir: &target_dir.join("kernels"),
            rustc: &toolchain.rustc,
            arch: self.arch,
            kernels,
            protected: self.protected,
        };
        let output = compile.run()?;
        let module = ptx::Module::parse(&output.ptx).map_err(|line| Error::Ptx { path: output.path.clone(), line })?;

        let mut findings = gates::self_contained(&module);
        findings.extend(gates::uniformity(&output.ptx));
        if let Some(kernels) = &self.kernels {
            findings.extend(gates::declarations(&module, self.arch, kernels));
        }
        let assembled = match &toolchain.ptxas {
            Some(ptxas) => Some(ptxas::run(ptxas, self.arch, &output.path)?),
            None if self.every_gate => return Err(Error::NoPtxas),
            None => None,
        };
        if let Some(report) = &assembled {
            findings.extend(gates::assembly(&module, report));
        }
        if !findings.is_empty() {
            return Err(Error::Rejected { path: output.path, findings });
        }

        let ptx = format!("// {} for {}, by {}\n{}", crate_name(&crate_dir), self.arch, toolchain.rustc, output.ptx);
        if let Some(path) = &self.copy_to {
            copy(path, &ptx)?;
        }
        let kernels = self.kernels.unwrap_or_default();
        Ok(Build { ptx, arch: self.arch, rustc: toolchain.rustc, kernels, assembled })
    }
}

impl Build {
    /// The kernels with their registers and shared memory, as a table.
    pub fn table(&self) -> String {
        table::of(self)
    }
}

/// Writes PTX, unless it is there already: its time is that of the last change.
fn copy(path: &Path, ptx: &str) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == ptx) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|cause| Error::file(folder, cause))?;
    }
    std::fs::write(path, ptx).map_err(|cause| Error::file(path, cause))
}

/// The folder with the lock file: the crate's own or one above it.
fn workspace(crate_dir: &Path) -> &Path {
    crate_dir.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(crate_dir)
}

fn crate_name(crate_dir: &Path) -> String {
    crate_dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_names() {
        for arch in Arch::ALL {
            assert_eq!(arch.name().parse::<Arch>().unwrap(), arch);
        }
        let error = "sm_35".parse::<Arch>().unwrap_err().to_string();
        assert_eq!(error, "unknown architecture \"sm_35\"; known are sm_80");
    }

    #[test]
    fn a_missing_crate_is_named() {
        let error = CudaBuilder::new("no-such-folder").build().unwrap_err().to_string();
        assert!(error.contains("no-such-folder"), "{error}");
    }
}
