//! `alexnet show`: what a network has learnt, as pictures. A file for each.

mod augmentation;
mod confusion;
mod curves;
mod filters;
mod predictions;

use std::path::Path;

use anyhow::Result;
use dataset::Dataset;

use super::model::{self, Model};
use super::{check_classes, open_data};
use crate::cli::{Show, ShowArgs, ShowImagesArgs};
use crate::console::say;
use crate::output::check_place;

/// Runs the command.
///
/// # Errors
/// When there is no model or no data, they do not fit, or the picture cannot be written.
pub fn run(args: &ShowArgs) -> Result<()> {
    let (out, default) = match &args.what {
        Show::Filters(args) => (&args.out, "filters.png"),
        Show::Curves(args) => (&args.out, "curves.png"),
        Show::Predictions(args) => (&args.out, "predictions.png"),
        Show::Confusion(args) => (&args.out, "confusion.png"),
        Show::Augmentation(args) => (&args.out, "augmentation.png"),
    };
    let picture = out.as_deref().unwrap_or(Path::new(default));
    check_place(picture)?;
    match &args.what {
        Show::Filters(args) => filters::draw(args, picture),
        Show::Curves(args) => curves::draw(args, picture),
        Show::Predictions(args) => predictions::draw(args, picture),
        Show::Confusion(args) => confusion::draw(args, picture),
        Show::Augmentation(args) => augmentation::draw(args, picture),
    }?;
    say(format_args!("picture: {}", picture.display()));
    Ok(())
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
