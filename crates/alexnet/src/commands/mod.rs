//! The commands of the program.

pub mod bench;
pub mod completions;
pub mod data;
pub mod ensemble;
pub mod eval;
pub mod experiment;
pub mod export;
pub mod features;
pub mod import;
pub mod man;
mod model;
pub mod net;
pub mod predict;
pub mod prepare;
pub mod report;
pub mod show;
pub mod similar;
pub mod submit;
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
        Command::Features(args) => features::run(args).map(|()| ExitCode::SUCCESS),
        Command::Similar(args) => similar::run(args).map(|()| ExitCode::SUCCESS),
        Command::Show(args) => show::run(args).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => report::run(args).map(|()| ExitCode::SUCCESS),
        Command::Ensemble(args) => ensemble::run(args).map(|()| ExitCode::SUCCESS),
        Command::Submit(args) => submit::run(args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        Command::Import(args) => import::run(args).map(|()| ExitCode::SUCCESS),
        Command::Predict(args) => predict::run(args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(args).map(|()| ExitCode::SUCCESS),
        Command::Data(args) => data::run(args).map(|()| ExitCode::SUCCESS),
        Command::Prepare(args) => prepare::run(args),
        Command::Experiment(args) => experiment::run(args),
        Command::Completions(args) => completions::run(args).map(|()| ExitCode::SUCCESS),
        Command::Man(args) => man::run(args).map(|()| ExitCode::SUCCESS),
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

/// The side at which the images of `folder` are looked at without a net: the one they have, else the paper's 256.
fn natural_side(folder: &Path) -> Result<usize> {
    Ok(Dataset::stored_side(folder)?.unwrap_or(256))
}

/// Checks that a data set has the classes of a checkpoint.
fn check_classes(data: &Dataset, expected: &[String], checkpoint: &Path) -> Result<()> {
    let is_same = |(a, b): (&String, &String)| dataset::same_class(a, b);
    if data.classes.len() == expected.len() && data.classes.iter().zip(expected).all(is_same) {
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
