//! Every operation of a training step of `nips2012` at its real shapes, 32 images, and the step itself at 32 and 128.
//!
//! `cargo bench` runs all; `cargo bench -- conv3` those of one layer. Throughput is multiply-adds times two for layers
//! with weights, else bytes read and written, each span once.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails has nothing to report")]

use std::time::Duration;

use alexnet::benchmark::trained;
use benches::net;
use convnet::cpu::Cpu;
use convnet::ops::{Device, Op};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 32;

fn operations(criterion: &mut Criterion) {
    let net = net("nips2012");
    let (mut network, _) = trained(&net, BATCH, Cpu::new(0).unwrap()).unwrap();
    let plan = network.training_plan().unwrap().clone();
    let mut group = criterion.benchmark_group("nips2012");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let mut updates = Vec::new();
    for planned in plan.operations() {
        if matches!(planned.op, Op::Update(_)) {
            updates.push(&planned.op);
            continue;
        }
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let multiply_adds = layer.map_or(0, |index| net.multiply_adds_of(index)) * BATCH;
        group.throughput(match multiply_adds {
            0 => Throughput::Bytes(bytes(&planned.op)),
            _ => Throughput::Elements(2 * multiply_adds as u64),
        });
        let name = format!("{}/{}", planned.layer, planned.op.name());
        group.bench_function(name, |bencher| bencher.iter(|| network.device().run(&planned.op).unwrap()));
    }
    group.throughput(Throughput::Bytes(updates.iter().map(|op| bytes(op)).sum()));
    group.bench_function("all/update", |bencher| {
        bencher.iter(|| updates.iter().for_each(|op| network.device().run(op).unwrap()));
    });
    group.finish();
}

fn bytes(op: &Op) -> u64 {
    let mut floats = 0;
    op.clone().visit(&mut |_, span| floats += span.len);
    floats as u64 * 4
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(10));
    for (name, batch) in [("nips2012", 32), ("nips2012", 128), ("mini", 64)] {
        let net = net(name);
        let (mut network, step) = trained(&net, batch, Cpu::new(0).unwrap()).unwrap();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("{name}/train/{batch}"), |bencher| {
            bencher.iter_batched(
                || step.clone(),
                |mut step| network.train(&mut step).unwrap(),
                criterion::BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name}/infer/{batch}"), |bencher| {
            bencher.iter_batched(
                || step.clone(),
                |mut step| network.infer(&mut step).unwrap(),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(all, operations, steps);
criterion_main!(all);
