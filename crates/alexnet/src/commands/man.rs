//! `alexnet man`: a manual page for each command.

use std::fs;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, ManArgs};
use crate::console::{quoted, say};

/// Runs the command.
///
/// # Errors
/// When the pages cannot be written.
pub fn run(args: &ManArgs) -> Result<()> {
    let cannot = || format!("cannot write manual pages to {}; give another folder", args.out.display());
    fs::create_dir_all(&args.out).with_context(cannot)?;
    clap_mangen::generate_to(Cli::command(), &args.out).with_context(cannot)?;
    say(format_args!("read them with: man {}", quoted(&args.out.join("alexnet-train.1"))));
    Ok(())
}
