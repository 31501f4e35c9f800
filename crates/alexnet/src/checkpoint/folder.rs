//! Checkpoints as files of a folder: which there are, how old they are, copies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::temporary;

/// When a file was last written; long ago if nobody knows.
pub fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(std::time::SystemTime::UNIX_EPOCH)
}

/// The checkpoints in a folder, by name.
pub fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "statistics"))
        .collect();
    paths.sort();
    paths
}

/// Copies a file, so that the copy is complete or not there.
///
/// # Errors
/// When it cannot be written.
pub fn copy(source: &Path, path: &Path) -> Result<()> {
    let temporary = temporary(path);
    let copied = fs::copy(source, &temporary)
        .and_then(|_| fs::File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if copied.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    copied.with_context(|| format!("cannot write {}", path.display()))
}
