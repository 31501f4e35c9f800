//! `cargo xtask mutate`: breaks the kernels' PTX one instruction at a time, and counts what the tests catch.
//!
//! Each mutant is a whole module with one change, which the tests of the kernel's operation load in place of the
//! embedded one (`ALEXNET_KERNELS`), on the simulated device. A test that fails, reports a finding, or does not end in
//! time has caught it. What survives is listed, for a person to find the reason.

mod mutant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use mutant::{Mutant, mutants};

/// Break the kernels' PTX one instruction at a time and count what the tests catch
#[derive(Args)]
pub(crate) struct Mutate {
    /// Only kernels whose names begin with this
    #[arg(default_value = "")]
    kernels: String,
    /// Only every N-th mutant
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
}

/// A test that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(120);

impl Mutate {
    pub(crate) fn run(&self) -> Result<()> {
        let path = crate::root().join("target/ptx/kernels.sm_80.ptx");
        let ptx = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: run `cargo xtask build-ptx` first", path.display()))?;
        let tests = test_binary()?;
        let folder = crate::root().join("target/mutants");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut survivors = Vec::new();
        let wanted = mutants(&ptx).into_iter().filter(|mutant| mutant.kernel.starts_with(&self.kernels));
        for mutant in wanted.step_by(self.every.max(1)) {
            let Some(tests_of) = tests_of(&mutant.kernel) else { continue };
            let caught = caught(&tests, &tests_of, &folder, &mutant)?;
            let count = counts.entry(mutant.kernel.clone()).or_default();
            count.0 += usize::from(caught);
            count.1 += 1;
            println!("{} {mutant}", if caught { "caught  " } else { "SURVIVED" });
            if !caught {
                survivors.push(mutant);
            }
        }
        println!("\n{:<28} {:>7} {:>7}", "kernel", "mutants", "caught");
        for (kernel, (caught, all)) in &counts {
            println!("{kernel:<28} {all:>7} {caught:>7}");
        }
        println!("\n{} survivors", survivors.len());
        survivors.iter().for_each(|mutant| println!("  {mutant}"));
        Ok(())
    }
}

/// The tests of the operation that a kernel belongs to: its name begins with the operation's.
fn tests_of(kernel: &str) -> Option<[&'static str; 3]> {
    const PRODUCTS: [&str; 2] = ["conv", "fc"];
    const OTHERS: [&str; 8] = ["activation", "augment", "dropout", "lrn", "map_norm", "pool", "softmax", "update"];
    let named = |list: &[&'static str]| list.iter().copied().find(|test| kernel.starts_with(test));
    let product = named(&PRODUCTS).map(|test| [test, "alexnet", "fc_with_many_images"]);
    product.or(named(&OTHERS).map(|test| [test, "many_towers", "other_layers_of_alexnet"]))
}

/// Builds the operations' tests on the GPU and gives their program.
fn test_binary() -> Result<PathBuf> {
    let output = crate::cargo(&["test", "-p", "convnet", "--test", "cuda_operations", "--no-run"])
        .stderr(Stdio::piped())
        .output()
        .context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the tests do not build:\n{text}");
    let program = text.lines().rev().find_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'));
    Ok(crate::root().join(program.context("cargo names no test program")?))
}

fn caught(tests: &Path, tests_of: &[&str], folder: &Path, mutant: &Mutant) -> Result<bool> {
    let file = folder.join("mutant.ptx");
    std::fs::write(&file, &mutant.ptx).with_context(|| file.display().to_string())?;
    let mut child = Command::new(tests)
        .arg("--exact")
        .args(tests_of)
        .env("ALEXNET_KERNELS", &file)
        .env("RUST_BACKTRACE", "0")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .current_dir(crate::root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| tests.display().to_string())?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(!status.success());
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
