//! Which device computes.

use std::num::NonZero;
use std::str::FromStr;
use std::thread;

use anyhow::{Context, Result};
use convnet::cpu::Cpu;
use convnet::cuda::{self, Cuda, Link, Precision};
use convnet::ops::Device;
use convnet::shards::Shards;

use crate::cli::DeviceArgs;

/// Batches that are decoded ahead of the computation.
pub const AHEAD: usize = 3;

/// Where to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the processor.
    Auto,
    /// The processor, with a net's towers in so many shards.
    Cpu(usize),
    /// The GPUs with these numbers.
    Cuda(Vec<u32>),
    /// The simulated GPUs with these numbers.
    Simulated(Vec<u32>),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        let wrong = || {
            format!(
                "{text}: expected auto, cpu, cuda:N or sim:N, N being the number of a device; \
                 cuda:0,1 or sim:0,1 for several, cpu:N for N shards"
            )
        };
        let number = |number: &str| number.parse().ok().filter(|&number| number < 16).ok_or_else(wrong);
        let numbers = |list: &str| {
            let numbers = list.split(',').map(number).collect::<Result<Vec<u32>, String>>()?;
            let is_once = |number: &u32| numbers.iter().filter(|other| *other == number).count() == 1;
            if numbers.iter().all(is_once) { Ok(numbers) } else { Err(wrong()) }
        };
        match text.split_once(':') {
            None if text == "auto" => Ok(Choice::Auto),
            None if text == "cpu" => Ok(Choice::Cpu(1)),
            Some(("cpu", shards)) => number(shards).map(|shards| shards as usize).and_then(|shards| match shards {
                0 => Err(wrong()),
                shards => Ok(Choice::Cpu(shards)),
            }),
            Some(("cuda", list)) => Ok(Choice::Cuda(numbers(list)?)),
            Some(("sim", list)) => Ok(Choice::Simulated(numbers(list)?)),
            _ => Err(wrong()),
        }
    }
}

/// Opens the device that was asked for, to compute in `precision`. Returns it and one sentence about it.
///
/// # Errors
/// When there is no such device, it does not compute in that precision, threads cannot be started, or a link between
/// devices does not work.
pub fn open(args: &DeviceArgs, precision: Precision) -> Result<(Box<dyn Device>, String)> {
    match &args.device {
        Choice::Cpu(shards) => processor(args, precision, *shards, ""),
        Choice::Cuda(numbers) => cards(numbers, args, precision, "cuda", ""),
        Choice::Simulated(numbers) => {
            cuda::simulate(numbers.iter().max().map_or(1, |most| most + 1))?;
            cards(numbers, args, precision, "sim", "; simulated: right, and very slow")
        }
        Choice::Auto => match cuda::available() {
            Ok(_) => cards(&[0], args, precision, "cuda", " (auto: the first GPU)"),
            Err(error) => processor(args, precision, 1, &format!(" (auto: {error})")),
        },
    }
}

fn processor(
    args: &DeviceArgs,
    precision: Precision,
    shards: usize,
    reason: &str,
) -> Result<(Box<dyn Device>, String)> {
    let threads = threads(args);
    let open = || {
        let device = Cpu::new(threads)?;
        match precision {
            Precision::F32 => Ok(device),
            Precision::Bf16 => device
                .bf16()
                .context("bf16 cannot be had; take --precision f32 for a new run, or a GPU: --device cuda:N, or sim:N"),
        }
    };
    let plural = if threads == 1 { "" } else { "s" };
    let products = if precision == Precision::F32 { "" } else { ", products in bf16" };
    let words = format!("processor, {threads} thread{plural}{products}{reason}");
    if shards == 1 {
        return Ok((Box::new(open()?), words));
    }
    let devices = (0..shards).map(|_| open()).collect::<Result<Vec<_>>>()?;
    Ok((Box::new(Shards::new(devices)), format!("{words}, towers in {shards} shards, one after the other")))
}

fn cards(
    numbers: &[u32],
    args: &DeviceArgs,
    precision: Precision,
    kind: &str,
    reason: &str,
) -> Result<(Box<dyn Device>, String)> {
    let mut cards = numbers.iter().map(|&number| Cuda::new(number, precision)).collect::<Result<Vec<_>, _>>()?;
    let named = numbers.iter().zip(&cards);
    let names = named.map(|(number, card)| Ok(format!("{kind}:{number}, {}", card.name()?)));
    let names = format!("{}, {precision}", names.collect::<Result<Vec<_>>>()?.join("; "));
    if cards.len() == 1 {
        return Ok((Box::new(cards.remove(0)), format!("{names}{reason}")));
    }
    let links = cuda::connect(&cards, !args.no_peer)?;
    let words = format!("{names}; {}{reason}", describe_links(&links, args.no_peer));
    Ok((Box::new(Shards::new(cards).in_slices(cuda::slices(&links))), words))
}

/// How cards exchange, and how fast.
fn describe_links(links: &[Link], asked: bool) -> String {
    let way = match links.iter().all(|link| link.direct) {
        true => "from card to card",
        false if asked => "through the host (--no-peer)",
        false => "through the host, where cards have no access to each other",
    };
    let rates = || links.iter().filter_map(|link| link.rate);
    let rate = match (rates().reduce(f64::min), rates().reduce(f64::max)) {
        (Some(low), Some(high)) => format!(", {:.1} to {:.1} GB/s", low / 1e9, high / 1e9),
        _ => String::new(),
    };
    format!("copies go {way}{rate}; each link was verified")
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
        assert_eq!(read("cpu"), Ok(Choice::Cpu(1)));
        assert_eq!(read("cpu:4"), Ok(Choice::Cpu(4)));
        assert_eq!(read("cuda:1"), Ok(Choice::Cuda(vec![1])));
        assert_eq!(read("cuda:2,0"), Ok(Choice::Cuda(vec![2, 0])));
        assert_eq!(read("sim:0"), Ok(Choice::Simulated(vec![0])));
        for wrong in ["", "gpu", "cuda", "cuda:", "cuda:x", "cuda:16", "cuda:0,", "cuda:1,1", "sim:-1", "cpu:0"] {
            assert!(read(wrong).is_err_and(|error| error.contains("expected auto, cpu, cuda:N or sim:N")), "{wrong}");
        }
    }
}
