//! How long an experiment will take: a few steps of its net, measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use convnet::augment::Sampler;
use convnet::net::Net;
use convnet::ops::{Device, Step};
use convnet::run::Network;
use dataset::{Dataset, Loader, permutation};

use crate::device::AHEAD;

/// Steps that are measured at most, and for how long.
const STEPS: usize = 20;
const TIME: Duration = Duration::from_secs(3);
/// How much faster a forward pass is than a training step.
const FORWARD_SHARE: f64 = 3.0;

/// Measures steps of `net` on `device` with images of `data`, and gives the time of an epoch with its validation.
///
/// # Errors
/// Those of the device.
pub fn epoch(net: &Net, data: &Dataset, device: Box<dyn Device>, threads: usize) -> Result<Duration> {
    let batch = net.training.batch;
    let mut network = Network::for_training(net, batch, device)?;
    network.initialise(1)?;
    network.set_mean(&vec![128.0; net.augment.crop.pow(2) * 3])?;
    let sampler = Sampler::new(&net.augment, [0.0; 3], [[0.0; 3]; 3]);
    let rates = vec![0.0; network.parameters().len()];
    // One step before the clock starts: the first one prepares.
    let mut order = permutation(1, 0, data.train.len());
    order.truncate((STEPS + 1) * batch);
    let mut loader = Loader::start(Arc::clone(&data.train), data.side, order, batch, threads, AHEAD);
    let (mut start, mut images) = (None, 0);
    while let Some(batch) = loader.next() {
        let draws = sampler.training(1, 0, &batch.ids, net.augment.colour_noise);
        let (rgb, labels, ids) = (batch.rgb.clone(), batch.labels.clone(), batch.ids.clone());
        if !ids.is_empty() {
            network.train(&mut Step { rgb, labels, ids, draws, rates: rates.clone(), seed: 1, ..Step::default() })?;
        }
        match start {
            None => start = Some(Instant::now()),
            Some(_) => images += batch.len(),
        }
        loader.recycle(batch);
        if start.is_some_and(|start| start.elapsed() > TIME) {
            break;
        }
    }
    let measured = start.map_or(0.0, |start| start.elapsed().as_secs_f64());
    let passes = data.train.len() as f64 + data.val.len() as f64 / FORWARD_SHARE;
    Ok(Duration::try_from_secs_f64(measured / images.max(1) as f64 * passes).unwrap_or(Duration::MAX))
}
