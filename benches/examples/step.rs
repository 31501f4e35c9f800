//! Times each operation of a training step: `cargo run -p benches --example step [net] [batch] [threads]`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Instant;

use convnet::cpu::Cpu;
use convnet::ops::{Device, Draw, Step};
use convnet::run::Network;

fn clock() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|t| std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() * 1e-9
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let name = args.get(1).map_or("nips2012", String::as_str);
    let batch: usize = args.get(2).map_or(Ok(128), |text| text.parse())?;
    let threads: usize = args.get(3).map_or(Ok(0), |text| text.parse())?;
    let net = alexnet::nets::load(name, None)?;
    let mut network = Network::for_training(&net, batch, Cpu::new(threads)?)?;
    network.initialise(1)?;
    let side = net.augment.image;
    let step = || Step {
        rgb: (0..batch * side * side * 3).map(|i| (i * 2_654_435_761 >> 13) as u8).collect(),
        labels: (0..batch as u32).map(|i| i * 7919 % net.classes as u32).collect(),
        ids: (0..batch as u32).collect(),
        draws: vec![Draw { top: 3, left: 5, flip: false, scale: 1.0, shift: [0.0; 3] }; batch],
        seed: 1,
        epoch: 0,
        rates: vec![1e-4; network.parameters().len()],
    };
    let first = step();
    println!("{} threads, {}", network.device().threads(), network.device().instructions());
    for _ in 0..2 {
        let mut current = first.clone();
        let start = Instant::now();
        let outcome = network.train(&mut current)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("step {seconds:.3} s, {:.1} images/s, loss {:.4}", batch as f64 / seconds, outcome.mean_loss());
    }
    let plan = network.training_plan().cloned().ok_or("no plan")?;
    let device = network.device();
    device.begin(&mut first.clone())?;
    let mut times = vec![f64::MAX; plan.operations().count()];
    for _ in 0..3 {
        for (planned, best) in plan.operations().zip(&mut times) {
            let start = clock();
            device.run(&planned.op)?;
            *best = best.min(clock() - start);
        }
    }
    let mut updates = 0.0;
    let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
    for (planned, time) in plan.operations().zip(&times) {
        *kinds.entry(planned.op.name()).or_default() += time;
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let work = layer.map_or(0, |index| net.multiply_adds_of(index)) as f64 * 2.0 * batch as f64;
        if planned.op.name() == "update" {
            updates += time;
        } else {
            let rate = if work > 0.0 { format!("{:8.1} GFLOP/s", work / time * 1e-9) } else { String::new() };
            println!("{:<12} {:<20} {:8.2} ms {rate}", planned.layer, planned.op.name(), time * 1e3);
        }
    }
    println!("{:<12} {:<20} {:8.2} ms", "all", "update", updates * 1e3);
    let total: f64 = times.iter().sum();
    println!("total {:.1} ms, {:.1} images/s", total * 1e3, batch as f64 / total);
    for (kind, time) in kinds {
        println!("  {kind:<20} {:8.2} ms {:5.1} %", time * 1e3, time / total * 100.0);
    }
    Ok(())
}
