//! Which device computes.

use std::num::NonZero;
use std::thread;

use anyhow::Result;
use convnet::cpu::Cpu;

use crate::cli::{DeviceArgs, DeviceChoice};

/// Batches that are decoded ahead of the computation.
pub const AHEAD: usize = 3;

/// Opens the device that was asked for. Returns it and one sentence about it.
///
/// # Errors
/// When its threads cannot be started.
pub fn open(args: &DeviceArgs) -> Result<(Cpu, String)> {
    let threads = threads(args);
    let plural = if threads == 1 { "" } else { "s" };
    let reason = match args.device {
        DeviceChoice::Auto => " (auto: this version computes on the processor only)",
        DeviceChoice::Cpu => "",
    };
    Ok((Cpu::new(threads)?, format!("processor, {threads} thread{plural}{reason}")))
}

/// Threads to compute with.
pub fn threads(args: &DeviceArgs) -> usize {
    args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Threads that decode beside the computation. On a processor decoding is a small part of the work, so half as many
/// threads keep up and leave the rest alone.
pub fn loader_threads(args: &DeviceArgs) -> usize {
    (threads(args) / 2).max(1)
}
