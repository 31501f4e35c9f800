//! `cargo xtask tidy`: rules that the compiler does not check.
//!
//! A rule is a function from a file to findings. Files are those that git tracks or would add.

mod code;
mod rules;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use code::Code;

/// A file of the repository.
struct File {
    /// From the repository's root, with slashes.
    path: String,
    bytes: u64,
    /// Empty for files that are not text.
    text: String,
    /// The text of a Rust file without comments and without what stands in quotes.
    code: Option<Code>,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        let code = path.ends_with(".rs").then(|| Code::of(text));
        File { path: path.to_string(), bytes: text.len() as u64, text: text.to_string(), code }
    }

    fn read(root: &Path, path: &str) -> Result<File> {
        let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        let mut file = File::new(path, std::str::from_utf8(&bytes).unwrap_or_default());
        file.bytes = bytes.len() as u64;
        Ok(file)
    }
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Counted from 1.
    line: Option<usize>,
    problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.problem),
            None => write!(f, " {}", self.problem),
        }
    }
}

/// Checks every rule on every file, and names all that is wrong.
pub(crate) fn run(root: &Path) -> Result<()> {
    let paths = paths(root)?;
    let mut findings = 0;
    for path in &paths {
        let file = File::read(root, path)?;
        for rule in rules::ALL {
            for finding in rule(&file) {
                println!("{path}:{finding}");
                findings += 1;
            }
        }
    }
    if findings > 0 {
        bail!("{findings} findings in {} files", paths.len());
    }
    println!("{} files are tidy", paths.len());
    Ok(())
}

/// Every file that is tracked, or untracked and not ignored.
fn paths(root: &Path) -> Result<Vec<String>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(root).output().context("cannot start git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let names = text.split('\0').filter(|name| !name.is_empty());
    // A tracked file may have been deleted.
    Ok(names.filter(|name| root.join(name).is_file()).map(str::to_string).collect())
}
