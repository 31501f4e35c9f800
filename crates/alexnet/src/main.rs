//! The `alexnet` command.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use alexnet::cli::Cli;
use alexnet::commands;
use clap::Parser;

fn main() -> ExitCode {
    match commands::run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Where nobody listens, the exit code still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
