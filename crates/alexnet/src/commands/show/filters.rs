//! `alexnet show filters`: the first layer's kernels.

use std::path::Path;

use anyhow::{Context, Result};
use convnet::plan::{Mode, Plan};

use crate::cli::ShowCheckpointArgs;
use crate::commands::model;
use crate::{inside, pictures};

/// Draws the picture.
pub(super) fn draw(args: &ShowCheckpointArgs, out: &Path) -> Result<()> {
    let checkpoint = model::checkpoint(args.model.as_deref())?;
    let plan = Plan::compile(&checkpoint.net, 1, Mode::Infer);
    let towers = inside::filters(&plan.parameters, |parameter| checkpoint.parameter(parameter))?;
    let towers = towers.with_context(|| {
        format!(
            "the first layer of net {} is no convolution of colours: it has no kernels to show",
            checkpoint.net.name
        )
    })?;
    pictures::filters(&towers, out)?;
    Ok(())
}
