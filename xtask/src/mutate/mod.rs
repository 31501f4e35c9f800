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

use mutant::mutants;

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
        let folder = crate::root().join("target/mutants");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut survivors = Vec::new();
        let mut programs: BTreeMap<&str, PathBuf> = BTreeMap::new();
        let file = folder.join("mutant.ptx");
        let wanted = mutants(&ptx).into_iter().filter(|mutant| mutant.kernel.starts_with(&self.kernels));
        for mutant in wanted.step_by(self.every.max(1)) {
            let tests =
                tests_of(&mutant.kernel).with_context(|| format!("no tests are named for {}", mutant.kernel))?;
            if !programs.contains_key(tests.program) {
                programs.insert(tests.program, build(tests.program)?);
            }
            std::fs::write(&file, &mutant.ptx).with_context(|| file.display().to_string())?;
            let mut caught = false;
            for test in &tests.names {
                caught = caught || fails(&programs[tests.program], test, &file)?;
            }
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

/// A program of tests of `convnet`, and those of its tests that run a kernel, the quickest first.
struct Tests {
    program: &'static str,
    names: Vec<String>,
}

/// The tests of a kernel: an operation's kernels have its name in front, and those for bf16 say so.
fn tests_of(kernel: &str) -> Option<Tests> {
    const OPERATIONS: [&str; 8] = ["activation", "augment", "dropout", "lrn", "map_norm", "pool", "softmax", "update"];
    const SUMS: [&str; 4] = ["conv", "sum_parts", "column_sums", "fc"];
    let precision = if kernel.contains("bf16") { "bf16" } else { "f32" };
    let operations = |tests: &[&str]| {
        let names = tests.iter().map(|test| format!("{precision}::{test}")).collect();
        Some(Tests { program: "cuda_operations", names })
    };
    let begins = |list: &[&'static str]| list.iter().copied().find(|operation| kernel.starts_with(operation));
    let device = |test: &str| Some(Tests { program: "device", names: vec![format!("kernels::{test}")] });
    match kernel {
        "fill" => device("fill_sets_every_number_and_no_other"),
        "vector_add" => device("vector_add_adds_as_the_host_does"),
        "block_reduce" => device("block_reduce_sums_in_its_order"),
        "gemm_naive" | "gemm_tiled" => device("products_are_those_of_the_host"),
        "gemm_bf16" => device("bf16_products_are_within_rounding"),
        _ if begins(&SUMS).is_some() => operations(&["fc_with_many_images", "conv", "fc", "alexnet"]),
        "softmax_forward" => operations(&["softmax", "logits_that_are_no_numbers", "other_layers_of_alexnet"]),
        _ => operations(&[begins(&OPERATIONS)?, "many_towers", "other_layers_of_alexnet"]),
    }
}

/// Builds a program of tests and gives its path.
fn build(program: &str) -> Result<PathBuf> {
    let output = crate::cargo(&["test", "-p", "convnet", "--test", program, "--no-run"])
        .stderr(Stdio::piped())
        .output()
        .context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the tests do not build:\n{text}");
    let path = text.lines().rev().find_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'));
    Ok(crate::root().join(path.context("cargo names no test program")?))
}

/// Whether a test fails, or does not end, with the kernels of `ptx`.
fn fails(program: &Path, test: &str, ptx: &Path) -> Result<bool> {
    let mut child = Command::new(program)
        .args(["--exact", test])
        .env("ALEXNET_KERNELS", ptx)
        .env("RUST_BACKTRACE", "0")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .current_dir(crate::root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
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
