//! `alexnet show predictions`: validation images with their most probable labels.

use std::path::Path;

use anyhow::Result;

use super::open;
use crate::cli::ShowImagesArgs;
use crate::evaluate::Classifier;
use crate::{inside, pictures};

/// Draws the picture.
pub(super) fn draw(args: &ShowImagesArgs, out: &Path) -> Result<()> {
    let (mut model, data) = open(args, Some(1))?;
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, args.model.crops);
    pictures::predictions(&inside::predictions(&mut classifier, &data)?, out)?;
    Ok(())
}
