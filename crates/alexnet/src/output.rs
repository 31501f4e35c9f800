//! Files that commands write: their places, looked at before the work, and writing them whole.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::checkpoint::temporary;

/// Checks that a file can be made at `path`, so that long work is not lost for want of a folder or a permission.
///
/// # Errors
/// When there is no folder for it, a folder has its name, or it cannot be made.
pub fn check_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let (file, folder) = (path.display(), folder.display());
        bail!("cannot write {file}: there is no folder {folder}; make it, or give another place");
    }
    if path.is_dir() {
        bail!("cannot write {}: it is a folder; give the name of a file", path.display());
    }
    let probe = temporary(path);
    let made = File::create(&probe).and_then(|_| fs::remove_file(&probe));
    made.with_context(|| format!("cannot write {}; give another place", path.display()))
}

/// Writes a file beside its place first, so that what has its name is whole.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    fs::write(&temporary, contents)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        })
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_looked_at_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let said = |name: &str| check_place(&at(name)).unwrap_err().to_string();
        fs::write(at("old"), "before").unwrap();
        check_place(&at("old")).unwrap();
        check_place(&at("new")).unwrap();
        assert_eq!(fs::read(at("old")).unwrap(), b"before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(said("nowhere/new").contains("there is no folder"));
        assert!(said("old/new").contains("there is no folder"));
        assert!(said("").contains("it is a folder"));
        write_whole(&at("old"), b"after").unwrap();
        assert_eq!(fs::read(at("old")).unwrap(), b"after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
