//! What builds and checks kernels, and where it is found.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// The oldest compiler whose PTX was looked at.
pub const OLDEST_RUSTC: (u32, u32) = (1, 96);

const RUSTC_VARIABLE: &str = "CUDA_BUILDER_RUSTC";
const PTXAS_VARIABLE: &str = "CUDA_BUILDER_PTXAS";
const NVDISASM_VARIABLE: &str = "CUDA_BUILDER_NVDISASM";

/// The tools.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Builds kernels.
    pub rustc: Rustc,
    /// Assembles them, and tells registers and spills.
    pub ptxas: Option<PathBuf>,
    /// Shows machine code.
    pub nvdisasm: Option<PathBuf>,
}

/// A compiler with the source of its library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rustc {
    /// The program.
    pub path: PathBuf,
    /// Where it was found.
    pub origin: Origin,
    /// Such as `rustc 1.96.0 (ac68faa20 2026-05-25)`.
    pub version: String,
    /// The version of LLVM.
    pub llvm: String,
    /// Where its shared libraries are, when the system does not look there.
    libraries: Option<PathBuf>,
}

/// Where a compiler was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `CUDA_BUILDER_RUSTC` names it.
    Variable,
    /// A toolchain of rustup's.
    Rustup,
    /// The system's.
    System,
    /// Unpacked by `cargo xtask setup`.
    Unpacked,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Variable => RUSTC_VARIABLE,
            Origin::Rustup => "rustup",
            Origin::System => "the system",
            Origin::Unpacked => "the build folder",
        })
    }
}

impl fmt::Display for Rustc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, LLVM {}", self.version, self.llvm)
    }
}

impl Toolchain {
    /// Looks in `CUDA_BUILDER_RUSTC`, among rustup's toolchains, in `/usr/bin`, and in `folder`, where
    /// `cargo xtask setup` unpacks one.
    ///
    /// # Errors
    /// When there is no compiler that will do. A missing `ptxas` or `nvdisasm` is not an error.
    pub fn find(folder: &Path) -> Result<Toolchain, Error> {
        let tool = |name: &str, variable: &str| {
            let named = std::env::var_os(variable).map(PathBuf::from);
            named.or_else(|| Some(folder.join("bin").join(name)).filter(|path| path.is_file()))
        };
        Ok(Toolchain {
            rustc: Rustc::find(folder)?,
            ptxas: tool("ptxas", PTXAS_VARIABLE),
            nvdisasm: tool("nvdisasm", NVDISASM_VARIABLE),
        })
    }
}

impl Rustc {
    fn find(folder: &Path) -> Result<Rustc, Error> {
        if let Some(path) = std::env::var_os(RUSTC_VARIABLE) {
            let path = PathBuf::from(path);
            return Rustc::look_at(&path, Origin::Variable).map_err(|reason| Error::UnfitRustc {
                variable: RUSTC_VARIABLE,
                path,
                reason,
            });
        }
        let mut reasons = Vec::new();
        for (path, origin) in candidates(folder) {
            match Rustc::look_at(&path, origin) {
                Ok(rustc) => return Ok(rustc),
                Err(reason) => reasons.push(format!("{} {reason}", path.display())),
            }
        }
        let reasons = if reasons.is_empty() { "none was found".to_string() } else { reasons.join(", ") };
        Err(Error::NoRustc { reasons })
    }

    /// The compiler at `path`, or why it will not do.
    fn look_at(path: &Path, origin: Origin) -> Result<Rustc, String> {
        let prefix = path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let libraries = prefix.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        let mut rustc = Rustc {
            path: path.to_path_buf(),
            origin,
            version: String::new(),
            llvm: String::new(),
            libraries: (origin != Origin::System && libraries.is_dir()).then_some(libraries),
        };
        let text = rustc.ask(&["-vV"])?;
        rustc.version = text.lines().next().unwrap_or_default().replace(" (built from a source tarball)", "");
        rustc.llvm = field(&text, "LLVM version: ").unwrap_or_default();
        let (major, minor) = OLDEST_RUSTC;
        let release = field(&text, "release: ").unwrap_or_default();
        if numbers(&release) < (major, minor) {
            return Err(format!("is {release}, older than {major}.{minor}"));
        }
        let sysroot = rustc.ask(&["--print", "sysroot"])?;
        if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
            return Err("has no library source".to_string());
        }
        Ok(rustc)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.path);
        self.prepare(command.args(arguments));
        let output = command.output().map_err(|cause| format!("cannot be started: {cause}"))?;
        if !output.status.success() {
            return Err(format!("fails: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Lets a command, or what it starts, find this compiler's libraries.
    pub(crate) fn prepare(&self, command: &mut Command) {
        const VARIABLE: &str = "LD_LIBRARY_PATH";
        if let Some(libraries) = &self.libraries {
            let mut path = libraries.clone().into_os_string();
            if let Some(others) = std::env::var_os(VARIABLE).filter(|others| !others.is_empty()) {
                path.push(":");
                path.push(others);
            }
            command.env(VARIABLE, path);
        }
    }
}

/// Where compilers may be, in order; those without library source are left out where that is quickly seen.
fn candidates(folder: &Path) -> Vec<(PathBuf, Origin)> {
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup")));
    let toolchains = home.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok());
    let mut found: Vec<PathBuf> = toolchains.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.retain(|toolchain| toolchain.join("lib/rustlib/src/rust/library").is_dir());
    let mut all: Vec<(PathBuf, Origin)> =
        found.into_iter().map(|toolchain| (toolchain.join("bin/rustc"), Origin::Rustup)).collect();
    all.push((PathBuf::from("/usr/bin/rustc"), Origin::System));
    all.push((folder.join("rust/usr/bin/rustc"), Origin::Unpacked));
    all.retain(|(path, _)| path.is_file());
    all
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_string)
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.100.0") > numbers("1.96.0"));
        assert_eq!(numbers("1.97.0-nightly"), (1, 97));
        assert_eq!(numbers("?"), (0, 0));
    }

    #[test]
    fn an_empty_folder_has_no_tools() {
        assert!(!candidates(Path::new("no-such-folder")).iter().any(|(_, origin)| *origin == Origin::Unpacked));
    }

    #[test]
    fn what_is_no_compiler_will_not_do() {
        let reason = Rustc::look_at(Path::new("/bin/false"), Origin::Variable).unwrap_err();
        assert!(reason.starts_with("fails"), "{reason}");
    }
}
