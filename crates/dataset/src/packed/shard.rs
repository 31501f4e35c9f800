//! A shard: a tar file of pictures, and the index beside it.
//!
//! For image 12 of a split the tar has the members `00000012.jpg` (or `.ppm`) and `00000012.cls`, the label
//! in decimal: a WebDataset shard. The index is JSON, written after the shard; a shard without one is
//! not finished.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Encoding;
use crate::atomic::{self, AtomicFile};
use crate::{Error, Skipped};

/// Bytes of a tar block: headers are one, contents are filled up to whole ones.
const BLOCK: usize = 512;

/// What a shard holds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardIndex {
    /// Bytes of the tar file.
    pub(crate) bytes: u64,
    /// CRC-32 of the tar file.
    pub(crate) crc: u32,
    /// The images in their order.
    pub(crate) records: Vec<Record>,
    /// Images of the source that could not be read.
    pub(crate) skipped: Vec<Skipped>,
}

/// One image of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Where its bytes start in the tar file.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) length: u32,
    /// Their CRC-32.
    pub(crate) crc: u32,
    /// The class.
    pub(crate) label: u32,
    /// The image's name in the source.
    pub(crate) name: String,
}

impl ShardIndex {
    /// Reads the index of the shard `tar`; none if the shard is not finished.
    pub(crate) fn read(tar: &Path) -> Result<Option<ShardIndex>, Error> {
        let path = index_path(tar);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::file(&path, "read", cause)),
        };
        match ShardIndex::parse(&bytes) {
            Ok(index) => Ok(Some(index)),
            Err(problem) => Err(Error::Damaged { path, problem }),
        }
    }

    /// Reads the content of an index file. Every record of the result lies inside the shard.
    pub(crate) fn parse(bytes: &[u8]) -> Result<ShardIndex, String> {
        let index: ShardIndex =
            serde_json::from_slice(bytes).map_err(|error| format!("not the index of a shard: {error}"))?;
        for record in &index.records {
            let end = record.offset.checked_add(u64::from(record.length));
            if end.is_none_or(|end| end > index.bytes) {
                return Err(format!(
                    "{} lies at {} with {} bytes, outside of a shard of {} bytes",
                    record.name, record.offset, record.length, index.bytes
                ));
            }
        }
        Ok(index)
    }
}

/// The index of the shard `tar`.
fn index_path(tar: &Path) -> PathBuf {
    tar.with_extension("index.json")
}

/// Writes a shard, then its index.
pub(crate) struct ShardWriter {
    path: PathBuf,
    file: AtomicFile,
    hasher: crc32fast::Hasher,
    index: ShardIndex,
}

impl ShardWriter {
    /// Begins the shard `path`.
    pub(crate) fn create(path: &Path) -> Result<ShardWriter, Error> {
        let file = AtomicFile::create(path).map_err(|cause| Error::file(path, "write", cause))?;
        Ok(ShardWriter { path: path.to_owned(), file, hasher: crc32fast::Hasher::new(), index: ShardIndex::default() })
    }

    /// Where the shard will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds image `number` of the split, as encoded bytes.
    pub(crate) fn add(
        &mut self,
        number: usize,
        label: u32,
        name: String,
        encoding: Encoding,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let key = format!("{number:08}");
        let offset = self.member(&format!("{key}.{}", encoding.extension()), bytes)?;
        self.member(&format!("{key}.cls"), label.to_string().as_bytes())?;
        let length = u32::try_from(bytes.len()).expect("an image of MAX_SIDE fits");
        self.index.records.push(Record { offset, length, crc: crc32fast::hash(bytes), label, name });
        Ok(())
    }

    /// Notes an image that could not be read.
    pub(crate) fn skip(&mut self, skipped: Skipped) {
        self.index.skipped.push(skipped);
    }

    /// Completes the shard and its index.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.put(&[0; 2 * BLOCK])?; // the end of a tar file
        let ShardWriter { path, file, hasher, mut index } = self;
        file.commit().map_err(|cause| Error::file(&path, "write", cause))?;
        index.crc = hasher.finalize();
        let json = serde_json::to_vec(&index).expect("an index is plain data");
        let path = index_path(&path);
        atomic::write(&path, &json).map_err(|cause| Error::file(&path, "write", cause))
    }

    /// Writes a member of the tar file; gives the place of its content.
    fn member(&mut self, name: &str, content: &[u8]) -> Result<u64, Error> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).expect("names are short and plain");
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0); // the same images give the same bytes
        header.set_cksum();
        self.put(header.as_bytes())?;
        let offset = self.index.bytes;
        self.put(content)?;
        self.put(&[0; BLOCK][..content.len().next_multiple_of(BLOCK) - content.len()])?;
        Ok(offset)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|cause| Error::file(&self.path, "write", cause))?;
        self.hasher.update(bytes);
        self.index.bytes += bytes.len() as u64;
        Ok(())
    }
}
