//! A data set in a folder: `train/CLASS/*` and `val/CLASS/*`.
//!
//! Classes are the folders of `train`, sorted by name (by bytes, so the same everywhere). The images of
//! a class are all files below its folder whose names end in `.jpg`, `.jpeg`, `.png` or `.webp` in any
//! case, sorted by path; whatever else lies there is ignored, and so is every name that starts with
//! a dot. Links are followed. Files are only listed here, not opened.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Dataset, Error, Images, decode, subset};

/// Folders below a class folder that are searched; also ends a circle of links.
const MAX_DEPTH: usize = 8;
/// Names that a message lists before it only counts.
const MAX_NAMES: usize = 5;
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

impl Dataset {
    /// Finds the images of `dir`, which are then read as `side x side` (see [`crate::load_image`]).
    /// The validation split is `val`, or `test` where there is no `val`. It may lack classes.
    ///
    /// # Errors
    /// If `dir`, `train` or `val` is missing or cannot be listed, there are fewer than two classes,
    /// a class has no images, or `val` has a class that `train` lacks.
    ///
    /// # Panics
    /// If `side` is zero.
    pub fn folder(dir: &Path, side: usize) -> Result<Dataset, Error> {
        assert!(side > 0, "images of side 0");
        check_folder(dir)?;
        let train_dir = split_dir(dir, "train", &["train"])?;
        let val_dir = split_dir(dir, "val", &["val", "test"])?;
        let classes = class_names(&train_dir)?;
        let val_classes = class_names(&val_dir)?;
        check_count(&train_dir, &classes)?;
        let unknown: Vec<&OsString> = val_classes.iter().filter(|name| classes.binary_search(name).is_err()).collect();
        if !unknown.is_empty() {
            let names = first_names(&unknown, unknown.len());
            return Err(Error::UnknownClasses { val: val_dir, train: train_dir, classes: names });
        }
        let train = Folder::list(&train_dir, &classes, &classes, side)?;
        let val = Folder::list(&val_dir, &val_classes, &classes, side)?;
        Ok(Dataset {
            name: name_of(dir),
            side,
            classes: classes.iter().map(|name| lossy(name)).collect(),
            train: Arc::new(train),
            val: Arc::new(val),
            statistics: None,
        })
    }
}

/// Finds the images of `dir`, a folder of class folders or one with such a folder `train` and without `val`, and
/// sets about `fraction` of them aside for validation.
pub(crate) fn split(dir: &Path, side: usize, fraction: f64) -> Result<Dataset, Error> {
    check_folder(dir)?;
    if let Some(val) = ["val", "test"].iter().map(|name| dir.join(name)).find(|path| path.is_dir()) {
        return Err(Error::HasVal { path: val });
    }
    let train_dir = dir.join("train");
    let root = if train_dir.is_dir() { &train_dir } else { dir };
    let names = class_names(root)?;
    check_count(root, &names)?;
    let images: Arc<dyn Images> = Arc::new(Folder::list(root, &names, &names, side)?);
    let classes: Vec<String> = names.iter().map(|name| lossy(name)).collect();
    let (train, val) = subset::split(&images, root, &classes, fraction)?;
    Ok(Dataset { name: name_of(dir), side, classes, train, val, statistics: None })
}

fn check_folder(dir: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(dir).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::NoFolder { dir: dir.to_owned() },
        io::ErrorKind::NotADirectory => Error::NotAFolder { path: dir.to_owned() },
        _ => Error::unreadable(dir, cause),
    })?;
    if metadata.is_dir() { Ok(()) } else { Err(Error::NotAFolder { path: dir.to_owned() }) }
}

/// Checks that there is more than one class.
fn check_count(dir: &Path, classes: &[OsString]) -> Result<(), Error> {
    match classes {
        [only] => Err(Error::OneClass { dir: dir.to_owned(), class: lossy(only) }),
        _ => Ok(()),
    }
}

/// The folder of a split: the first of `names` that is there.
fn split_dir(dir: &Path, split: &'static str, names: &[&str]) -> Result<PathBuf, Error> {
    let found = names.iter().map(|name| dir.join(name)).find(|path| path.is_dir());
    match found {
        Some(path) => Ok(path),
        None => Err(Error::NoSplit { dir: dir.to_owned(), split, holds: contents(dir)? }),
    }
}

/// The names of the class folders of a split, sorted.
fn class_names(split: &Path) -> Result<Vec<OsString>, Error> {
    let entries = list(split)?;
    let classes: Vec<OsString> = entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect();
    if classes.is_empty() {
        return Err(Error::NoClasses { dir: split.to_owned(), holds: contents(split)? });
    }
    Ok(classes)
}

struct Entry {
    name: OsString,
    is_dir: bool,
}

/// What a folder holds, sorted by name, without hidden names. Links count as what they lead to; one
/// that leads nowhere counts as a file, to be named when it cannot be read.
fn list(dir: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(|cause| Error::unreadable(dir, cause))? {
        let entry = entry.map_err(|cause| Error::unreadable(dir, cause))?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(|cause| Error::unreadable(dir, cause))?;
        let is_dir = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        entries.push(Entry { name, is_dir });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Whether a file's name is one of an image.
pub(crate) fn is_image(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The first names in a folder, for a message.
fn contents(dir: &Path) -> Result<String, Error> {
    let entries = list(dir)?;
    let names: Vec<&OsString> = entries.iter().map(|entry| &entry.name).take(MAX_NAMES).collect();
    Ok(if names.is_empty() { "nothing".to_owned() } else { first_names(&names, entries.len()) })
}

/// `names` as a list, and how many of `n` were left out.
fn first_names(names: &[&OsString], n: usize) -> String {
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| lossy(name)).collect();
    let list = shown.join(", ");
    if n > shown.len() { format!("{list} and {} more", n - shown.len()) } else { list }
}

fn lossy(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// The folder's own name, also when it was given as `.` or `..`.
pub(crate) fn name_of(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    full.file_name().map_or_else(|| full.display().to_string(), lossy)
}

/// One split in a folder.
struct Folder {
    dir: PathBuf,
    side: usize,
    /// Label, and path below `dir`.
    images: Vec<(u32, Box<Path>)>,
}

impl Folder {
    /// Lists the images of the classes `present`, whose labels are their places in `classes`.
    fn list(dir: &Path, present: &[OsString], classes: &[OsString], side: usize) -> Result<Folder, Error> {
        let mut images = Vec::new();
        for class in present {
            let label = classes.binary_search(class).expect("val's classes were checked") as u32;
            let mut paths = Vec::new();
            collect(dir, Path::new(class), MAX_DEPTH, &mut paths)?;
            if paths.is_empty() {
                let class_dir = dir.join(class);
                let holds = contents(&class_dir)?;
                return Err(Error::EmptyClass { dir: class_dir, holds });
            }
            images.extend(paths.into_iter().map(|path| (label, path)));
        }
        Ok(Folder { dir: dir.to_owned(), side, images })
    }
}

/// Appends the images below `root/below`, as paths below `root`.
fn collect(root: &Path, below: &Path, depth: usize, paths: &mut Vec<Box<Path>>) -> Result<(), Error> {
    for Entry { name, is_dir } in list(&root.join(below))? {
        if is_dir && depth > 0 {
            collect(root, &below.join(name), depth - 1, paths)?;
        } else if !is_dir && is_image(&name) {
            paths.push(below.join(name).into_boxed_path());
        }
    }
    Ok(())
}

impl Images for Folder {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.images[index].0
    }

    fn name(&self, index: usize) -> String {
        self.dir.join(&self.images[index].1).display().to_string()
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        decode::load_into(&self.dir.join(&self.images[index].1), self.side, rgb)
    }

    fn fetch(&self, index: usize) -> Result<usize, Error> {
        let path = self.dir.join(&self.images[index].1);
        match decode::read_file(&path) {
            Ok(bytes) => Ok(bytes.len()),
            Err(fault) => Err(Error::Image { path, fault }),
        }
    }
}

#[cfg(test)]
mod tests;
