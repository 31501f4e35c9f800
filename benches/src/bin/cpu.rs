//! Steps of a net on the processor, one at a word: what `cargo xtask bench --against torch` runs beside PyTorch.
//!
//! `cpu NET BATCH PRECISION THREADS`; to each line on standard input, `train STEPS`, `infer STEPS` or `peak`, it answers
//! with a line of seconds, one for each step, or the most memory that was resident, in kilobytes. Its first line is its
//! version. A step is all that training does with a batch of u8 pixels, augmentation and losses included.
#![forbid(unsafe_code)]

use alexnet::benchmark::{seconds, trained};
use anyhow::{Context as _, Result, bail};
use convnet::cpu::Cpu;
use convnet::cuda::Precision;

const USAGE: &str = "usage: cpu NET BATCH PRECISION THREADS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [net, batch, precision, threads] = arguments.as_slice() else { bail!(USAGE) };
    let number = |text: &String| text.parse::<usize>().with_context(|| format!("{text:?} is no number; {USAGE}"));
    let net = alexnet::nets::load(net, None)?;
    let device = Cpu::new(number(threads)?)?;
    let device = match precision.parse() {
        Ok(Precision::F32) => device,
        Ok(Precision::Bf16) => device.bf16()?,
        Err(expected) => bail!("precision {precision}: {expected}"),
    };
    let (mut network, mut step) = trained(&net, number(batch)?, device)?;
    println!("{}", env!("CARGO_PKG_VERSION"));
    for line in std::io::stdin().lines() {
        let line = line?;
        let times = match line.split_once(' ') {
            None if line == "peak" => {
                println!("{}", peak()?);
                continue;
            }
            Some(("train", count)) => seconds(count.parse()?, || network.train(&mut step).map(drop))?,
            Some(("infer", count)) => seconds(count.parse()?, || network.infer(&mut step).map(drop))?,
            _ => bail!("{line:?}: expected train STEPS, infer STEPS or peak"),
        };
        println!("{}", times.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// The most memory that this process has had.
fn peak() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells no peak")?;
    Ok(line.trim().trim_end_matches(" kB").to_string())
}
