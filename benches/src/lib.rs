//! Benchmarks of every operation and of whole steps; this library has what they share.
#![forbid(unsafe_code)]

pub mod peak;

use alexnet::nets;
use convnet::Error;
use convnet::cpu::Cpu;
use convnet::net::Net;
use convnet::ops::{Device, Draw, Step};
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
