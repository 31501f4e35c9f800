//! `cargo xtask bench --against torch`: a step of the paper's network here and in PyTorch, in turns, on the processor.
//!
//! Three programs are started for a batch: ours (`benches`' `cpu`), PyTorch tuned and PyTorch as people run it
//! (`benches/torch_cpu.py`). Each makes its network once and waits for a word; then they take turns, a few steps at a
//! time, so that whatever else the machine does falls on all of them. One that waits does not compute.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The network that both have, and its batches.
const NET: &str = "paper";
const BATCHES: [usize; 4] = [1, 16, 32, 128];

/// Turns that each program gets.
const ROUNDS: usize = 5;

/// Images of a turn in training, and steps at most; inference is faster and gets three times as many.
const TURN: (usize, usize) = (64, 8);

/// glibc returns large blocks to the system and gets them back in every step; with these it keeps them.
const KEEP_MEMORY: [(&str, &str); 3] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "100000000000"), ("MALLOC_TOP_PAD_", "268435456")];

/// Runs the comparison and prints a table in Markdown.
pub(crate) fn run(batch: Option<usize>, precision: &str) -> Result<()> {
    let python = std::env::var("ALEXNET_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let torch = Command::new(&python).args(["-c", "import torch"]).output();
    ensure!(
        torch.is_ok_and(|output| output.status.success()),
        "{python} has no torch: install it (pip install torch), or name the interpreter that has it in ALEXNET_PYTHON"
    );
    let status =
        crate::cargo(&["build", "--package", "benches", "--bin", "cpu"]).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    let threads = std::thread::available_parallelism().context("processors")?.get().to_string();
    println!(
        "A step of `{NET}` in {precision} on {}, {threads} threads; images/s, the median of {ROUNDS} turns and all of \
         them; peak memory\n\n| | ours | PyTorch tuned | ratio | PyTorch as people run it | ratio |\n\
         | --- | --- | --- | --- | --- | --- |",
        processor()
    );
    let mut version = String::new();
    for batch in batch.map_or(BATCHES.to_vec(), |batch| vec![batch]) {
        let size = batch.to_string();
        let of_torch = |style: &str| {
            let mut command = Command::new(&python);
            command.arg(crate::root().join("benches/torch_cpu.py")).args([&size, precision, &threads, style]);
            command
        };
        let mut ours = Command::new(crate::root().join("target/debug/cpu"));
        ours.args([NET, &size, precision, &threads]);
        let mut tuned = of_torch("tuned");
        tuned.envs(KEEP_MEMORY);
        let programs = [ours, tuned, of_torch("plain")].map(Program::start);
        let [ours, tuned, plain] = programs;
        let mut programs = [ours?, tuned?, plain?];
        version.clone_from(&programs[1].version);
        for what in ["train", "infer"] {
            println!("| {what}, {batch} {}", compare(&mut programs, what, batch)?);
        }
        println!("| peak, {batch} {}", peaks(&mut programs)?);
    }
    println!("\nPyTorch {version}.");
    Ok(())
}

/// A row: each program's images/s, and ours over the others'.
fn compare(programs: &mut [Program; 3], what: &str, batch: usize) -> Result<String> {
    let steps = (TURN.0 / batch).clamp(1, TURN.1) * if what == "infer" { 3 } else { 1 };
    let mut speeds: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (program, speeds) in programs.iter_mut().zip(&mut speeds) {
            let seconds: f64 = program.ask(&format!("{what} {steps}"))?.iter().sum();
            // The first turn warms up.
            if round > 0 {
                speeds.push((batch * steps) as f64 / seconds);
            }
        }
    }
    speeds.iter_mut().for_each(|speeds| speeds.sort_by(f64::total_cmp));
    let median = |index: usize| speeds[index][ROUNDS / 2];
    let mut row = String::new();
    for (index, speeds) in speeds.iter().enumerate() {
        let _ = write!(row, "| {:.1} ({:.1} to {:.1}) ", median(index), speeds[0], speeds[ROUNDS - 1]);
        if index > 0 {
            let _ = write!(row, "| {:.2} ", median(0) / median(index));
        }
    }
    Ok(row + "|")
}

/// A row: the most memory that each program has had.
fn peaks(programs: &mut [Program; 3]) -> Result<String> {
    let mut row = String::new();
    for (index, program) in programs.iter_mut().enumerate() {
        let kilobytes = program.ask("peak")?.first().copied().unwrap_or_default();
        let _ = write!(row, "| {:.2} GB {}", kilobytes * 1024e-9, if index > 0 { "| " } else { "" });
    }
    Ok(row + "|")
}

/// A program that waits for words.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
}

impl Program {
    fn start(mut command: Command) -> Result<Program> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut program = Program { child, input, output, version: String::new() };
        program.version = program.line()?;
        Ok(program)
    }

    /// The numbers of the answer to `words`.
    fn ask(&mut self, words: &str) -> Result<Vec<f64>> {
        writeln!(self.input, "{words}").with_context(|| format!("{words}: the program has ended"))?;
        let line = self.line()?;
        line.split(' ').map(|number| number.parse().with_context(|| format!("{words}: {line}"))).collect()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a program ended before it answered: {}", self.child.wait()?);
        }
        Ok(line.trim().to_string())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whatever it is doing: nobody waits for it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor's name, where the system tells it.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("this processor", |(_, name)| name).to_string()
}
