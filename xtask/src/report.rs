//! `cargo xtask bench --gpu`: tests, times and PyTorch on the same card, one behind the other, as one report.
//!
//! Where `ALEXNET_CUDA` names a simulated card the report is complete as well: kernels are checked with the shapes of CI,
//! times are predicted, and what needs a card says so.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Where the report goes, in the workspace's folder.
const PATH: &str = "target/gpu-report.md";
/// Where clocks go while operations are timed.
const CLOCKS: &str = "target/gpu-clocks.csv";

/// Runs everything and writes the report; a part that fails is in it, too, and is an error in the end.
pub(crate) fn run(net: &str, batch: usize, torch: Option<&Path>) -> Result<()> {
    let simulated = std::env::var("ALEXNET_CUDA").is_ok_and(|value| !value.is_empty());
    let mut text = format!("# GPU report: {net}, {batch} images a step\n\n{}", head(simulated));
    let parts = [
        ("Every kernel against the naive device", kernels(simulated)),
        ("A network against PyTorch's references and the processor", networks(simulated)),
        ("Every operation of a step, and the step, f32", times(net, batch, "f32")),
        ("Every operation of a step, and the step, bf16", times(net, batch, "bf16")),
        ("PyTorch", pytorch(torch)),
    ];
    let mut failed = Vec::new();
    for (title, part) in parts {
        let word = match part.went {
            Went::Well => "ok",
            Went::Wrong => "FAILED",
            Went::Nowhere => "not run",
        };
        let _ = write!(text, "\n## {title}: {word}\n\n```\n{}\n```\n", part.text.trim_end());
        failed.extend((part.went == Went::Wrong).then_some(title));
    }
    let path = crate::root().join(PATH);
    std::fs::write(&path, &text).with_context(|| path.display().to_string())?;
    println!("{text}\nwrote {PATH}");
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}

#[derive(PartialEq)]
enum Went {
    Well,
    Wrong,
    Nowhere,
}

struct Part {
    went: Went,
    text: String,
}

impl Part {
    fn not_run(reason: &str) -> Part {
        Part { went: Went::Nowhere, text: reason.to_string() }
    }

    /// Runs a command; of its errors there is something to read only when it fails.
    fn of(command: &mut Command) -> Part {
        println!("running {command:?}");
        match command.output() {
            Ok(output) => {
                let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                if !output.status.success() {
                    text.push_str(&String::from_utf8_lossy(&output.stderr));
                }
                Part { went: if output.status.success() { Went::Well } else { Went::Wrong }, text }
            }
            Err(error) => Part { went: Went::Wrong, text: format!("cannot start {command:?}: {error}") },
        }
    }
}

/// What figures have to be read with: when, what, where.
fn head(simulated: bool) -> String {
    let git = |arguments: &[&str]| said(Command::new("git").args(arguments).current_dir(crate::root()));
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_string());
    let ptx = std::fs::read_to_string(crate::root().join("target/ptx/kernels.sm_80.ptx")).unwrap_or_default();
    let compiler =
        ptx.lines().next().map_or("none: run `cargo xtask build-ptx`", |line| line.trim_start_matches("// "));
    let unknown = || "unknown".to_string();
    let card = match said(&mut smi("name,driver_version,vbios_version,clocks.max.sm,clocks.max.mem,power.limit", "csv"))
    {
        Some(csv) => format!("nvidia-smi:\n\n```\n{csv}\n```\n"),
        None => "no nvidia-smi: nothing is known of driver, power limit and clocks while this ran\n".to_string(),
    };
    let mut text = String::new();
    if simulated {
        text.push_str("**The card is simulated: every time of it is predicted, none was measured.**\n\n");
    }
    let _ = write!(
        text,
        "- {}, commit {commit}{}\n- {}, {}, {}\n- kernels: {compiler}\n- {card}",
        said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])).unwrap_or_else(unknown),
        if changed { " with changes" } else { "" },
        crate::against::processor(),
        said(Command::new("uname").arg("-sr")).unwrap_or_else(unknown),
        said(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
    );
    text
}

/// What a command prints, if it goes well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// On a card with all of AlexNet's shapes.
fn kernels(simulated: bool) -> Part {
    let tests = ["--test", "cuda_operations", "--test", "device", "--test", "graph"];
    Part::of(test(simulated).args(["-p", "convnet"]).args(tests))
}

fn networks(simulated: bool) -> Part {
    if simulated {
        return Part::not_run("on simulated cards `cargo xtask test` does this");
    }
    Part::of(test(simulated).args(["-p", "tests", "--test", "parity", "--test", "gpu"]))
}

/// `cargo test` on the card; tests simulate cards of their own otherwise.
fn test(simulated: bool) -> Command {
    let mut command = crate::cargo(&["test", "--no-fail-fast"]);
    if simulated {
        command.env_remove("ALEXNET_CUDA")
    } else {
        command.env("ALEXNET_TEST_GPU", "1")
    };
    command
}

/// Times, and the card's clocks meanwhile.
fn times(net: &str, batch: usize, precision: &str) -> Part {
    let built = Part::of(&mut crate::cargo(&["build", "--quiet", "-p", "benches", "--bin", "gpu"]));
    if built.went == Went::Wrong {
        return built;
    }
    let watch = watch();
    let run = ["run", "--quiet", "-p", "benches", "--bin", "gpu", "--", net];
    let mut part = Part::of(crate::cargo(&run).args([&batch.to_string(), "20", precision]));
    if let Some(mut watch) = watch {
        // It may have ended by itself, where it was given something that it does not know.
        let _ = watch.kill();
        let _ = watch.wait();
        let csv = std::fs::read_to_string(crate::root().join(CLOCKS)).unwrap_or_default();
        let _ = write!(part.text, "\n{}", clocks(&csv));
    }
    part
}

/// Starts writing the card's clocks down, five times a second.
fn watch() -> Option<Child> {
    let file = File::create(crate::root().join(CLOCKS)).ok()?;
    let mut smi = smi("clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu", "csv,noheader,nounits");
    smi.arg("--loop-ms=200").stdout(file).stderr(Stdio::null()).spawn().ok()
}

fn smi(query: &str, format: &str) -> Command {
    let mut smi = Command::new("nvidia-smi");
    smi.args([&format!("--query-gpu={query}"), &format!("--format={format}"), "--id=0"]);
    smi
}

/// Lowest, middle and highest of each column, of the lines in which the card was busy.
fn clocks(csv: &str) -> String {
    let lines = csv.lines().filter_map(|line| {
        let numbers: Option<Vec<f64>> = line.split(',').map(|number| number.trim().parse().ok()).collect();
        numbers.filter(|numbers| numbers.len() == 5 && numbers[4] > 0.0)
    });
    let lines: Vec<Vec<f64>> = lines.collect();
    if lines.is_empty() {
        return "clocks meanwhile: nvidia-smi has not seen the card busy\n".to_string();
    }
    let mut text = format!("clocks meanwhile, {} looks: ", lines.len());
    for (column, unit) in ["MHz of multiprocessors", "MHz of memory", "W", "degrees"].into_iter().enumerate() {
        let mut values: Vec<f64> = lines.iter().map(|line| line[column]).collect();
        values.sort_by(f64::total_cmp);
        let (low, middle, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
        let _ = write!(text, "{}{middle} ({low} to {high}) {unit}", if column > 0 { ", " } else { "" });
    }
    text + "\n"
}

/// The script's output; without it or a card for it, what is missing.
fn pytorch(script: Option<&Path>) -> Part {
    let python = std::env::var("ALEXNET_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let look = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())";
    let Some(found) = said(Command::new(&python).args(["-c", look])) else {
        return Part::not_run(&format!(
            "{python} has no torch: install it (pip install torch), or name the interpreter that has it in \
             ALEXNET_PYTHON"
        ));
    };
    if !found.ends_with("True") {
        return Part::not_run(&format!("{python} has torch (version, CUDA, sees a card: {found}), which sees no card"));
    }
    match script {
        Some(script) => {
            let part = Part::of(Command::new(python).arg(script));
            Part { text: format!("torch (version, CUDA, sees a card): {found}\n{}", part.text), ..part }
        }
        None => Part::not_run(&format!(
            "torch {found} sees a card, but --torch names no script: one that trains the network of this report with \
             as many images a step, and prints its images/s"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_those_of_a_busy_card() {
        let csv = "345, 2619, 70.1, 30, 0\n1980, 2619, 650.5, 60, 100\n1755, 2619, 699, 64, 99\n[N/A], 1, 2, 3, 4\n";
        assert_eq!(
            clocks(csv),
            "clocks meanwhile, 2 looks: 1980 (1755 to 1980) MHz of multiprocessors, 2619 (2619 to 2619) MHz of memory, \
             699 (650.5 to 699) W, 64 (60 to 64) degrees\n"
        );
        assert!(clocks("345, 2619, 70.1, 30, 0\n").contains("not seen"));
    }
}
