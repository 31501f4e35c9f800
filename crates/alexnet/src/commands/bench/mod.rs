//! `alexnet bench`: how fast this machine reads images, and computes.

mod data;
mod step;

use anyhow::Result;

use crate::cli::{Bench, BenchArgs};

/// Runs the command.
///
/// # Errors
/// When the data set cannot be opened or read, there is no such net, or memory or threads are too few.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        Bench::Data(args) => data::run(args),
        Bench::Step(args) => step::run(args),
    }
}
