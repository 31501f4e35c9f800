//! Which device computes.

use std::num::NonZero;
use std::str::FromStr;
use std::thread;

use anyhow::{Result, bail};
use convnet::cpu::Cpu;
use convnet::cuda::{self, Cuda, Precision};
use convnet::ops::Device;

use crate::cli::DeviceArgs;

/// Batches that are decoded ahead of the computation.
pub const AHEAD: usize = 3;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The GPU with this number.
    Cuda(u32),
    /// The simulated GPU with this number.
    Simulated(u32),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        let wrong = || format!("{text}: expected auto, cpu, cuda:N or sim:N, N being the number of a device");
        let number = |number: &str| number.parse().ok().filter(|&number| number < 16).ok_or_else(wrong);
        match text.split_once(':') {
            None if text == "auto" => Ok(Choice::Auto),
            None if text == "cpu" => Ok(Choice::Cpu),
            Some(("cuda", ordinal)) => Ok(Choice::Cuda(number(ordinal)?)),
            Some(("sim", ordinal)) => Ok(Choice::Simulated(number(ordinal)?)),
            _ => Err(wrong()),
        }
    }
}

/// Opens the device that was asked for, to compute in `precision`. Returns it and one sentence about it.
///
/// # Errors
/// When there is no such device, it does not compute in that precision, or threads cannot be started.
pub fn open(args: &DeviceArgs, precision: Precision) -> Result<(Box<dyn Device>, String)> {
    let processor = |reason: &str| -> Result<(Box<dyn Device>, String)> {
        if precision != Precision::F32 {
            bail!("the processor{reason} computes in f32; {precision} needs a GPU: --device cuda:N, or sim:N");
        }
        let threads = threads(args);
        let plural = if threads == 1 { "" } else { "s" };
        Ok((Box::new(Cpu::new(threads)?), format!("processor, {threads} thread{plural}{reason}")))
    };
    let card = |ordinal: u32, reason: &str| -> Result<(Box<dyn Device>, String)> {
        let card = Cuda::new(ordinal, precision)?;
        let words = format!("cuda:{ordinal}, {}, {precision}{reason}", card.name()?);
        Ok((Box::new(card), words))
    };
    match args.device {
        Choice::Cpu => processor(""),
        Choice::Cuda(ordinal) => card(ordinal, ""),
        Choice::Simulated(ordinal) => {
            cuda::simulate(ordinal + 1)?;
            let (card, _) = card(ordinal, "")?;
            Ok((card, format!("sim:{ordinal}, a simulated GPU, {precision}: right, and very slow")))
        }
        Choice::Auto => match cuda::available() {
            Ok(_) => card(0, " (auto: the first GPU)"),
            Err(error) => processor(&format!(" (auto: {error})")),
        },
    }
}

/// Threads to compute with.
pub fn threads(args: &DeviceArgs) -> usize {
    args.threads.unwrap_or_else(processors)
}

/// Processors of this machine.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads that decode beside the computation. On a processor decoding is a small part of the work, so half as many
/// threads keep up and leave the rest alone.
pub fn loader_threads(args: &DeviceArgs) -> usize {
    (threads(args) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read() {
        let read = |text: &str| text.parse::<Choice>();
        assert_eq!(read("auto"), Ok(Choice::Auto));
        assert_eq!(read("cpu"), Ok(Choice::Cpu));
        assert_eq!(read("cuda:1"), Ok(Choice::Cuda(1)));
        assert_eq!(read("sim:0"), Ok(Choice::Simulated(0)));
        for wrong in ["", "gpu", "cuda", "cuda:", "cuda:x", "cuda:16", "sim:-1", "cpu:0"] {
            assert!(read(wrong).is_err_and(|error| error.contains("expected auto, cpu, cuda:N or sim:N")), "{wrong}");
        }
    }
}
