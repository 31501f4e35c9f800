//! Labelled images: a folder or the embedded demo set, decoded, measured and read ahead.
//!
//! In reading order:
//! - [`Dataset`]: two splits of labelled images and the names of the classes. [`Dataset::folder`]
//!   finds them in a folder, [`Dataset::packed`] in shards that [`prepare()`] wrote, [`Dataset::cifar`] in CIFAR-10's
//!   files, [`Dataset::open`] in any of them; [`Dataset::demo`] has 10,000 in the binary.
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

mod atomic;
mod cifar;
mod decode;
mod demo;
mod error;
mod folder;
mod loader;
mod order;
mod packed;
mod prepare;
mod statistics;

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
    /// Opens `dir`, a packed set, CIFAR-10 or a folder of images, to be read as `side x side`.
    ///
    /// # Errors
    /// Those of [`Dataset::packed`] where `dir` holds a packed set, of [`Dataset::cifar`] where it holds CIFAR-10, else
    /// those of [`Dataset::folder`].
    ///
    /// # Panics
    /// If `side` is zero.
    pub fn open(dir: &Path, side: usize) -> Result<Dataset, Error> {
        match dir {
            packed if packed::is_packed(packed) => Dataset::packed(packed, side),
            cifar if cifar::is_cifar(cifar) => Dataset::cifar(cifar, side),
            folder => Dataset::folder(folder, side),
        }
    }

    /// The one side that the images in `dir` have; none where images of any size are scaled.
    ///
    /// # Errors
    /// If `dir` holds a packed set that is not finished or whose description is damaged.
    pub fn stored_side(dir: &Path) -> Result<Option<usize>, Error> {
        if cifar::is_cifar(dir) { Ok(Some(cifar::SIDE)) } else { Dataset::packed_side(dir) }
    }
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
