//! `alexnet show filters`: the first layer's kernels.

use std::path::PathBuf;

use anyhow::{Context, Result};
use convnet::plan::{Mode, Plan};

use super::file;
use crate::cli::ShowCheckpointArgs;
use crate::commands::model;
use crate::{inside, pictures};

/// Draws the picture; gives its file.
pub(super) fn run(args: &ShowCheckpointArgs) -> Result<PathBuf> {
    let checkpoint = model::checkpoint(args.model.as_deref())?;
    let plan = Plan::compile(&checkpoint.net, 1, Mode::Infer);
    let towers = inside::filters(&plan.parameters, |parameter| checkpoint.parameter(parameter))?;
    let towers = towers.with_context(|| {
        format!(
            "the first layer of net {} is no convolution of colours: it has no kernels to show",
            checkpoint.net.name
        )
    })?;
    let path = file(args.out.as_deref(), "filters");
    pictures::filters(&towers, &path)?;
    Ok(path)
}
