//! `alexnet bench step`: what this machine can do, each operation of a training step beside its floor, whole steps.

use anyhow::Result;
use convnet::cpu::Cpu;
use convnet::net::Net;
use convnet::ops::{Device, Op, Step};
use convnet::run::Network;

use crate::benchmark::{peak, seconds, trained};
use crate::cli::BenchStepArgs;
use crate::console::say;
use crate::{device, nets};

/// Runs of an operation, whose median is told.
const REPEATS: usize = 5;

/// Operations that take less than so many milliseconds are in the sum only.
const SHORT: f64 = 0.1;

pub(super) fn run(args: &BenchStepArgs) -> Result<()> {
    let net = nets::load(&args.net, None)?;
    let batch = args.batch.unwrap_or(net.training.batch);
    let threads = args.threads.unwrap_or_else(device::processors);
    let machine = Machine { flops: peak::flops(threads), bandwidth: peak::bandwidth(threads) };
    let one = peak::flops(1) * 1e-9;
    say(format_args!("f32 multiply-adds: {one:.0} GFLOP/s of one thread, {:.0} of {threads}", machine.flops * 1e-9));
    say(format_args!("memory: {:.1} GB/s, read and written by {threads}", machine.bandwidth * 1e-9));
    let (mut network, mut step) = trained(&net, batch, Cpu::new(threads)?)?;
    operations(&net, batch, &machine, &mut network)?;
    steps(batch, &mut network, &mut step)
}

/// What floors rest on.
struct Machine {
    /// f32 operations per second.
    flops: f64,
    /// Bytes per second.
    bandwidth: f64,
}

/// Prints the table of operations.
fn operations(net: &Net, batch: usize, machine: &Machine, network: &mut Network<Cpu>) -> Result<()> {
    let plan = network.training_plan().into_iter().flat_map(|plan| plan.operations());
    let plan: Vec<_> = plan.cloned().collect();
    let head = format!("{} at batch {batch}", net.name);
    say(format_args!("\n{head:<34} {:>8} {:>8} {:>8} {:>8} {:>6}", "GFLOP", "MB", "ms", "floor", "ratio"));
    let mut total = (0.0, 0.0);
    for planned in plan {
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let name = planned.op.name();
        let weighted = name.starts_with("conv") || name.starts_with("fc");
        let adds = layer.filter(|_| weighted).map_or(0, |index| net.multiply_adds_of(index)) * batch;
        let (operations, bytes) = (2.0 * adds as f64, bytes(&planned.op));
        let floor = (operations / machine.flops).max(bytes / machine.bandwidth) * 1e3;
        network.device().run(&planned.op)?;
        let time = median(seconds(REPEATS, || network.device().run(&planned.op))?) * 1e3;
        total = (total.0 + time, total.1 + floor);
        if time >= SHORT {
            let (gflop, megabytes, ratio) = (operations * 1e-9, bytes * 1e-6, time / floor);
            let layer = &planned.layer;
            say(format_args!("{layer:<12} {name:<21} {gflop:8.2} {megabytes:8.1} {time:8.2} {floor:8.2} {ratio:6.2}"));
        }
    }
    let (time, floor) = total;
    say(format_args!("{:<52} {time:8.2} {floor:8.2} {:6.2}\n", "sum", time / floor));
    Ok(())
}

/// Prints the speed of whole steps.
fn steps(batch: usize, network: &mut Network<Cpu>, step: &mut Step) -> Result<()> {
    let count = (640 / batch).clamp(5, 41);
    let line = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let [best, worst] = [times[0], times[count - 1]].map(|time| batch as f64 / time);
        let typical = batch as f64 / median(times);
        say(format_args!("{what}: {typical:.1} images/s, {worst:.1} to {best:.1} in {count} steps"));
    };
    network.train(step)?;
    line("training", seconds(count, || network.train(step).map(drop))?);
    network.infer(step)?;
    line("inference", seconds(count, || network.infer(step).map(drop))?);
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Bytes of all operands.
fn bytes(op: &Op) -> f64 {
    let mut floats = 0;
    op.clone().visit(&mut |_, span| floats += span.len);
    (floats * size_of::<f32>()) as f64
}
