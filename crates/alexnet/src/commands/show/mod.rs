//! `alexnet show`: what a network has learnt, as pictures, and in words what is a number. A file for each.

mod augmentation;
mod confusion;
mod curves;
mod filters;
mod predictions;
mod specialisation;

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
    match &args.what {
        Show::Filters(args) => draw(args.out.as_deref(), "filters.png", |out| filters::draw(args, out)),
        Show::Curves(args) => draw(args.out.as_deref(), "curves.png", |out| curves::draw(args, out)),
        Show::Predictions(args) => draw(args.out.as_deref(), "predictions.png", |out| predictions::draw(args, out)),
        Show::Specialisation(args) => specialisation::run(args),
        Show::Confusion(args) => draw(args.out.as_deref(), "confusion.png", |out| confusion::draw(args, out)),
        Show::Augmentation(args) => draw(args.out.as_deref(), "augmentation.png", |out| augmentation::draw(args, out)),
    }
}

/// Draws a picture to a place that is looked at before, and says where it is.
fn draw(out: Option<&Path>, default: &str, draw: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let picture = out.unwrap_or(Path::new(default));
    check_place(picture)?;
    draw(picture)?;
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
