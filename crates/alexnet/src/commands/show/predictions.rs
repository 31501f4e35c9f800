//! `alexnet show predictions`: validation images with their most probable labels.

use std::path::PathBuf;

use anyhow::Result;

use super::{file, open};
use crate::cli::ShowImagesArgs;
use crate::evaluate::Classifier;
use crate::{inside, pictures};

/// Draws the picture; gives its file.
pub(super) fn run(args: &ShowImagesArgs) -> Result<PathBuf> {
    let (mut model, data) = open(args, Some(1))?;
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, args.model.crops);
    let path = file(args.out.as_deref(), "predictions");
    pictures::predictions(&inside::predictions(&mut classifier, &data)?, &path)?;
    Ok(path)
}
