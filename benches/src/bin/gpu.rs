//! Every operation of a training step on a GPU, and the step itself, by the card's own clock.
//!
//! `cargo xtask bench --gpu` runs this after the tests and puts the report beside PyTorch's. Floors are those of the
//! operation: bytes that its operands have, each once, and multiply-adds times two; what a card could do in that time
//! is for the reader to compare.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use alexnet::benchmark::step;
use anyhow::{Context as _, Result, anyhow, bail};
use benches::{least_bytes, net};
use convnet::cuda::{Cuda, Precision};
use convnet::device::{Context, driver_version};
use convnet::net::Net;
use convnet::ops::{List, Op, Pass};
use convnet::run::Network;

const USAGE: &str = "usage: gpu [NET [BATCH [REPEATS [PRECISION]]]]";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "nips2012".to_string());
    let mut number = |default: usize| match arguments.next() {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|&number| number > 0).with_context(|| format!("{text:?}; {USAGE}")),
    };
    let (batch, repeats) = (number(128)?, number(20)?);
    let precision = arguments.next().map_or(Ok(Precision::F32), |text| text.parse());
    let precision = precision.map_err(|error| anyhow!("precision: {error}; {USAGE}"))?;
    if alexnet::nets::load(&name, None).is_err() {
        bail!("{name:?} is no built-in net; {USAGE}");
    }
    introduce()?;
    let net = net(&name);
    let mut network = Network::for_training(&net, batch, Cuda::new(0, precision)?)?;
    network.initialise(1)?;
    let one = step(&net, batch, network.parameters().len());
    // The first step runs as it is, the second is recorded, the third replayed.
    for _ in 0..3 {
        network.train(&mut one.clone())?;
    }
    operations(&net, batch, repeats, &mut network)?;
    lists(batch, repeats, &mut network)?;
    steps(batch, repeats, &mut network, &one)
}

fn introduce() -> Result<()> {
    let card = Context::new(0)?;
    let (major, minor) = card.compute_capability()?;
    let (driver_major, driver_minor) = driver_version()?;
    let memory = card.memory()?.total as f64 / 1e9;
    println!(
        "card: {}, sm_{major}{minor}, {memory:.1} GB; driver for CUDA {driver_major}.{driver_minor}",
        card.name()?
    );
    println!("command: {}\n", std::env::args().collect::<Vec<_>>().join(" "));
    Ok(())
}

fn operations(net: &Net, batch: usize, repeats: usize, network: &mut Network<Cuda>) -> Result<()> {
    let precision = network.device().precision();
    let plan = network.training_plan().context("the network trains")?.clone();
    println!(
        "{:<12} {:<20} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "layer", "operation", "us", "MB", "GB/s", "GFLOP", "TFLOP/s"
    );
    let mut total = Duration::ZERO;
    for planned in plan.operations() {
        let time = network.device().time(repeats, &planned.op)?;
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let weighted = !matches!(planned.op, Op::Update(_));
        let gflop =
            layer.filter(|_| weighted).map_or(0, |index| net.multiply_adds_of(index)) as f64 * 2e-9 * batch as f64;
        let (mb, seconds) = (least_bytes(&planned.op, precision) as f64 * 1e-6, time.as_secs_f64());
        println!(
            "{:<12} {:<20} {:>9.1} {mb:>9.1} {:>9.0} {gflop:>9.1} {:>9.1}",
            planned.layer,
            planned.op.name(),
            seconds * 1e6,
            mb / 1e3 / seconds,
            gflop / 1e3 / seconds
        );
        total += time;
    }
    println!("{:<33} {:>9.1}\n", "all operations", total.as_secs_f64() * 1e6);
    Ok(())
}

/// Forward, backward and update without copies from the host, as PyTorch's figures are taken.
fn lists(batch: usize, repeats: usize, network: &mut Network<Cuda>) -> Result<()> {
    let plan = network.training_plan().context("the network trains")?.clone();
    let backward = plan.backward.iter().chain(&plan.update);
    let lists = [
        (List::whole(Pass::Forward), plan.forward.iter().collect()),
        (List::whole(Pass::Backward), backward.collect()),
    ];
    let seconds = network.device().time_lists(repeats, &lists)?.as_secs_f64();
    println!(
        "step on the card: {:.3} ms, {:.0} images/s (the card's clock, {repeats} steps, pixels already there)",
        seconds * 1e3,
        batch as f64 / seconds
    );
    Ok(())
}

fn steps(batch: usize, repeats: usize, network: &mut Network<Cuda>, one: &convnet::ops::Step) -> Result<()> {
    let batches = vec![one.clone(); repeats];
    let start = Instant::now();
    for mut step in batches {
        network.train(&mut step)?;
    }
    // Reading waits for the last updates.
    network.read(network.parameters()[0].value)?;
    let seconds = start.elapsed().as_secs_f64() / repeats as f64;
    println!(
        "step: {:.3} ms, {:.0} images/s (the host's clock, {repeats} steps)",
        seconds * 1e3,
        batch as f64 / seconds
    );
    Ok(())
}
