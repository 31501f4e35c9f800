//! Labelled images: a folder or the embedded demo set, decoded, measured and read ahead.
//!
//! In reading order:
//! - [`Dataset`]: two splits of labelled images and the names of the classes. [`Dataset::folder`]
//!   finds them in a folder, [`Dataset::packed`] in shards that [`prepare()`] wrote, [`Dataset::cifar`] in CIFAR-10's
//!   files, [`Dataset::open`] in any of them; [`Dataset::demo`] has 10,000 in the binary; [`Dataset::sources`] reads
//!   the tars of ILSVRC.
//! - [`Images`]: one split, read by index. [`load_image`] reads one file the same way.
//! - [`Statistics`]: the mean image and the colour covariance of the training images.
//! - [`permutation`]: the order of an epoch.
//! - [`Loader`]: threads that decode batches ahead of training.
//!
//! An image that cannot be read is never fatal here: it is left out and listed ([`Skipped`]). How
//! many are too many is the caller's decision.
//!
//! Invariant: everything is the same for any number of threads. Batches are in order and sums are of
//! integers.
#![forbid(unsafe_code)]

mod archive;
mod atomic;
mod cifar;
mod decode;
mod demo;
mod error;
mod folder;
mod jpeg;
mod loader;
mod order;
mod packed;
mod prepare;
mod source;
mod statistics;
mod subset;

use std::path::Path;
use std::sync::Arc;

pub use decode::load_image;
pub use error::{Error, ImageFault, LAYOUT, Skipped};
pub use loader::{Batch, Loader};
pub use order::permutation;
pub use packed::{Encoding, MAX_SIDE};
pub use prepare::{Prepared, prepare};
pub use statistics::Statistics;

/// One split: images with labels, read by index.
pub trait Images: Send + Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of an image, an index into [`Dataset::classes`].
    ///
    /// # Panics
    /// If `index` is not below [`Images::len`].
    fn label(&self, index: usize) -> u32;

    /// What to call an image before people: its path, or "demo/test #12".
    ///
    /// # Panics
    /// If `index` is not below [`Images::len`].
    fn name(&self, index: usize) -> String;

    /// Reads an image as `side * side * 3` bytes of interleaved RGB, where `side` is the data set's.
    /// After an error the content of `rgb` is unspecified.
    ///
    /// # Errors
    /// [`Error::Image`] if the image cannot be read.
    ///
    /// # Panics
    /// If `index` is not below [`Images::len`], or `rgb` has another length.
    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error>;

    /// The part of [`Images::read`] that is not decoding, for measuring: brings the stored bytes of an image
    /// into memory and gives their number. Zero where the images are in memory.
    ///
    /// # Errors
    /// [`Error::Image`] if the bytes cannot be read.
    ///
    /// # Panics
    /// If `index` is not below [`Images::len`].
    fn fetch(&self, index: usize) -> Result<usize, Error> {
        assert!(index < self.len(), "image {index} of {}", self.len());
        Ok(0)
    }
}

/// A data set: a training and a validation split with the same classes.
#[derive(Clone)]
pub struct Dataset {
    /// A short name: the folder's, or "demo".
    pub name: String,
    /// Width and height of every image as read.
    pub side: usize,
    /// Names of the classes; a label is an index into them.
    pub classes: Vec<String>,
    /// The training images.
    pub train: Arc<dyn Images>,
    /// The validation images.
    pub val: Arc<dyn Images>,
    /// Those of the training images, where they are stored with the data.
    pub statistics: Option<Arc<Statistics>>,
}

impl Dataset {
    /// Opens `data`, to be read as `side x side`: a packed set, CIFAR-10, a folder of images, a folder of other
    /// WebDataset shards, or a text file that lists such shards, one path on a line.
    ///
    /// # Errors
    /// Those of [`Dataset::packed`], [`Dataset::cifar`] or [`Dataset::folder`], or if a shard cannot be read.
    ///
    /// # Panics
    /// If `side` is zero.
    pub fn open(data: &Path, side: usize) -> Result<Dataset, Error> {
        if packed::is_packed(data) {
            Dataset::packed(data, side)
        } else if cifar::is_cifar(data) {
            Dataset::cifar(data, side)
        } else if data.is_file() {
            source::shards::open(&source::shards::in_list(data)?, side)
        } else if data.is_dir() && source::shards::is_folder(data)? {
            source::shards::open(&source::shards::in_folder(data)?, side)
        } else {
            Dataset::folder(data, side)
        }
    }

    /// The one side that the images in `data` have; none where images of any size are scaled.
    ///
    /// # Errors
    /// If `data` holds a packed set that is not finished or whose description is damaged.
    pub fn stored_side(data: &Path) -> Result<Option<usize>, Error> {
        if cifar::is_cifar(data) { Ok(Some(cifar::SIDE)) } else { Dataset::packed_side(data) }
    }
}

/// Whether two names are of one class: they are equal, or begin with the same WordNet number, as
/// `n01440764` and `n01440764 tench, Tinca tinca` do.
pub fn same_class(a: &str, b: &str) -> bool {
    let number = |class: &str| {
        let word = class.split(' ').next().unwrap_or_default();
        let digits = word.strip_prefix('n')?;
        (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| word.to_owned())
    };
    a == b || number(a).is_some_and(|number_a| number(b) == Some(number_a))
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("side", &self.side)
            .field("classes", &self.classes.len())
            .field("train", &self.train.len())
            .field("val", &self.val.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::same_class;

    #[test]
    fn classes_are_told_by_their_numbers() {
        assert!(same_class("n01440764", "n01440764 tench, Tinca tinca") && same_class("red", "red"));
        assert!(!same_class("n01440764 tench", "n01440765 tench") && !same_class("red", "red fox"));
        assert!(!same_class("n0144076 a", "n0144076 b") && !same_class("", "n01440764"));
    }
}
