//! Arguments of `alexnet show` and `alexnet report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeviceArgs, ModelArgs, picture};

/// Arguments of `alexnet show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet show filters
  alexnet show curves --model runs/mini-1 --out curves.svg
  alexnet show predictions --crops 10
  alexnet show confusion --model runs/mini-1 --out confusion.svg
  alexnet show augmentation photo.jpg --net paper

A picture is PNG or SVG, as the end of its name says.")]
pub struct ShowArgs {
    /// What to show.
    #[command(subcommand)]
    pub what: Show,
}

/// What can be shown.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// The first layer's kernels, tower by tower: the paper's figure 3
    #[command(
        after_help = "Examples:\n  alexnet show filters\n  alexnet show filters --model runs/mini-1 --out filters.svg"
    )]
    Filters(ShowCheckpointArgs),
    /// Loss and errors over the epochs
    #[command(
        after_help = "Examples:\n  alexnet show curves\n  alexnet show curves --model runs/mini-1 --out curves.svg"
    )]
    Curves(ShowCheckpointArgs),
    /// Validation images with their five most probable labels: the paper's figure 4
    #[command(
        after_help = "Examples:\n  alexnet show predictions\n  alexnet show predictions --crops 10 --out answer.svg"
    )]
    Predictions(ShowImagesArgs),
    /// How much colour is in the first kernels of each tower, in words: the paper's section 6.1
    #[command(
        after_help = "Examples:\n  alexnet show specialisation\n  alexnet show specialisation --model runs/mini-1 --json colours.json"
    )]
    Specialisation(ShowSpecialisationArgs),
    /// Which classes are taken for which, over all validation images
    #[command(
        after_help = "Examples:\n  alexnet show confusion\n  alexnet show confusion --model runs/mini-1 --out confusion.svg"
    )]
    Confusion(ShowImagesArgs),
    /// What a network sees of a picture in training: 24 draws of crop, mirroring and colours
    #[command(
        after_help = "Examples:\n  alexnet show augmentation photo.jpg\n  alexnet show augmentation photo.jpg --net paper --out sheet.svg"
    )]
    Augmentation(ShowAugmentationArgs),
}

/// What is shown of a checkpoint alone.
#[derive(Debug, Args)]
pub struct ShowCheckpointArgs {
    /// A run's folder or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// The picture [default: WHAT.png]
    #[arg(long, value_name = "PNG|SVG", value_parser = picture)]
    pub out: Option<PathBuf>,
}

/// What is said of a checkpoint's towers.
#[derive(Debug, Args)]
pub struct ShowSpecialisationArgs {
    /// A run's folder or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// Write the shares as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is shown of a network at work on validation images.
#[derive(Debug, Args)]
pub struct ShowImagesArgs {
    /// Which network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Folder or packed set with the same classes [default: that of the training]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The picture [default: WHAT.png]
    #[arg(long, value_name = "PNG|SVG", value_parser = picture)]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `alexnet report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet report
  alexnet report runs/mini-1 --out mini.html

The file has all that it shows inside and asks nothing of the network: curves, layers, kernels, predictions,
confusion and neighbours of the run's best network, settings and environment.")]
pub struct ReportArgs {
    /// A run's folder, or one of its checkpoints [default: the newest run in runs/]
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Folder or packed set with the same classes [default: that of the training]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The file [default: RUN/report.html]
    #[arg(long, value_name = "HTML")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// What is shown of the augmentation.
#[derive(Debug, Args)]
pub struct ShowAugmentationArgs {
    /// The picture
    pub image: PathBuf,
    /// A built-in net or a TOML file: its rules are followed
    #[arg(long, value_name = "NAME|TOML", default_value = "nips2012")]
    pub net: String,
    /// Take mean and colours of this folder or packed set [default: those of ImageNet]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The sheet [default: augmentation.png]
    #[arg(long, value_name = "PNG|SVG", value_parser = picture)]
    pub out: Option<PathBuf>,
}
