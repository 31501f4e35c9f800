//! What benchmarks share: steps with arbitrary contents, networks that have run, and what the machine can do.

pub mod peak;

use std::time::Instant;

use convnet::Error;
use convnet::net::Net;
use convnet::ops::{Device, Draw, Step};
use convnet::run::Network;

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

/// A network with initial weights that has made one training step, so that every buffer holds what it holds in training,
/// and a step, which has begun.
///
/// # Errors
/// Those of the device.
pub fn trained<D: Device>(net: &Net, batch: usize, device: D) -> Result<(Network<D>, Step), Error> {
    let mut network = Network::for_training(net, batch, device)?;
    network.initialise(1)?;
    let step = step(net, batch, network.parameters().len());
    network.train(&mut step.clone())?;
    network.device().begin(&mut step.clone())?;
    Ok((network, step))
}

/// Seconds of each of `count` runs of `work`.
///
/// # Errors
/// The first of `work`.
pub fn seconds<E>(count: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let once = |_| {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64())
    };
    (0..count).map(once).collect()
}
