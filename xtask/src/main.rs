//! The project's chores: one file per command.
#![forbid(unsafe_code)]

mod against;
mod bench;
mod build_ptx;
mod counted;
mod mutate;
mod report;
mod setup;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, checks and benchmarks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that CI runs: format, tidy, clippy, documentation, tests
    Test,
    /// Check the rules that the compiler does not
    Tidy,
    /// Run the benchmarks
    Bench(bench::Bench),
    /// Find or install what building GPU kernels needs
    Setup,
    /// Build the GPU kernels to target/ptx and check them
    BuildPtx(build_ptx::BuildPtx),
    /// Break the kernels' PTX one instruction at a time and count what the tests catch
    Mutate(mutate::Mutate),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test => test::run(),
        Command::Tidy => tidy::run(&root()),
        Command::Bench(bench) => bench.run(),
        Command::Setup => setup::run().map(drop),
        Command::BuildPtx(build_ptx) => build_ptx.run(),
        Command::Mutate(mutate) => mutate.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Cargo, in the workspace's folder.
fn cargo(arguments: &[&str]) -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(program);
    command.args(arguments).current_dir(root());
    command
}
