//! `dataset.json`: what a packed set is. It is written last; a set without it is not finished.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Encoding;
use super::shard::ShardIndex;
use crate::{Error, Statistics, atomic};

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;

/// The settings and the source of a packed set: what its bytes follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) format: u32,
    pub(crate) side: usize,
    pub(crate) encoding: Encoding,
    /// Images of the source.
    pub(crate) train: usize,
    pub(crate) val: usize,
    /// CRC-32 of the labels and names of the source, in their order, and of the classes.
    pub(crate) source: u32,
}

/// What `dataset.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// The program that wrote it, with its version.
    pub(crate) program: String,
    pub(crate) plan: Plan,
    pub(crate) classes: Vec<String>,
    pub(crate) train: Split,
    pub(crate) val: Split,
    pub(crate) colours: Colours,
}

/// One split.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Split {
    /// Images in the shards.
    pub(crate) images: usize,
    /// Images of the source that could not be read.
    pub(crate) skipped: usize,
    /// Images of each class.
    pub(crate) counts: Vec<usize>,
    pub(crate) shards: Vec<ShardEntry>,
}

/// One shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShardEntry {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
    pub(crate) images: usize,
}

/// The colour statistics of the training images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Colours {
    /// Images that they are of.
    pub(crate) images: u64,
    /// For values from 0 to 255.
    pub(crate) bytes: Scale,
    /// For values from 0 to 1.
    pub(crate) unit: Scale,
    /// Row `i` belongs to eigenvalue `i`: red, green, blue.
    pub(crate) eigenvectors: [[f64; 3]; 3],
    /// CRC-32 of `mean.npy`.
    pub(crate) mean_crc: u32,
}

/// Colour statistics on one scale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// Of red, green and blue.
    pub(crate) covariance: [[f64; 3]; 3],
    /// Variances, largest first.
    pub(crate) eigenvalues: [f64; 3],
    /// Their square roots.
    pub(crate) deviations: [f64; 3],
}

impl Scale {
    /// The statistics of values multiplied by the square root of `square`.
    fn new(statistics: &Statistics, square: f64) -> Scale {
        let eigenvalues = statistics.eigenvalues.map(|value| value * square);
        Scale {
            covariance: statistics.covariance.map(|row| row.map(|value| value * square)),
            eigenvalues,
            deviations: eigenvalues.map(f64::sqrt),
        }
    }
}

impl Colours {
    pub(crate) fn new(statistics: &Statistics, mean_crc: u32) -> Colours {
        Colours {
            images: statistics.images,
            bytes: Scale::new(statistics, 1.0),
            unit: Scale::new(statistics, 1.0 / (255.0 * 255.0)),
            eigenvectors: statistics.eigenvectors,
            mean_crc,
        }
    }
}

impl Split {
    /// Counts a finished shard.
    pub(crate) fn add(&mut self, file: String, index: &ShardIndex) {
        self.images += index.records.len();
        self.skipped += index.skipped.len();
        for record in &index.records {
            self.counts[record.label as usize] += 1;
        }
        self.shards.push(ShardEntry { file, bytes: index.bytes, crc: index.crc, images: index.records.len() });
    }
}

/// The manifest of the packed set in `dir`.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("dataset.json")
}

/// The mean image of the packed set in `dir`: f32, `[side, side, 3]`, from 0 to 255.
fn mean_path(dir: &Path) -> PathBuf {
    dir.join("mean.npy")
}

impl Manifest {
    /// Reads and checks the manifest of `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Manifest, Error> {
        let path = path(dir);
        let bytes = std::fs::read(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Error::Unfinished { dir: dir.to_owned() },
            _ => Error::file(&path, "read", cause),
        })?;
        Manifest::parse(&bytes).map_err(|problem| Error::Damaged { path, problem })
    }

    /// Reads the content of a manifest. Shards of the result lie in the set's own folder.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|error| format!("not the description of a packed set: {error}"))?;
        let Plan { format, side, .. } = manifest.plan;
        if format != FORMAT {
            return Err(format!("it has format {format}, expected {FORMAT}"));
        }
        if !(1..=super::MAX_SIDE).contains(&side) {
            return Err(format!("its images have {side} pixels, expected 1 to {}", super::MAX_SIDE));
        }
        for split in [&manifest.train, &manifest.val] {
            for ShardEntry { file, .. } in &split.shards {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                if file.starts_with('.') || !file.ends_with(".tar") || !file.chars().all(plain) {
                    return Err(format!("it names a shard {file:?}, expected a plain name that ends in .tar"));
                }
            }
        }
        Ok(manifest)
    }

    /// Writes the manifest of `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = path(dir);
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        json.push(b'\n');
        atomic::write(&path, &json).map_err(|cause| Error::file(&path, "write", cause))
    }

    /// The statistics that were stored with the set.
    pub(crate) fn statistics(&self, dir: &Path) -> Result<Statistics, Error> {
        let path = mean_path(dir);
        let side = self.plan.side;
        let bytes = std::fs::read(&path).map_err(|cause| Error::file(&path, "read", cause))?;
        let crc = crc32fast::hash(&bytes);
        let values = bytes.strip_prefix(&npy_header(side)[..]).filter(|values| values.len() == side * side * 12);
        match values {
            Some(values) if crc == self.colours.mean_crc => Ok(Statistics {
                side,
                images: self.colours.images,
                mean: values.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
                covariance: self.colours.bytes.covariance,
                eigenvalues: self.colours.bytes.eigenvalues,
                eigenvectors: self.colours.eigenvectors,
            }),
            _ => {
                let expected = self.colours.mean_crc;
                let problem = format!(
                    "not the mean image of this set: {} bytes with CRC-32 {crc:08x}, expected {expected:08x}",
                    bytes.len()
                );
                Err(Error::Damaged { path, problem })
            }
        }
    }
}

/// Writes the mean image of `dir`; gives the file's CRC-32.
pub(crate) fn write_mean(dir: &Path, statistics: &Statistics) -> Result<u32, Error> {
    let path = mean_path(dir);
    let mut bytes = npy_header(statistics.side);
    bytes.extend(statistics.mean.iter().flat_map(|value| value.to_le_bytes()));
    atomic::write(&path, &bytes).map_err(|cause| Error::file(&path, "write", cause))?;
    Ok(crc32fast::hash(&bytes))
}

/// What NumPy puts before the values of an f32 array `[side, side, 3]`: magic, version, length, description,
/// filled up with spaces to 64 bytes.
fn npy_header(side: usize) -> Vec<u8> {
    let description = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({side}, {side}, 3), }}");
    let length = (10 + description.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{description:<width$}\n", width = length - 1).bytes());
    header
}
