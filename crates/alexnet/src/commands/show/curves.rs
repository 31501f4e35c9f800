//! `alexnet show curves`: loss and errors over the epochs.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::file;
use crate::cli::ShowCheckpointArgs;
use crate::commands::model;
use crate::{inside, pictures};

/// Draws the picture; gives its file.
pub(super) fn run(args: &ShowCheckpointArgs) -> Result<PathBuf> {
    let checkpoint = model::last(args.model.as_deref())?;
    let state = &checkpoint.state;
    if state.history.is_empty() {
        bail!("{} has no epoch that is done: there are no curves yet", checkpoint.path.display());
    }
    let title = format!("{} on {}", checkpoint.net.name, state.data.name);
    let path = file(args.out.as_deref(), "curves");
    pictures::curves(&inside::points(&state.history), &title, &path)?;
    Ok(path)
}
