//! `alexnet show curves`: loss and errors over the epochs.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::ShowCheckpointArgs;
use crate::commands::model;
use crate::{inside, pictures};

/// Draws the picture.
pub(super) fn draw(args: &ShowCheckpointArgs, out: &Path) -> Result<()> {
    let checkpoint = model::last(args.model.as_deref())?;
    let state = &checkpoint.state;
    if state.history.is_empty() {
        bail!("{} has no epoch that is done: there are no curves yet", checkpoint.path.display());
    }
    let title = format!("{} on {}", checkpoint.net.name, state.data.name);
    pictures::curves(&inside::points(&state.history), &title, out)?;
    Ok(())
}
