//! Benchmarks of every operation and of whole steps; this library has what they share.
#![forbid(unsafe_code)]

pub mod peak;

use std::collections::HashSet;

use alexnet::nets;
use convnet::Error;
use convnet::cpu::Cpu;
use convnet::cuda::Precision;
use convnet::net::Net;
use convnet::ops::{Access, Device, Draw, Op, Region, Step};
use convnet::run::Network;

/// A built-in net.
///
/// # Panics
/// When `name` is no built-in net.
#[allow(clippy::expect_used, reason = "a benchmark that cannot start has nothing to report")]
pub fn net(name: &str) -> Net {
    nets::load(name, None).expect("a built-in net")
}

/// A step of `batch` images with arbitrary pixels and labels, for a network of `parameters` parameters.
pub fn step(net: &Net, batch: usize, parameters: usize) -> Step {
    let side = net.augment.image;
    Step {
        rgb: (0..batch * side * side * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        labels: (0..batch).map(|i| (i * 7919 % net.classes) as u32).collect(),
        ids: (0..batch as u32).collect(),
        draws: vec![Draw { top: 0, left: 0, flip: false, scale: 1.0, shift: [0.0; 3] }; batch],
        seed: 1,
        epoch: 0,
        rates: vec![1e-4; parameters],
    }
}

/// A network with initial weights that has made one training step, so that every buffer holds what it holds in
/// training; and the step.
///
/// # Errors
/// Those of the device.
pub fn trained(net: &Net, batch: usize, threads: usize) -> Result<(Network<Cpu>, Step), Error> {
    let mut network = Network::for_training(net, batch, Cpu::new(threads)?)?;
    network.initialise(1)?;
    let step = step(net, batch, network.parameters().len());
    network.train(&mut step.clone())?;
    network.device().begin(&mut step.clone())?;
    Ok((network, step))
}

/// The bytes of an operation's operands on a GPU: each read once, though several towers read it, and written once.
pub fn least_bytes(op: &Op, precision: Precision) -> u64 {
    let (mut read, mut written) = (HashSet::new(), HashSet::new());
    op.clone().visit(&mut |access, span| {
        if access != Access::Write {
            read.insert(*span);
        }
        if access != Access::Read {
            written.insert(*span);
        }
    });
    // An update reads and writes the weights themselves, and writes the copy of them that products read.
    let copied = matches!(op, Op::Update(_)) && precision == Precision::Bf16;
    let size = |region| match region {
        Region::Work => precision.bytes(),
        Region::Weights if !matches!(op, Op::Update(_)) => precision.bytes(),
        _ => size_of::<f32>(),
    };
    let operands = read.iter().chain(&written).map(|span| (span.len * size(span.region)) as u64);
    let copies = written.iter().filter(|span| copied && span.region == Region::Weights);
    operands.sum::<u64>() + copies.map(|span| (span.len * precision.bytes()) as u64).sum::<u64>()
}
