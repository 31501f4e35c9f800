//! How fast the simulator is: the tiled f32 product of `cuda-sim/fixtures/kernels.cu`, and training steps of the net
//! `mini` on the simulated driver, without and with checks.
//!
//! `cargo bench --bench simulator`; the product's throughput is instructions, counted once per thread that executed them.
//! Wanted on two cores: 1.5 G/s without checks, 0.4 G/s with all, and checks at most three times as slow.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails has nothing to report")]

use std::time::Duration;

use benches::net;
use convnet::cuda::{self, Cuda, Precision};
use convnet::run::Network;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuda_sim::driver::{self, Options};
use cuda_sim::{Config, Memory, Program, launch};

/// Rows and columns of the matrices.
const SIZE: u32 = 512;

fn product(criterion: &mut Criterion) {
    let memory = Memory::new();
    let program = Program::load(include_str!("../../crates/cuda-sim/fixtures/nvrtc.ptx"), &memory, 0).unwrap();
    let bytes: Vec<u8> = (0..SIZE * SIZE).flat_map(|i| ((i % 17) as f32).to_le_bytes()).collect();
    let [a, b, c] = [0; 3].map(|_| memory.alloc(0, bytes.len()));
    memory.write(a, &bytes).unwrap();
    memory.write(b, &bytes).unwrap();
    let mut params: Vec<u8> = [a, b, c].iter().flat_map(|p| p.to_le_bytes()).collect();
    params.extend([SIZE, SIZE].iter().flat_map(|n| n.to_le_bytes()));
    let mut group = criterion.benchmark_group("simulator/product");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for (name, checks, races) in [("no checks", false, false), ("no races", true, false), ("all checks", true, true)] {
        let config = Config { checks, races, ..Config::new([SIZE / 64, SIZE / 64, 1], [64, 1, 1]) };
        let run = || launch(&program, "product_wide", &config, &params, &memory).unwrap();
        group.throughput(Throughput::Elements(run().lane_instructions));
        group.bench_function(name, |bencher| bencher.iter(run));
    }
    group.finish();
}

/// Images of a step.
const BATCH: usize = 4;

/// With checks there are also those of the driver: order between operations, and host memory under copies.
fn step(criterion: &mut Criterion) {
    cuda::simulate(1).unwrap();
    // Opened here, and not by the first call: that would start it anew.
    cuda::available().unwrap();
    let mut group = criterion.benchmark_group("simulator/step");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    for (name, checks) in [("no checks", false), ("all checks", true)] {
        driver::start(Options { checks, ..Options::new(1) });
        let net = net("mini");
        let mut network = Network::for_training(&net, BATCH, Cuda::new(0, Precision::F32).unwrap()).unwrap();
        network.initialise(1).unwrap();
        let crop = net.augment.crop;
        network.set_mean(&vec![120.0; crop * crop * 3]).unwrap();
        let batch = alexnet::benchmark::step(&net, BATCH, network.parameters().len());
        group.bench_function(name, |bencher| bencher.iter(|| network.train(&mut batch.clone()).unwrap()));
    }
    group.finish();
}

criterion_group!(all, product, step);
criterion_main!(all);
