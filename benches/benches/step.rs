//! Where a step's time goes: what this machine can do, each operation of the plan beside its floor, whole steps.
//!
//! `cargo bench --bench step -- [NET [BATCH...]]`, by default `nips2012` at 128, 32 and 1; the table of operations is
//! of the first batch. A floor is the longer of arithmetic at the measured peak (as a direct sum: Winograd may go
//! below it) and of memory traffic at the measured bandwidth, each span once. Medians; the spread is that of the
//! fastest and slowest.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails has nothing to report")]

use std::time::Instant;

use benches::{net, peak, trained};
use convnet::net::Net;
use convnet::ops::{Device, Op};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let net = net(arguments.first().map_or("nips2012", String::as_str));
    let batches: Vec<usize> = arguments.iter().skip(1).map(|batch| batch.parse().unwrap()).collect();
    let batches = if batches.is_empty() { vec![128, 32, 1] } else { batches };

    let (one, all) = (peak::flops(1), peak::flops(0));
    let bandwidth = peak::bandwidth(0);
    println!("f32 multiply-adds: {:.0} GFLOP/s of one thread, {:.0} of all", one * 1e-9, all * 1e-9);
    println!("memory: {:.1} GB/s, reading and writing", bandwidth * 1e-9);
    operations(&net, batches[0], all, bandwidth);
    for batch in batches {
        steps(&net, batch);
    }
}

/// Prints the table of operations.
fn operations(net: &Net, batch: usize, flops: f64, bandwidth: f64) {
    let (mut network, _) = trained(net, batch, 0).unwrap();
    let plan = network.training_plan().unwrap().clone();
    println!("\n{} at batch {batch}: {:<12} {:<20} {:>8} {:>8}", net.name, "layer", "operation", "GFLOP", "MB");
    println!("{:<34} {:>8} {:>8} {:>8} {:>8} {:>6}", "", "", "", "ms", "floor", "ratio");
    let mut total = (0.0, 0.0);
    for planned in plan.operations() {
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let weighted = planned.op.name().starts_with("conv") || planned.op.name().starts_with("fc");
        let adds = layer.filter(|_| weighted).map_or(0, |index| net.multiply_adds_of(index)) * batch;
        let (operations, bytes) = (2.0 * adds as f64, bytes(&planned.op));
        let floor = (operations / flops).max(bytes / bandwidth) * 1e3;
        let time = median(5, || network.device().run(&planned.op).unwrap()).0 * 1e3;
        total = (total.0 + time, total.1 + floor);
        if time >= 0.1 {
            let (layer, name, ratio) = (&planned.layer, planned.op.name(), time / floor);
            println!(
                "{layer:<12} {name:<21} {:8.2} {:8.1} {time:8.2} {floor:8.2} {ratio:6.2}",
                operations * 1e-9,
                bytes * 1e-6
            );
        }
    }
    println!("{:<34} {:>8} {:>8} {:8.2} {:8.2} {:6.2}", "sum", "", "", total.0, total.1, total.0 / total.1);
}

/// Prints the speed of whole steps.
fn steps(net: &Net, batch: usize) {
    let (mut network, step) = trained(net, batch, 0).unwrap();
    let count = (640 / batch).clamp(5, 41);
    let images = batch as f64;
    let line = |what: &str, (time, fastest, slowest): (f64, f64, f64)| {
        let (typical, best, worst) = (images / time, images / fastest, images / slowest);
        println!("{what} at batch {batch}: {typical:.1} images/s ({worst:.1} to {best:.1})");
    };
    let mut step = step;
    line("train", median(count, || _ = network.train(&mut step).unwrap()));
    line("infer", median(count, || _ = network.infer(&mut step).unwrap()));
}

/// Seconds of a run of `work`: the median of `count`, the fastest, the slowest. One run goes before.
fn median(count: usize, mut work: impl FnMut()) -> (f64, f64, f64) {
    work();
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[count / 2], times[0], times[count - 1])
}

fn bytes(op: &Op) -> f64 {
    let mut floats = 0;
    op.clone().visit(&mut |_, span| floats += span.len);
    floats as f64 * 4.0
}
