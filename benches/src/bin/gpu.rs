//! Every operation of a training step on a GPU beside its floor, and the step itself, by the card's own clock.
//!
//! `cargo xtask bench --gpu` runs this after the tests and puts the report beside PyTorch's. A floor is what is longer of
//! two: bytes that the operands have, each once, over the bandwidth, and the multiply-adds of products over the card's
//! rate. On the simulated driver no kernel is run, and times are those that its clock predicts.
#![forbid(unsafe_code)]

use std::time::Instant;

use alexnet::benchmark::step;
use anyhow::{Context as _, Result, anyhow, bail};
use benches::floor::Rates;
use benches::{dry, least_bytes, net};
use convnet::cuda::{self, Cuda, Precision};
use convnet::device::{Context, driver_version};
use convnet::net::Net;
use convnet::ops::{Device, List, Op, Pass, Step};
use convnet::run::Network;
use convnet::shards::Shards;
use cuda_sim::driver::{record_timeline, take_timeline};

const USAGE: &str = "usage: gpu [NET [BATCH [REPEATS [PRECISION]]]]";

/// Each operation is timed so often, and its median told.
const ROUNDS: usize = 5;

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
    let simulated = cuda::is_simulated()?;
    let rates = introduce(precision)?;
    println!("command: {}\n", std::env::args().collect::<Vec<_>>().join(" "));
    if simulated {
        dry::run_no_kernels();
    }
    // What is predicted is the same every time.
    let (rounds, repeats) = if simulated { (1, 1) } else { (ROUNDS, repeats) };
    let net = net(&name);
    let mut network = Network::for_training(&net, batch, Cuda::new(0, precision)?)?;
    network.initialise(1)?;
    let one = step(&net, batch, network.parameters().len());
    // The first step runs as it is, the second is recorded, the third replayed.
    for _ in 0..3 {
        network.train(&mut one.clone())?;
    }
    let floor = operations(&net, batch, [rounds, repeats], rates.as_ref(), &mut network)?;
    lists(batch, repeats, floor, &mut network)?;
    let clock = if simulated { "predicted" } else { "by the host's clock" };
    println!("steps from the host: {clock}, mean of {repeats}, pixels copied in each");
    let one_card = seconds(repeats, &mut network, &one)?;
    say("one card", batch, one_card);
    drop(network);
    two_cards(&net, batch, repeats, precision, one_card)
}

fn say(what: &str, batch: usize, seconds: f64) {
    println!("{what}: {:.3} ms, {:.0} images/s", seconds * 1e3, batch as f64 / seconds);
}

/// Says what the card is and can do, by its driver, and gives the rates of floors.
fn introduce(precision: Precision) -> Result<Option<Rates>> {
    let card = Context::new(0)?;
    let (major, minor) = card.compute_capability()?;
    let (driver_major, driver_minor) = driver_version()?;
    let (speeds, memory) = (card.speeds()?, card.memory()?.total as f64 / 1e9);
    println!(
        "card: {}, sm_{major}{minor}, {} multiprocessors up to {:.0} MHz, {:.0} GB/s, {memory:.1} GB, {:.0} MB of L2; \
         driver for CUDA {driver_major}.{driver_minor}",
        card.name()?,
        speeds.multiprocessors,
        speeds.clock / 1e6,
        speeds.bandwidth / 1e9,
        f64::from(speeds.l2_bytes) / f64::from(1 << 20),
    );
    let rates = Rates::of(&card)?;
    match &rates {
        Some(rates) => {
            let (products, unit) = rates.products(precision);
            println!(
                "floors: {:.0} GB/s, {:.1} TFLOP/s of {unit} products ({})",
                rates.bandwidth() / 1e9,
                2.0 * products / 1e12,
                rates.source
            );
        }
        None => println!("floors: none, since cuda-sim/src/model/card.rs has no row for this card"),
    }
    if cuda::is_simulated()? {
        println!("PREDICTED: the card is simulated, and its clock predicts; nothing here was measured");
    }
    Ok(rates)
}

/// Prints a line for each operation; gives the sum of floors in seconds.
fn operations(
    net: &Net,
    batch: usize,
    [rounds, repeats]: [usize; 2],
    rates: Option<&Rates>,
    network: &mut Network<Cuda>,
) -> Result<f64> {
    let precision = network.device().precision();
    let plan = network.training_plan().context("the network trains")?.clone();
    println!("us: the median of {rounds} times {repeats} runs in a row; +-: half of what they are apart, in percent");
    println!(
        "{:<12} {:<20} {:>9} {:>5} {:>9} {:>8} {:<6} {:>9} {:>9} {:>9} {:>9}",
        "layer", "operation", "us", "+-", "floor us", "ratio", "limit", "MB", "GB/s", "GFLOP", "TFLOP/s"
    );
    let (mut total, mut least) = (0.0, 0.0);
    for planned in plan.operations() {
        let device = network.device();
        let times = (0..rounds).map(|_| Ok(device.time(repeats, &planned.op)?.as_secs_f64()));
        let mut times = times.collect::<Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        let seconds = times[rounds / 2];
        let spread = (times[rounds - 1] - times[0]) / seconds * 50.0;
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let layer = layer.filter(|_| !matches!(planned.op, Op::Update(_)));
        let multiply_adds = layer.map_or(0, |index| net.multiply_adds_of(index)) as f64 * batch as f64;
        let bytes = least_bytes(&planned.op, precision);
        let floor = rates.map(|rates| rates.floor(bytes, multiply_adds, precision));
        let (mb, gflop) = (bytes as f64 * 1e-6, multiply_adds * 2e-9);
        let beside = floor.as_ref().map_or_else(
            || format!("{:>9} {:>8} {:<6}", "-", "-", "-"),
            |floor| format!("{:>9.2} {:>8.2} {:<6}", floor.seconds * 1e6, seconds / floor.seconds, floor.limit),
        );
        println!(
            "{:<12} {:<20} {:>9.1} {spread:>5.1} {beside} {mb:>9.1} {:>9.0} {gflop:>9.1} {:>9.1}",
            planned.layer,
            planned.op.name(),
            seconds * 1e6,
            mb / 1e3 / seconds,
            gflop / 1e3 / seconds
        );
        total += seconds;
        least += floor.map_or(0.0, |floor| floor.seconds);
    }
    println!("{:<33} {:>9.1} {:>5} {:>9.2} {:>8.2}\n", "all operations", total * 1e6, "", least * 1e6, total / least);
    Ok(least)
}

/// Forward, backward and update without copies from the host, as PyTorch's figures are taken.
fn lists(batch: usize, repeats: usize, floor: f64, network: &mut Network<Cuda>) -> Result<()> {
    let plan = network.training_plan().context("the network trains")?.clone();
    let backward = plan.backward.iter().chain(&plan.update);
    let lists = [
        (List::whole(Pass::Forward), plan.forward.iter().collect()),
        (List::whole(Pass::Backward), backward.collect()),
    ];
    let seconds = network.device().time_lists(repeats, &lists)?.as_secs_f64();
    println!(
        "step on the card: {:.3} ms, {:.0} images/s, {:.2} times the sum of floors (the card's clock, {repeats} steps, \
         pixels already there)",
        seconds * 1e3,
        batch as f64 / seconds,
        seconds / floor
    );
    Ok(())
}

/// The step with a net's towers on the first two cards, where there are two.
fn two_cards(net: &Net, batch: usize, repeats: usize, precision: Precision, one_card: f64) -> Result<()> {
    if Context::count()? < 2 {
        println!("two cards: there is one");
        return Ok(());
    }
    let cards = vec![Cuda::new(0, precision)?, Cuda::new(1, precision)?];
    let links = cuda::connect(&cards, true)?;
    let simulated = cuda::is_simulated()?;
    for link in links {
        let way = if link.direct { "from card to card" } else { "through the host" };
        // A simulated one is as fast as this processor copies.
        let rate = link.rate.filter(|_| !simulated).map_or(String::new(), |rate| format!(", {:.1} GB/s", rate / 1e9));
        println!("link {} to {}: {way}{rate}", link.from, link.to);
    }
    let mut network = Network::for_training(net, batch, Shards::new(cards))?;
    network.initialise(1)?;
    let one = step(net, batch, network.parameters().len());
    for _ in 0..3 {
        network.train(&mut one.clone())?;
    }
    let two_cards = seconds(repeats, &mut network, &one)?;
    say("two cards", batch, two_cards);
    println!("{:.2} times as fast as one card", one_card / two_cards);
    Ok(())
}

/// Seconds of a step whose pixels come from the host: by the host's clock, of simulated cards by theirs.
fn seconds<D: Device>(repeats: usize, network: &mut Network<D>, one: &Step) -> Result<f64> {
    let batches = vec![one.clone(); repeats];
    let simulated = cuda::is_simulated()?;
    if simulated {
        record_timeline();
    }
    let start = Instant::now();
    for mut step in batches {
        network.train(&mut step)?;
    }
    // Reading waits for the last updates.
    network.read(network.parameters()[0].value)?;
    if !simulated {
        return Ok(start.elapsed().as_secs_f64() / repeats as f64);
    }
    let spans = take_timeline();
    let begin = spans.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
    let end = spans.iter().map(|span| span.start + span.seconds).fold(0.0, f64::max);
    Ok((end - begin) / repeats as f64)
}
