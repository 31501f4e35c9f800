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

use kernels_gpu::philox::philox4x32;
use mutant::{Mutant, mutants};

/// Break the kernels' PTX one instruction at a time and count what the tests catch
#[derive(Args)]
pub(crate) struct Mutate {
    /// Only kernels whose names begin with this
    #[arg(default_value = "")]
    kernels: String,
    /// Only so many of their branches and predicates, drawn at random, and neither barriers nor waits
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Chooses the sample
    #[arg(long, requires = "sample", default_value_t = 1)]
    seed: u32,
}

/// A test that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(300);

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
        for mutant in self.chosen(mutants(&ptx)) {
            let tests =
                tests_of(&mutant.kernel).with_context(|| format!("no tests are named for {}", mutant.kernel))?;
            std::fs::write(&file, mutant.ptx(&ptx)).with_context(|| file.display().to_string())?;
            let mut caught = None;
            for (program, test) in tests {
                if !programs.contains_key(program) {
                    programs.insert(program, build(program)?);
                }
                if caught.is_none() {
                    caught = fails(&programs[program], &test, &file)?.map(|how| format!("{test} {how}"));
                }
            }
            let count = counts.entry(mutant.kernel.clone()).or_default();
            count.0 += usize::from(caught.is_some());
            count.1 += 1;
            match caught {
                Some(test) => println!("caught   {mutant} ({test})"),
                None => {
                    println!("SURVIVED {mutant}");
                    survivors.push(mutant);
                }
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

    /// Those of the kernels that were named; of a sample those with the least of a random number each.
    fn chosen(&self, mut mutants: Vec<Mutant>) -> Vec<Mutant> {
        mutants.retain(|mutant| mutant.kernel.starts_with(&self.kernels));
        let Some(sample) = self.sample else { return mutants };
        mutants.retain(|mutant| !mutant.is_wait());
        println!("{sample} of {} branches and predicates, seed {}", mutants.len(), self.seed);
        let mut numbered: Vec<_> = (0..).zip(mutants).collect();
        numbered.sort_by_key(|&(index, _)| philox4x32([index, 0, 0, 0], [self.seed, 0]));
        numbered.into_iter().map(|(_, mutant)| mutant).take(sample).collect()
    }
}

/// The programs of tests of `convnet`, and their tests that run a kernel, the quickest first: an operation's kernels have
/// its name in front, and those for bf16 say so.
fn tests_of(kernel: &str) -> Option<Vec<(&'static str, String)>> {
    const OPERATIONS: [&str; 8] = ["activation", "add", "dropout", "lrn", "map_norm", "pool", "softmax", "update"];
    let precision = if kernel.contains("bf16") || kernel == "update_rounded" { "bf16" } else { "f32" };
    let operations = |tests: &[&str]| {
        let list: Vec<_> = tests.iter().map(|test| ("cuda_operations", format!("{precision}::{test}"))).collect();
        Some(list)
    };
    let device = |test: &str| Some(vec![("device", test.to_string())]);
    let begins = |list: &[&'static str]| list.iter().copied().find(|operation| kernel.starts_with(operation));
    match kernel {
        "fill" => device("kernels::fill_sets_every_number_and_no_other"),
        "vector_add" => device("kernels::vector_add_adds_as_the_host_does"),
        "block_reduce" => device("kernels::block_reduce_sums_in_its_order"),
        "gemm_naive" | "gemm_tiled" => device("kernels::products_are_those_of_the_host"),
        "gemm_bf16" => device("kernels::bf16_products_are_within_rounding"),
        "blocks_of_images" | "blocks_of_weights" | "gradient_of_blocks" => {
            Some(vec![("cuda_operations", "bf16::alexnet".to_string())])
        }
        "augment" | "augment_bf16" => {
            let mut tests = operations(&["augment", "other_layers_of_alexnet"])?;
            tests.push(("cuda_operations", "augment_in_blocks".to_string()));
            Some(tests)
        }
        "softmax_forward" => operations(&["softmax", "logits_that_are_no_numbers", "other_layers_of_alexnet"]),
        _ if begins(&["conv", "sum_parts", "column_sums"]).is_some() => {
            let of_tiles = [
                ("conv_forward_bf16", "bf16::forward_adds_both_towers_bias_and_relu"),
                ("conv_input_grad_bf16", "bf16::input_gradients_add_up_over_consumers"),
                ("conv_weight_grad_bf16", "bf16::weight_gradients_add_up_over_windows"),
            ];
            let of_tiles = of_tiles.iter().filter(|(name, _)| kernel.starts_with(name));
            let mut tests: Vec<_> = of_tiles.map(|&(_, test)| ("device", test.to_string())).collect();
            tests.push(("cuda_operations", "small_batches".to_string()));
            tests.push(("cuda_operations", "products_of_four_towers".to_string()));
            tests.push(("cuda_operations", "the_pool_is_free_before_outputs_are_gathered_there".to_string()));
            tests.extend(operations(&["fc_with_many_images", "fc", "conv", "alexnet"])?);
            Some(tests)
        }
        _ if kernel.starts_with("fc_weight_update") => operations(&["fc_with_many_images", "fc", "alexnet"]),
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

/// What a test does, if it fails or does not end with the kernels of `ptx`.
fn fails(program: &Path, test: &str, ptx: &Path) -> Result<Option<&'static str>> {
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
            return Ok((!status.success()).then_some("fails"));
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Some("does not end"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_tests() {
        let without: Vec<&str> =
            kernels_gpu::KERNELS.iter().map(|kernel| kernel.name).filter(|name| tests_of(name).is_none()).collect();
        assert!(without.is_empty(), "{without:?}");
    }
}
