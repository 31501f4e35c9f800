//! The commands of the program.

pub mod eval;
pub mod export;
mod model;
pub mod net;
pub mod predict;
pub mod prepare;
pub mod train;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use dataset::Dataset;

use crate::cli::{Cli, Command};

/// Runs a command.
///
/// # Errors
/// What went wrong, as a chain of causes.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Net(args) => net::run(args).map(|()| ExitCode::SUCCESS),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        Command::Predict(args) => predict::run(args).map(|()| ExitCode::SUCCESS),
        Command::Prepare(args) => prepare::run(args),
    }
}

/// The data set in `folder`, packed or not, or the demo set, with images of `side` pixels for `net`.
fn open_data(folder: Option<&Path>, side: usize, net: &str) -> Result<Dataset> {
    let Some(folder) = folder else {
        let demo = Dataset::demo();
        if demo.side != side {
            bail!(
                "net {net} reads images of {side} pixels, those of the demo set have {}; \
                 give --data DIR, or --net mini",
                demo.side
            );
        }
        return Ok(demo);
    };
    Ok(Dataset::open(folder, side)?)
}

/// Checks that a data set has the classes of a checkpoint.
fn check_classes(data: &Dataset, expected: &[String], checkpoint: &Path) -> Result<()> {
    if data.classes == expected {
        return Ok(());
    }
    let missing: Vec<&str> =
        expected.iter().filter(|class| !data.classes.contains(class)).take(5).map(String::as_str).collect();
    let new: Vec<&str> =
        data.classes.iter().filter(|class| !expected.contains(class)).take(5).map(String::as_str).collect();
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
    bail!(
        "data {} has {} classes, {} was trained on {}; they must be the same. Missing in the data: {}; new: {}",
        data.name,
        data.classes.len(),
        checkpoint.display(),
        expected.len(),
        list(missing),
        list(new)
    )
}
