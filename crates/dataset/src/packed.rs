//! A packed set: pictures of one size in tar shards, with everything that training needs to know.
//!
//! # Files
//! - `train-00000.tar`, `val-00000.tar`, ...: WebDataset shards ([`shard`]), readable by any tar tool.
//!   Training images are shuffled once, so that reading shards from their starts is a fair order, too.
//! - `train-00000.index.json`, ...: place, CRC-32, label and first name of each image.
//! - `dataset.json`: classes, counts, shards with sizes and checksums, colour statistics, settings
//!   ([`manifest`]).
//! - `mean.npy`: the mean image.
//! - `skipped.txt`: the images of the source that could not be read, and why.
//!
//! # Reading
//! An image is read by its place, with no state between images. So
//! memory is that of the index, about 100 bytes an image, whatever the size of the set; and a shard that
//! changes or goes away while it is read is an error for its images, where a memory map would end
//! the program (SIGBUS). ARCHITECTURE.md has what it costs.

mod encoding;
pub(crate) mod manifest;
pub(crate) mod shard;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::ImageFault;
use crate::{Dataset, Error, Images};
pub use encoding::Encoding;
use manifest::{Manifest, Split};
use shard::ShardIndex;

/// The largest side of packed images.
pub const MAX_SIDE: usize = 4096;

/// What `prepare` leaves in a folder until the set is finished.
pub(crate) const UNFINISHED: &str = "prepare.json";

/// Whether `dir` holds a packed set, finished or not.
pub(crate) fn is_packed(dir: &Path) -> bool {
    manifest::path(dir).is_file() || dir.join(UNFINISHED).is_file()
}

impl Dataset {
    /// Opens the packed set in `dir`, whose images must have `side` pixels.
    ///
    /// # Errors
    /// If the set is not finished, has images of another size, or a shard or another file is missing,
    /// damaged or has another length than it was written with.
    pub fn packed(dir: &Path, side: usize) -> Result<Dataset, Error> {
        let manifest = Manifest::read(dir)?;
        if manifest.plan.side != side {
            return Err(Error::Side { dir: dir.to_owned(), found: manifest.plan.side, expected: side });
        }
        let statistics = manifest.statistics(dir)?;
        let train = Packed::open(dir, &manifest, &manifest.train)?;
        let val = Packed::open(dir, &manifest, &manifest.val)?;
        Ok(Dataset {
            name: manifest.name,
            side,
            classes: manifest.classes,
            train: Arc::new(train),
            val: Arc::new(val),
            statistics: Some(Arc::new(statistics)),
        })
    }

    /// The side of the images of the packed set in `dir`; none if `dir` holds no packed set.
    ///
    /// # Errors
    /// If the set is not finished or its description is damaged.
    pub fn packed_side(dir: &Path) -> Result<Option<usize>, Error> {
        if !is_packed(dir) {
            return Ok(None);
        }
        Ok(Some(Manifest::read(dir)?.plan.side))
    }
}

/// One split of a packed set.
struct Packed {
    side: usize,
    encoding: Encoding,
    shards: Vec<PathBuf>,
    entries: Vec<Entry>,
    /// All names, one after the other: a million small allocations less.
    names: String,
}

/// Where an image is, and what it should be.
struct Entry {
    offset: u64,
    length: u32,
    crc: u32,
    label: u32,
    shard: u32,
    /// Where its name ends in `names`.
    name_end: usize,
}

impl Packed {
    fn open(dir: &Path, manifest: &Manifest, split: &Split) -> Result<Packed, Error> {
        let mut packed = Packed {
            side: manifest.plan.side,
            encoding: manifest.plan.encoding,
            shards: Vec::with_capacity(split.shards.len()),
            entries: Vec::new(),
            names: String::new(),
        };
        for shard in &split.shards {
            let path = dir.join(&shard.file);
            let damaged = |problem| Error::Damaged { path: path.clone(), problem };
            let bytes = fs::metadata(&path).map_err(|cause| Error::file(&path, "read", cause))?.len();
            if bytes != shard.bytes {
                return Err(damaged(format!("the shard has {bytes} bytes, expected {}", shard.bytes)));
            }
            let index = ShardIndex::read(&path)?.ok_or_else(|| damaged("the shard has no index".to_owned()))?;
            if (index.bytes, index.crc, index.records.len()) != (shard.bytes, shard.crc, shard.images) {
                return Err(damaged("the shard's index is that of another shard".to_owned()));
            }
            packed.add(path.clone(), index, manifest.classes.len()).map_err(damaged)?;
        }
        let found = packed.entries.len();
        if found != split.images {
            let problem = format!("it counts {} images, its shards have {found}", split.images);
            return Err(Error::Damaged { path: manifest::path(dir), problem });
        }
        Ok(packed)
    }

    fn add(&mut self, path: PathBuf, index: ShardIndex, n_classes: usize) -> Result<(), String> {
        let shard = self.shards.len() as u32;
        self.shards.push(path);
        for record in index.records {
            if record.label as usize >= n_classes {
                return Err(format!("{} has label {}, of {n_classes} classes", record.name, record.label));
            }
            self.names.push_str(&record.name);
            let name_end = self.names.len();
            let shard::Record { offset, length, crc, label, .. } = record;
            self.entries.push(Entry { offset, length, crc, label, shard, name_end });
        }
        Ok(())
    }

    /// The stored bytes of `entry`, as they were written.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, ImageFault> {
        let mut bytes = vec![0; entry.length as usize];
        let file = File::open(&self.shards[entry.shard as usize]).map_err(ImageFault::Io)?;
        file.read_exact_at(&mut bytes, entry.offset).map_err(ImageFault::Io)?;
        let found = crc32fast::hash(&bytes);
        if found != entry.crc {
            return Err(ImageFault::Changed { found, expected: entry.crc });
        }
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8], rgb: &mut [u8]) -> Result<(), ImageFault> {
        // The buffer is plain bytes that the caller throws away on an error: nothing can be left broken.
        catch_unwind(AssertUnwindSafe(|| self.encoding.decode(bytes, self.side, rgb)))
            .unwrap_or(Err(ImageFault::Panicked))
    }

    fn unreadable(&self, index: usize, fault: ImageFault) -> Error {
        Error::Image { path: self.name(index).into(), fault }
    }
}

impl Images for Packed {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.entries[index].label
    }

    fn name(&self, index: usize) -> String {
        let entry = &self.entries[index];
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].name_end);
        let name = &self.names[start..entry.name_end];
        self.shards[entry.shard as usize].join(name).display().to_string()
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        let bytes = self.bytes(&self.entries[index]);
        bytes.and_then(|bytes| self.decode(&bytes, rgb)).map_err(|fault| self.unreadable(index, fault))
    }

    fn fetch(&self, index: usize) -> Result<usize, Error> {
        let bytes = self.bytes(&self.entries[index]);
        bytes.map(|bytes| bytes.len()).map_err(|fault| self.unreadable(index, fault))
    }
}
