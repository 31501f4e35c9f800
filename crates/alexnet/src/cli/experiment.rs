//! Arguments of `alexnet experiment`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, epochs, positive};
use crate::experiment::Experiment;

/// Arguments of `alexnet experiment`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet experiment relu-vs-tanh --data cifar-10-batches-bin
  alexnet experiment dropout                        on the demo set, in minutes
  alexnet experiment lrn --data ~/imagenette --epochs 30 --seeds 5

Two nets that differ in one setting are trained with the same seeds; table.md and comparison.png in --out say what came
out, with the paper's figures. Stopped or killed, the same command goes on; with more --seeds it adds to what is there.
--data takes what train takes, and CIFAR-10's binary files (data_batch_1.bin, ...).")]
pub struct ExperimentArgs {
    /// What to compare
    #[arg(value_enum, value_name = "NAME")]
    pub experiment: Experiment,
    /// Folder with train/CLASS and val/CLASS, a packed set, or CIFAR-10 [default: the embedded demo set]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The net that is changed [default: cifar for relu-vs-tanh; else mini for images of 32 pixels, nips2012 for others]
    #[arg(long, value_name = "NAME|FILE")]
    pub net: Option<String>,
    /// Runs of each of the two nets
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive)]
    pub seeds: usize,
    /// Epochs of a run; relu-vs-tanh ends a run sooner, at 25 % training error [default: the net's]
    #[arg(long, value_name = "N", value_parser = epochs)]
    pub epochs: Option<usize>,
    /// The experiment's folder [default: experiments/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}
