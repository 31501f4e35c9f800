//! `alexnet export`: a trained network for other tools.

use std::path::Path;

use anyhow::Result;

use super::model;
use crate::cli::{ExportArgs, ExportFormat};
use crate::console::{bytes, say};
use crate::output::{check_place, write_whole};
use crate::portable::{Portable, onnx, torch};

/// Runs the command.
///
/// # Errors
/// When there is no model, or the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_place)?;
    let checkpoint = model::checkpoint(args.model.as_deref())?;
    let model = Portable::new(&checkpoint)?;
    let (contents, extension) = match args.format {
        ExportFormat::Onnx => (onnx::encode(&model), "onnx"),
        ExportFormat::Safetensors => (torch::encode(&model)?, "safetensors"),
    };
    let default = format!("{}.{extension}", model.net.name);
    let path = args.out.as_deref().unwrap_or(Path::new(&default));
    write_whole(path, &contents)?;
    say(format_args!(
        "{} ({}): pixels [N, 3, {crop}, {crop}], red, green, blue from 0 to 255; {} classes",
        path.display(),
        bytes(contents.len() as u64),
        model.classes.len(),
        crop = model.net.augment.crop,
    ));
    Ok(())
}
