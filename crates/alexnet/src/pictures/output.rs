//! From a picture to a file: PNG, and atomic writing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, RgbImage};

/// An image as a PNG file.
pub(crate) fn png(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive).write_image(
        image,
        image.width(),
        image.height(),
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(png)
}

/// Writes a file that is complete or not there.
pub(super) fn write(bytes: &[u8], path: &Path) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    // A name that is already there belongs to somebody else and is not removed.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

/// A hidden name in the folder of `path` that no other call of this process or another uses.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name"))?;
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{call}.tmp", process::id()));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_replaces_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write(b"long before", &path).unwrap();
        write(b"after", &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(b"a", &folder.path().join("nowhere/a.png")).is_err());
        assert!(write(b"a", Path::new("/")).is_err());
        assert!(names(folder.path()).is_empty());
        fs::create_dir(folder.path().join("a.png")).unwrap();
        assert!(write(b"a", &folder.path().join("a.png")).is_err());
        assert_eq!(names(folder.path()), ["a.png"]);
    }
}
