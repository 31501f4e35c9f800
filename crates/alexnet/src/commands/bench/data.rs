//! `alexnet bench data`: how fast this machine reads images.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use dataset::{Dataset, Error, Loader, Skipped, permutation};

use crate::cli::BenchDataArgs;
use crate::commands::natural_side;
use crate::console::{bytes, say, thousands};
use crate::device::{self, AHEAD};
use crate::skips::Skips;

/// Images of a batch: the paper's.
const BATCH: usize = 128;

/// What one thread takes for an image, in seconds.
struct Stages {
    fetch: f64,
    decode: f64,
    copy: f64,
}

pub(super) fn run(args: &BenchDataArgs) -> Result<()> {
    let side = natural_side(&args.data)?;
    let mut data = Dataset::open(&args.data, side)?;
    if let Some((part, parts)) = args.shard_of {
        data = data.part(part, parts);
    }
    let mut order = permutation(1, 0, data.train.len());
    order.truncate(args.images);
    if order.is_empty() {
        bail!("{} has no training images", args.data.display());
    }
    let threads = args.threads.unwrap_or_else(device::processors);
    let stages = measure(&data, &mut order)?;
    let Stages { fetch, decode, copy } = stages;
    let total = fetch + decode + copy;
    say(format_args!("{:<24} {:>12} {:>10}", "one thread", "images/s", "of time"));
    for (stage, time) in [("read", fetch), ("decode, scale, cut", decode), ("copy to the batch", copy)] {
        let speed = thousands((1.0 / time.max(1e-9)) as usize);
        say(format_args!("  {stage:<22} {speed:>12} {:>8.1} %", time / total * 100.0));
    }
    say(format_args!("  {:<22} {:>12}", "all", thousands((1.0 / total) as usize)));

    let n = order.len() as f64;
    let mut loader = Loader::start(Arc::clone(&data.train), side, order, BATCH, threads, AHEAD);
    let start = Instant::now();
    while let Some(batch) = loader.next() {
        loader.recycle(batch);
    }
    let speed = n / start.elapsed().as_secs_f64();
    say(format_args!(
        "loader, {threads} thread{}: {} images/s",
        if threads == 1 { "" } else { "s" },
        thousands(speed as usize)
    ));
    let bottleneck = if fetch > decode { "the disk, or the system's reading" } else { "decoding" };
    let needed = (args.target as f64 * total).ceil() as usize;
    say(format_args!("the bottleneck is {bottleneck}; {} images/s need {needed} cores", thousands(args.target)));
    Ok(())
}

/// Takes the stages one after the other, on one thread. Reading comes first, so that it alone waits for the disk.
/// Images that cannot be read are named and leave the order.
fn measure(data: &Dataset, order: &mut Vec<u32>) -> Result<Stages> {
    let image_bytes = data.side * data.side * 3;
    let mut skips = Skips::new("training", order.len());
    let mut stored = 0;
    let fetch = pass(data, order, &mut skips, |index| {
        stored += data.train.fetch(index)?;
        Ok(())
    })?;
    let mut rgb = vec![0; image_bytes];
    let both = pass(data, order, &mut skips, |index| data.train.read(index, &mut rgb))?;
    // What a second reading takes, now that the system has the bytes in memory.
    let fetch_again = pass(data, order, &mut skips, |index| data.train.fetch(index).map(drop))?;
    let mut batch = vec![0; BATCH * image_bytes];
    let start = Instant::now();
    for place in 0..order.len() {
        let at = place % BATCH * image_bytes;
        batch[at..at + image_bytes].copy_from_slice(std::hint::black_box(&rgb));
        std::hint::black_box(&mut batch);
    }
    let copy = start.elapsed().as_secs_f64();
    let megabytes = bytes(stored as u64);
    say(format_args!("{}: {} images, {megabytes} stored, in random order", data.name, thousands(order.len())));
    let n = order.len() as f64;
    Ok(Stages { fetch: fetch / n, decode: (both - fetch_again).max(0.0) / n, copy: copy / n })
}

/// Seconds for all images of `order`, which keeps those that `take` can read.
fn pass(
    data: &Dataset,
    order: &mut Vec<u32>,
    skips: &mut Skips,
    mut take: impl FnMut(usize) -> Result<(), Error>,
) -> Result<f64> {
    let mut skipped = Vec::new();
    let start = Instant::now();
    order.retain(|&index| {
        let index = index as usize;
        take(index).inspect_err(|error| skipped.push(Skipped::new(data.train.name(index), error))).is_ok()
    });
    let seconds = start.elapsed().as_secs_f64();
    skips.add(&skipped)?;
    if order.is_empty() {
        bail!("none of the training images of {} could be read", data.name);
    }
    Ok(seconds)
}
