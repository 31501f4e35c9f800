//! From pixels to a file: white canvases, PNG, and atomic writing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, RgbImage};

use super::{Error, MAX_PIXELS, WHITE};

/// A white picture, if it is not too large.
pub(super) fn canvas(width: u64, height: u64, path: &Path) -> Result<RgbImage, Error> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if width.saturating_mul(height) <= MAX_PIXELS => Ok(RgbImage::from_pixel(w, h, WHITE)),
        _ => Err(Error::TooLarge { path: path.to_owned(), width, height }),
    }
}

/// Writes `image` as a PNG file that is complete or not there.
pub(super) fn save(image: &RgbImage, path: &Path) -> Result<(), Error> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(image, image.width(), image.height(), image::ExtendedColorType::Rgb8)
        .map_err(|source| Error::Encode { path: path.to_owned(), source })?;
    write_atomically(&png, path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write_atomically(bytes: &[u8], path: &Path) -> io::Result<()> {
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
    fn a_picture_replaces_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        save(&canvas(3, 2, &path).unwrap(), &path).unwrap();
        save(&canvas(5, 4, &path).unwrap(), &path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8().dimensions(), (5, 4));
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/a.png");
        let error = save(&canvas(3, 2, &path).unwrap(), &path).unwrap_err();
        assert!(matches!(&error, Error::Write { .. }));
        assert!(error.to_string().contains("nowhere/a.png"), "{error}");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_failed_rename_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::create_dir(&path).unwrap();
        let error = save(&canvas(3, 2, &path).unwrap(), &path).unwrap_err();
        assert!(matches!(&error, Error::Write { .. }));
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_folder_is_not_a_file_name() {
        let path = Path::new("/");
        let error = save(&canvas(3, 2, path).unwrap(), path).unwrap_err();
        assert!(matches!(&error, Error::Write { .. }));
    }

    #[test]
    fn huge_pictures_are_refused() {
        let error = canvas(1 << 40, 1 << 40, Path::new("a.png")).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    }
}
