//! `cargo xtask test`: exactly what CI runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::build_ptx::BuildPtx;

/// A part of the tests: what it is called and what it runs.
struct Stage {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// Kernels come before what embeds them. The tests come last, so that their results end the output.
const STAGES: [Stage; 7] = [
    Stage { name: "format", run: || cargo(&["fmt", "--all", "--", "--check"], &[]) },
    Stage { name: "tidy", run: || crate::tidy::run(&crate::root()) },
    Stage { name: "kernels", run: || BuildPtx::default().run() },
    Stage { name: "clippy", run: || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]) },
    Stage {
        name: "documentation",
        run: || {
            cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"], &[("RUSTDOCFLAGS", "-D warnings")])
        },
    },
    Stage { name: "counts", run: counts },
    // The same random cases in every run, so that only a change fails; `cargo test` draws new ones.
    Stage {
        name: "tests",
        run: || cargo(&["test", "--workspace", "--no-fail-fast"], &[("PROPTEST_RNG_SEED", "2012")]),
    },
];

/// Runs every stage, also after one that failed.
pub(crate) fn run() -> Result<()> {
    let mut results = Vec::new();
    for Stage { name, run } in STAGES {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = run();
        let time = start.elapsed();
        match &outcome {
            Ok(()) => println!("=== {name}: ok, {:.1} s", time.as_secs_f64()),
            Err(error) => println!("=== {name}: FAILED, {:.1} s: {error:#}", time.as_secs_f64()),
        }
        results.push((name, outcome.is_ok(), time));
    }
    print!("\n{}", summary(&results));
    let failed: Vec<&str> = results.iter().filter(|(_, ok, _)| !ok).map(|&(name, ..)| name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Kernels do no more work than the committed tables say; a few images show it as well as many.
fn counts() -> Result<()> {
    ["f32", "bf16"].into_iter().try_for_each(|precision| crate::counted::run("nips2012", 4, precision, true))
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = crate::cargo(arguments);
    command.envs(environment.iter().copied());
    println!("cargo {}", arguments.join(" "));
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn summary(results: &[(&str, bool, Duration)]) -> String {
    let line = |&(name, ok, time): &(&str, bool, Duration)| {
        format!("  {:<14} {:<6} {:>7.1} s\n", name, if ok { "ok" } else { "FAILED" }, time.as_secs_f64())
    };
    let lines: String = results.iter().map(line).collect();
    let failed = results.iter().filter(|(_, ok, _)| !ok).count();
    let last = match failed {
        0 => format!("all {} stages passed\n", results.len()),
        _ => format!("{failed} of {} stages FAILED\n", results.len()),
    };
    format!("=== summary\n{lines}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed() {
        let second = Duration::from_secs(1);
        let text = summary(&[("format", true, second), ("tests", false, 2 * second)]);
        assert!(text.contains("format         ok         1.0 s"), "{text}");
        assert!(text.ends_with("1 of 2 stages FAILED\n"), "{text}");
        assert!(summary(&[("format", true, second)]).ends_with("all 1 stages passed\n"));
    }
}
