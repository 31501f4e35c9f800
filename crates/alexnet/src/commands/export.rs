//! `alexnet export`: a trained network for other tools.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::model;
use crate::cli::{ExportArgs, ExportFormat};
use crate::console::{bytes, say};
use crate::portable::{Portable, onnx, torch};

/// Runs the command.
///
/// # Errors
/// When there is no model, or the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<()> {
    let checkpoint = model::checkpoint(args.model.as_deref())?;
    let model = Portable::new(&checkpoint)?;
    let (contents, extension) = match args.format {
        ExportFormat::Onnx => (onnx::encode(&model), "onnx"),
        ExportFormat::Safetensors => (torch::encode(&model)?, "safetensors"),
    };
    let default = format!("{}.{extension}", model.net.name);
    let path = args.out.as_deref().unwrap_or(Path::new(&default));
    // Written beside it first, so that a file under its name is always whole.
    let temporary = crate::checkpoint::temporary(path);
    fs::write(&temporary, &contents)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
        .with_context(|| format!("cannot write {}; give another --out", path.display()))?;
    say(format_args!(
        "{} ({}): pixels [N, 3, {crop}, {crop}], red, green, blue from 0 to 255; {} classes",
        path.display(),
        bytes(contents.len() as u64),
        model.classes.len(),
        crop = model.net.augment.crop,
    ));
    Ok(())
}
