//! A trained network, ready for images.

use std::path::Path;

use anyhow::Result;
use convnet::augment::Sampler;
use convnet::ops::Device;
use convnet::run::Network;

use crate::checkpoint::Checkpoint;
use crate::cli::{DeviceArgs, ModelArgs};
use crate::run_folder::{self, BEST, LAST};
use crate::{console, device};

/// A trained network.
pub(super) struct Model {
    /// Where it comes from.
    pub(super) checkpoint: Checkpoint,
    /// It.
    pub(super) network: Network<Box<dyn Device>>,
    /// How images become its inputs.
    pub(super) sampler: Sampler,
}

/// Reads the checkpoint that was asked for; of a run the best one, or the last if no epoch is done.
pub(super) fn checkpoint(path: Option<&Path>) -> Result<Checkpoint> {
    one_of(path, [BEST, LAST])
}

/// Reads the checkpoint that was asked for; of a run the last one, which has its whole history.
pub(super) fn last(path: Option<&Path>) -> Result<Checkpoint> {
    one_of(path, [LAST, BEST])
}

fn one_of(path: Option<&Path>, names: [&str; 2]) -> Result<Checkpoint> {
    let path = path.map_or_else(run_folder::newest, |path| Ok(path.to_owned()))?;
    Checkpoint::read(&run_folder::checkpoint_in(&path, names)?)
}

/// Opens the checkpoint that was asked for, for up to `batch` images at a time (by default the training batch).
pub(super) fn open(args: &ModelArgs, device: &DeviceArgs, batch: Option<usize>) -> Result<Model> {
    let checkpoint = checkpoint(args.model.as_deref())?;
    let batch = batch.unwrap_or(checkpoint.state.settings.batch);
    let (device, _) = device::open(device, device.precision.unwrap_or_default())?;
    let mut network = Network::for_inference(&checkpoint.net, batch, device)?;
    checkpoint.restore(&mut network, false)?;
    let statistics = &checkpoint.statistics;
    let sampler = Sampler::new(&checkpoint.net.augment, statistics.eigenvalues, statistics.eigenvectors);
    network.set_mean(&sampler.mean(&statistics.mean))?;
    let position = &checkpoint.state.position;
    console::say(format_args!(
        "model {} (net {}, {} classes, after {} epochs and {} steps)",
        checkpoint.path.display(),
        checkpoint.net.name,
        checkpoint.state.classes.len(),
        position.epoch,
        console::thousands(position.steps)
    ));
    Ok(Model { checkpoint, network, sampler })
}
