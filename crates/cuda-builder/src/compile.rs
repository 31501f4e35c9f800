//! From a crate to PTX.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Arch, Error, Kernel, Rustc, kernel};

const TARGET: &str = "nvptx64-nvidia-cuda";

/// A panic becomes an inline `trap`: no calls, no texts.
const TRAP_ON_PANIC: [&str; 2] = ["-Zunstable-options", "-Cpanic=immediate-abort"];

/// Without these two, a barrier or a warp's instruction between two equal conditions is duplicated into their branches,
/// and the kernel hangs or computes nonsense.
const KEEP_BARRIERS_MIR: &str = "-Zmir-enable-passes=-JumpThreading";
const KEEP_BARRIERS_LLVM: &str = "llvm-args=-simplifycfg-max-small-block-size=0";

/// One unit, so that no PTX linker is needed.
const PROFILE: [&str; 7] = [
    "profile.ptx.inherits='release'",
    "profile.ptx.opt-level=3",
    "profile.ptx.debug=false",
    "profile.ptx.lto='fat'",
    "profile.ptx.codegen-units=1",
    "profile.ptx.panic='abort'",
    "profile.ptx.incremental=false",
];

/// Variables that would change the build.
const FOREIGN: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_INCREMENTAL",
];

/// What to compile, and how.
pub(crate) struct Compile<'a> {
    pub(crate) crate_dir: &'a Path,
    pub(crate) target_dir: &'a Path,
    pub(crate) rustc: &'a Rustc,
    pub(crate) arch: Arch,
    pub(crate) kernels: &'a [Kernel],
    /// With the flags that keep barriers.
    pub(crate) protected: bool,
}

/// What came out.
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    pub(crate) ptx: String,
}

impl Compile<'_> {
    pub(crate) fn run(&self) -> Result<Output, Error> {
        std::fs::create_dir_all(self.target_dir).map_err(|cause| Error::file(self.target_dir, cause))?;
        let attributes = self.write_attributes()?;
        let path = self.target_dir.join(format!("{}.{}.s", crate::crate_name(self.crate_dir), self.arch));

        let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let mut cargo = Command::new(&program);
        cargo.current_dir(self.crate_dir).args(["rustc", "--lib", "--crate-type", "cdylib", "--profile", "ptx"]);
        cargo.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"]).arg(self.target_dir);
        cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
        cargo.arg("--").args(self.codegen(&attributes, &path));

        for name in FOREIGN {
            cargo.env_remove(name);
        }
        self.rustc.prepare(&mut cargo);
        cargo.env("RUSTC", &self.rustc.path).env("RUSTC_BOOTSTRAP", "1");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags().join("\u{1f}"));

        let status = cargo.status().map_err(|cause| Error::Start { program, cause })?;
        if !status.success() {
            return Err(Error::Compile { crate_dir: self.crate_dir.to_path_buf() });
        }
        let ptx = std::fs::read_to_string(&path).map_err(|cause| Error::file(&path, cause))?;
        Ok(Output { path, ptx })
    }

    /// Flags for the kernels and for `core`.
    fn rustflags(&self) -> Vec<&'static str> {
        let mut flags = TRAP_ON_PANIC.to_vec();
        if self.protected {
            flags.push(KEEP_BARRIERS_MIR);
        }
        flags
    }

    /// Flags for the kernels.
    fn codegen(&self, attributes: &Path, ptx: &Path) -> Vec<String> {
        let mut flags = vec![format!("--emit=asm={}", ptx.display())];
        let mut option = |value: String| flags.extend(["-C".to_string(), value]);
        option(format!("target-cpu={}", self.arch));
        option("linker-flavor=llbc".to_string());
        option("linker=/bin/true".to_string());
        option(format!("llvm-args=-forceattrs-csv-path={}", attributes.display()));
        if self.protected {
            option(KEEP_BARRIERS_LLVM.to_string());
        }
        flags
    }

    /// Cargo does not look into the file, so its name changes with its text.
    fn write_attributes(&self) -> Result<PathBuf, Error> {
        let text = kernel::attributes(self.kernels);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let path = self.target_dir.join(format!("attributes-{:016x}.csv", hasher.finish()));
        std::fs::write(&path, text).map_err(|cause| Error::file(&path, cause))?;
        Ok(path)
    }
}
