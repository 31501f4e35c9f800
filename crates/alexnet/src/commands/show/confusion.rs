//! `alexnet show confusion`: which classes are taken for which.

use std::path::Path;

use anyhow::Result;

use super::open;
use crate::cli::ShowImagesArgs;
use crate::console::{percent, say};
use crate::evaluate::Classifier;
use crate::inside::Confusion;
use crate::training::error_of;
use crate::{device, pictures};

/// Mistakes that are listed.
const LISTED: usize = 5;

/// Draws the picture.
pub(super) fn draw(args: &ShowImagesArgs, out: &Path) -> Result<()> {
    let (mut model, data) = open(args, None)?;
    let batch = model.checkpoint.state.settings.batch;
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, args.model.crops);
    let threads = device::loader_threads(&args.device);
    let (confusion, outcome) = Confusion::measure(&mut classifier, &data, batch, threads)?;
    say(error_of(&outcome));
    for mistake in confusion.mistakes(LISTED) {
        let [truth, taken_for] = [mistake.truth, mistake.taken_for].map(|class| &confusion.classes[class]);
        let images: u32 = confusion.row(mistake.truth).iter().sum();
        let share = percent(f64::from(mistake.count) / f64::from(images));
        say(format_args!("  {:>5} of {images} ({share} %)  {truth}  taken for  {taken_for}", mistake.count));
    }
    pictures::confusion(&confusion, out)?;
    Ok(())
}
