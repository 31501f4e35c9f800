//! `cargo xtask bench`: the criterion benchmarks.

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Arguments of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// Run only benchmarks whose names contain this
    filter: Option<String>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        let mut arguments = vec!["bench", "--package", "benches"];
        if let Some(filter) = &self.filter {
            arguments.extend(["--", filter]);
        }
        let status = crate::cargo(&arguments).status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo bench: {status}");
        Ok(())
    }
}
