//! `cargo xtask bench`: the criterion benchmarks, the report of a GPU, the counts and the timeline of a simulated one,
//! and PyTorch beside ours on the processor.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

/// Arguments of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// Run only benchmarks whose names contain this
    filter: Option<String>,
    /// Check and time every kernel and the step on a GPU, and PyTorch's step where there is torch; writes
    /// target/gpu-report.md
    #[arg(long, conflicts_with = "filter")]
    gpu: bool,
    /// Count what every kernel of a training step does on the simulated device, and predict how long it takes on cards;
    /// writes docs/counted-NET-BATCH-PRECISION.md
    #[arg(long, conflicts_with_all = ["filter", "gpu"])]
    counted: bool,
    /// Compare with that document, instead of writing it
    #[arg(long, requires = "counted")]
    check: bool,
    /// Write two steps on the simulated device as a trace in Chrome's format, with predicted times
    #[arg(long, conflicts_with_all = ["filter", "gpu", "counted"], value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Cards of the trace that share the towers
    #[arg(long, requires = "timeline", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=16))]
    cards: u32,
    /// The net of the report, the counts or the trace
    #[arg(long, conflicts_with = "filter", default_value = "nips2012")]
    net: String,
    /// Images in a step [default: 128, and of the comparison 1, 16, 32 and 128]
    #[arg(long, conflicts_with = "filter", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Run the paper's network here and in another program in turns, on the processor
    #[arg(long, conflicts_with_all = ["filter", "gpu", "counted", "timeline"], value_parser = ["torch"])]
    against: Option<String>,
    /// Activations of the counts or the comparison: f32 or bf16
    #[arg(long, conflicts_with_all = ["filter", "gpu", "timeline"], default_value = "f32", value_parser = ["f32", "bf16"])]
    precision: String,
    /// PyTorch's script of the report, for example torch_bench.py
    #[arg(long, requires = "gpu", value_name = "FILE")]
    torch: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        if self.gpu {
            return self.report();
        }
        if self.against.is_some() {
            return crate::against::run(self.batch.map(|batch| batch as usize), &self.precision);
        }
        if self.counted {
            return crate::counted::run(&self.net, self.batch(), &self.precision, self.check);
        }
        if let Some(file) = &self.timeline {
            return self.write_timeline(file);
        }
        let mut arguments = vec!["bench", "--package", "benches"];
        if let Some(filter) = &self.filter {
            arguments.extend(["--", filter]);
        }
        let status = crate::cargo(&arguments).status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo bench: {status}");
        Ok(())
    }

    fn batch(&self) -> usize {
        self.batch.map_or(128, |batch| batch as usize)
    }

    fn write_timeline(&self, file: &Path) -> Result<()> {
        // The bench runs where the workspace is.
        let file = std::path::absolute(file).with_context(|| file.display().to_string())?;
        let file = file.to_str().with_context(|| format!("{} is no text", file.display()))?;
        let (batch, cards) = (self.batch().to_string(), self.cards.to_string());
        let run = ["run", "--package", "benches", "--bin", "timeline", "--", &self.net, &batch, &cards, file];
        let status = crate::cargo(&run).env("ALEXNET_SIM_CHECKS", "off").status().context("cannot start cargo")?;
        ensure!(status.success(), "timeline: {status}");
        Ok(())
    }

    /// Tests, times and PyTorch, one behind the other on the same card; a part that fails is in the report, too.
    fn report(&self) -> Result<()> {
        let batch = self.batch().to_string();
        let tests = [
            "test",
            "-p",
            "convnet",
            "--test",
            "cuda_operations",
            "--test",
            "device",
            "--test",
            "graph",
            "--no-fail-fast",
        ];
        let mut text = String::from("# GPU report\n");
        let mut tests = crate::cargo(&tests);
        let times = |precision: &str| {
            crate::cargo(&["run", "-p", "benches", "--bin", "gpu", "--", &self.net, &batch, "20", precision])
        };
        let parts = [
            ("Every kernel against the naive device", part(tests.env("ALEXNET_TEST_GPU", "1"))),
            ("Every operation of a step, and the step, f32", part(&mut times("f32"))),
            ("Every operation of a step, and the step, bf16", part(&mut times("bf16"))),
            (
                "PyTorch",
                self.torch.as_deref().map_or_else(no_script, |script| part(Command::new("python3").arg(script))),
            ),
        ];
        let mut failed = Vec::new();
        for (title, (ok, output)) in parts {
            let _ = write!(text, "\n## {title}: {}\n```\n{output}```\n", if ok { "ok" } else { "FAILED" });
            failed.extend((!ok).then_some(title));
        }
        let path = crate::root().join("target/gpu-report.md");
        std::fs::write(&path, &text).with_context(|| path.display().to_string())?;
        println!("{text}\nwrote target/gpu-report.md");
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

/// Runs a command and gives whether it went well, and what it printed.
fn part(command: &mut Command) -> (bool, String) {
    println!("running {command:?}");
    match command.output() {
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                text.push_str(&String::from_utf8_lossy(&output.stderr));
            }
            (output.status.success(), text)
        }
        Err(error) => (false, format!("cannot start: {error}\n")),
    }
}

fn no_script() -> (bool, String) {
    (true, "not run: --torch names no script\n".to_string())
}
