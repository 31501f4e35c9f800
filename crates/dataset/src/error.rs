//! What can go wrong: with a folder ([`Error`]) and with one image in it ([`ImageFault`]).

use std::io;
use std::path::{Path, PathBuf};

use crate::decode::{MAX_FILE_BYTES, MAX_PIXELS};
use crate::packed::MAX_SIDE;

/// What to do about a damaged file of a packed set.
const REPAIR: &str = "bring the file back, or prepare the data again into another folder";

/// The layout that a data folder must have, as the messages give it.
pub const LAYOUT: &str = "train/CLASS/*.jpg and val/CLASS/*.jpg (or .jpeg, .png, .webp)";

/// An error of this crate. Each message names the path or value, what was expected and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data folder does not exist.
    #[error("data folder {} does not exist; give a folder that holds {LAYOUT}", .dir.display())]
    NoFolder {
        /// The path as given.
        dir: PathBuf,
    },
    /// The data folder is a file or something else that is not a folder.
    #[error("{} is not a folder; give a folder that holds {LAYOUT}", .path.display())]
    NotAFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder could not be listed.
    #[error("cannot read folder {}: {cause}; check its permissions and the disk", .dir.display())]
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// `train` or `val` is missing.
    #[error(
        "{} has no folder {split} (it holds {holds}); expected {LAYOUT} (alexnet prepare --val-fraction 0.05 sets \
         images aside where there is no val)",
        .dir.display()
    )]
    NoSplit {
        /// The data folder.
        dir: PathBuf,
        /// The split that is missing.
        split: &'static str,
        /// The first names in the folder.
        holds: String,
    },
    /// A split has no class folders.
    #[error(
        "{} has no class folders (it holds {holds}); put the images of each class into a folder \
         with the name of the class: {LAYOUT}",
        .dir.display()
    )]
    NoClasses {
        /// The split's folder.
        dir: PathBuf,
        /// The first names in the folder.
        holds: String,
    },
    /// There is one class only.
    #[error(
        "{} has one class folder, {class}; there is nothing to tell apart: add a second class",
        .dir.display()
    )]
    OneClass {
        /// The training split's folder.
        dir: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class folder has no images.
    #[error(
        "class folder {} has no .jpg, .jpeg, .png or .webp images (it holds {holds}); add or \
         convert images, or remove the folder",
        .dir.display()
    )]
    EmptyClass {
        /// The class folder.
        dir: PathBuf,
        /// The first names in the folder.
        holds: String,
    },
    /// The validation split has classes that the training split lacks.
    #[error(
        "{} has class folders that {} lacks: {classes}; both need the same classes: rename or \
         remove these, or add training images for them",
        .val.display(), .train.display()
    )]
    UnknownClasses {
        /// The validation split's folder.
        val: PathBuf,
        /// The training split's folder.
        train: PathBuf,
        /// The first such classes.
        classes: String,
    },
    /// A file of a packed set could not be read or written.
    #[error("cannot {action} {}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried, as "read".
        action: &'static str,
        /// What the operating system said.
        cause: io::Error,
    },
    /// A file of a packed set is not what it should be.
    #[error("{}: {problem}; {REPAIR}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        problem: String,
    },
    /// A source of a preparation is not what it should be.
    #[error("{}: {problem}", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        problem: String,
    },
    /// There is a validation split, and a part of the training images is to be one.
    #[error("{} has validation images already; leave --val-fraction out", .path.display())]
    HasVal {
        /// The folder or tar of the validation images.
        path: PathBuf,
    },
    /// There are no validation images.
    #[error("there are no validation images; add the validation tar, or set a part aside with --val-fraction 0.05")]
    NoVal,
    /// There are no training images.
    #[error("there are no training images; expected a folder that holds {LAYOUT}, or the training tar of ILSVRC")]
    NoTraining,
    /// Validation images have no labels.
    #[error(
        "the validation images have no labels; add the development kit (ILSVRC2012_devkit_t12.tar.gz) or a text \
         file with a line for each image, as \"ILSVRC2012_val_00000001.JPEG n01751748\""
    )]
    NoLabels,
    /// The sources are of several kinds.
    #[error("images come from a folder, from the tars of ILSVRC or from WebDataset shards; give one of these")]
    MixedSources,
    /// A split would be empty.
    #[error("of {what} none is left for {split} with a validation fraction of {fraction}; give another")]
    EmptySplit {
        /// The split.
        split: &'static str,
        /// Of what.
        what: String,
        /// The fraction.
        fraction: f64,
    },
    /// A packed set has images of another size than is asked for.
    #[error(
        "{} has images of {found} pixels, expected {expected}; prepare the data with --size {expected}",
        .dir.display()
    )]
    Side {
        /// The packed set.
        dir: PathBuf,
        /// Its side.
        found: usize,
        /// The side that is asked for.
        expected: usize,
    },
    /// A preparation was stopped before its end.
    #[error("{} is prepared in part only; run the same alexnet prepare again, it goes on", .dir.display())]
    Unfinished {
        /// The packed set.
        dir: PathBuf,
    },
    /// The folder for a packed set holds something else.
    #[error("{} {holds}; give another --out, or remove it", .dir.display())]
    Occupied {
        /// The folder.
        dir: PathBuf,
        /// What it holds.
        holds: &'static str,
    },
    /// The side asked for is not one that can be stored.
    #[error("images of {side} pixels cannot be packed; expected 1 to {MAX_SIDE}")]
    PackedSide {
        /// The side.
        side: usize,
    },
    /// An image could not be read.
    #[error("cannot read image {}: {fault}", .path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: ImageFault,
    },
    /// Not one of the images could be read.
    #[error(
        "none of the {n_images} images could be read; the first is {}: {}; check the data",
        .first.name, .first.reason
    )]
    NoneReadable {
        /// How many images there are.
        n_images: usize,
        /// The first of them.
        first: Skipped,
    },
    /// There are no images at all.
    #[error("there are no images to take statistics of; expected at least one")]
    NoImages,
}

/// What is wrong with one image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// The file could not be opened or read.
    #[error("{0}")]
    Io(io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file has too many bytes.
    #[error("the file is larger than {} MB, more than an image needs", MAX_FILE_BYTES >> 20)]
    FileTooLarge,
    /// The content is of no known format, whatever the file's name says.
    #[error("the content is not an image that is known here; expected JPEG, PNG or WebP")]
    UnknownFormat,
    /// The content is an image of a format that is not decoded here.
    #[error("the content is {0}; convert it to JPEG, PNG or WebP")]
    OtherFormat(&'static str),
    /// Width or height is zero, or there are too many pixels.
    #[error("it says it has {width} x {height} pixels; expected 1 to {MAX_PIXELS} in all")]
    Size {
        /// Width that the header gives.
        width: u32,
        /// Height that the header gives.
        height: u32,
    },
    /// The JPEG data stops before the end of the image.
    #[error("the JPEG data stops before its end marker: the file is truncated")]
    Truncated,
    /// The decoder refused the content.
    #[error("{}", one_line(.0))]
    Decode(image::ImageError),
    /// The bytes of a packed image are not those that were written.
    #[error("the bytes have CRC-32 {found:08x}, expected {expected:08x}: the shard was damaged or changed")]
    Changed {
        /// Of the bytes as they are.
        found: u32,
        /// Of the bytes as they were written.
        expected: u32,
    },
    /// A packed image has another size than its set.
    #[error("it has {width} x {height} pixels, expected {side} x {side}")]
    PackedSize {
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
        /// The set's side.
        side: usize,
    },
    /// The decoder panicked: a bug in it that this file brings out.
    #[error("the decoder failed on this file (a bug in the decoder); convert or remove the file")]
    Panicked,
}

/// An image that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// The image, as [`crate::Images::name`] gives it.
    pub name: String,
    /// Why: one line, without the name.
    pub reason: String,
}

impl Skipped {
    /// The record of an image `name` whose reading gave `error`.
    pub fn new(name: String, error: &Error) -> Skipped {
        let reason = match error {
            Error::Image { fault, .. } => fault.to_string(),
            other => other.to_string(),
        };
        Skipped { name, reason }
    }
}

impl Error {
    pub(crate) fn file(path: &Path, action: &'static str, cause: io::Error) -> Error {
        Error::File { path: path.to_owned(), action, cause }
    }

    pub(crate) fn source(path: &Path, problem: String) -> Error {
        Error::Source { path: path.to_owned(), problem }
    }

    pub(crate) fn unreadable(dir: &Path, cause: io::Error) -> Error {
        Error::Unreadable { dir: dir.to_owned(), cause }
    }
}

/// A decoder's message as one line without a final period.
fn one_line(error: &image::ImageError) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}
