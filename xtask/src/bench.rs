//! `cargo xtask bench`: the criterion benchmarks, the report of a GPU, the counts and the timeline of a simulated one,
//! and PyTorch beside ours on the processor.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Arguments of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// Run only benchmarks whose names contain this
    filter: Option<String>,
    /// Check and time every kernel and the step on a GPU (ALEXNET_CUDA=sim:1: a simulated one), and PyTorch's step where
    /// there is torch; writes target/gpu-report.md
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
    /// Activations of the counts, the trace or the comparison: f32 or bf16
    #[arg(long, conflicts_with_all = ["filter", "gpu"], default_value = "f32", value_parser = ["f32", "bf16"])]
    precision: String,
    /// PyTorch's script of the report: it trains the same network and prints its images/s
    #[arg(long, requires = "gpu", value_name = "FILE")]
    torch: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        if self.gpu {
            return crate::report::run(&self.net, self.batch(), self.torch.as_deref());
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
        let run = ["run", "--package", "benches", "--bin", "timeline", "--"];
        let run = [&run[..], &[&self.net, &batch, &cards, &self.precision, file]].concat();
        let status = crate::cargo(&run).env("ALEXNET_SIM_CHECKS", "off").status().context("cannot start cargo")?;
        ensure!(status.success(), "timeline: {status}");
        Ok(())
    }
}
