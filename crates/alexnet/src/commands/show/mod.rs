//! `alexnet show`: what a network has learnt, as pictures. A file for each.

mod augmentation;
mod confusion;
mod curves;
mod filters;
mod predictions;

use std::path::{Path, PathBuf};

use anyhow::Result;
use dataset::Dataset;

use super::model::{self, Model};
use super::{check_classes, open_data};
use crate::cli::{Show, ShowArgs, ShowImagesArgs};
use crate::console::say;

/// Runs the command.
///
/// # Errors
/// When there is no model or no data, they do not fit, or the picture cannot be written.
pub fn run(args: &ShowArgs) -> Result<()> {
    let picture = match &args.what {
        Show::Filters(args) => filters::run(args),
        Show::Curves(args) => curves::run(args),
        Show::Predictions(args) => predictions::run(args),
        Show::Confusion(args) => confusion::run(args),
        Show::Augmentation(args) => augmentation::run(args),
    }?;
    say(format_args!("picture: {}", picture.display()));
    Ok(())
}

/// The picture's file.
fn file(out: Option<&Path>, what: &str) -> PathBuf {
    out.map_or_else(|| PathBuf::from(format!("{what}.png")), Path::to_owned)
}

/// The network and the images, for up to `batch` of them at a time (by default the training batch).
fn open(args: &ShowImagesArgs, batch: Option<usize>) -> Result<(Model, Dataset)> {
    let model = model::open(&args.model, &args.device, batch)?;
    let checkpoint = &model.checkpoint;
    let folder = args.data.as_deref().or(checkpoint.state.data.folder.as_deref());
    let data = open_data(folder, checkpoint.net.augment.image, &checkpoint.net.name)?;
    check_classes(&data, &checkpoint.state.classes, &checkpoint.path)?;
    Ok((model, data))
}
