//! The file of a checkpoint: safetensors with a checksum over everything, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value, json};

use crate::console;

/// The metadata key of the checksum: CRC-32 of the whole file as it is with zeros in the checksum's place.
pub(super) const CHECKSUM: &str = "checksum";
const NO_CHECKSUM: &str = "crc32:00000000";
/// How the checksum stands in the header. No string in it can look like this: their quotes are escaped.
const CHECKSUM_MARK: &str = "\"checksum\":\"crc32:";
const CHECKSUM_DIGITS: usize = 8;
/// Larger headers than any net has; a length above it is damage.
const MAX_HEADER: u64 = 100_000_000;

/// Numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

/// A tensor to be written. Its numbers are fetched when it is their turn, so that no copy of all is made.
pub(super) struct Entry<'a> {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub dims: Vec<usize>,
    /// Whether its numbers are in double precision.
    pub double: bool,
    /// Gives the numbers.
    pub fetch: Box<dyn Fn() -> Result<Data> + 'a>,
}

impl Entry<'_> {
    fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * if self.double { 8 } else { 4 }
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system cannot read it.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is cut off or changed.
    #[error("{} is damaged: {how}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        how: String,
    },
    /// It is something else.
    #[error("{} is no checkpoint of this program: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
}

/// A tensor that must not be written: a run that goes on from it would be lost.
#[derive(Debug, thiserror::Error)]
#[error("{0} holds numbers that are not finite")]
pub struct NotFinite(String);

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    path: PathBuf,
    metadata: HashMap<String, String>,
    index: Metadata,
    data: Vec<u8>,
}

/// Writes `entries` and `metadata` to `path` by way of a temporary file beside it, which is on the disk before it
/// takes the name; after an error the old file is still there, and the temporary one is not. Returns the bytes.
///
/// # Errors
/// When it cannot be written, or a number is not finite.
pub(super) fn write(path: &Path, metadata: &BTreeMap<&str, String>, entries: &[Entry]) -> Result<u64> {
    let temporary = temporary(path);
    let written = write_temporary(&temporary, metadata, entries).and_then(|bytes| {
        fs::rename(&temporary, path)?;
        sync_folder(path);
        Ok(bytes)
    });
    written
        .inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        })
        .with_context(|| {
            let size = entries.iter().map(Entry::bytes).sum::<usize>() as u64;
            let old = if path.exists() { "; the file that was there is unchanged" } else { "" };
            format!("cannot write {} ({}){old}", path.display(), console::bytes(size))
        })
}

/// The name under which `path` is written before it is complete.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not every file system can; the file itself is on the disk.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

fn write_temporary(path: &Path, metadata: &BTreeMap<&str, String>, entries: &[Entry]) -> Result<u64> {
    let header = header(metadata, entries)?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut hasher = crc32fast::Hasher::new();
    let mut total = 0;
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        total += bytes.len() as u64;
        file.write_all(bytes)
    };
    put(&(header.len() as u64).to_le_bytes())?;
    put(&header)?;
    for entry in entries {
        let data = (entry.fetch)()?;
        if !data.is_finite() {
            bail!(NotFinite(entry.name.clone()));
        }
        let bytes = data.to_bytes();
        if bytes.len() != entry.bytes() {
            bail!("{} holds {} bytes, expected {}", entry.name, bytes.len(), entry.bytes());
        }
        put(&bytes)?;
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let place = checksum_place(&header).context("the header has no place for the checksum")?;
    file.seek(SeekFrom::Start(8 + place as u64))?;
    file.write_all(format!("{:08x}", hasher.finalize()).as_bytes())?;
    file.sync_all()?;
    Ok(total)
}

fn header(metadata: &BTreeMap<&str, String>, entries: &[Entry]) -> Result<Vec<u8>> {
    let mut metadata: Map<String, Value> =
        metadata.iter().map(|(&key, value)| (key.to_string(), Value::String(value.clone()))).collect();
    metadata.insert(CHECKSUM.to_string(), Value::String(NO_CHECKSUM.to_string()));
    let mut all = Map::new();
    all.insert("__metadata__".to_string(), Value::Object(metadata));
    let mut start = 0;
    for entry in entries {
        let end = start + entry.bytes();
        let dtype = if entry.double { "F64" } else { "F32" };
        let info = json!({ "dtype": dtype, "shape": entry.dims, "data_offsets": [start, end] });
        all.insert(entry.name.clone(), info);
        start = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(all))?;
    // The format wants the data aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Where the checksum's digits stand in a header.
fn checksum_place(header: &[u8]) -> Option<usize> {
    let mark = CHECKSUM_MARK.as_bytes();
    let place = header.windows(mark.len()).position(|window| window == mark)? + mark.len();
    (place + CHECKSUM_DIGITS <= header.len()).then_some(place)
}

/// Reads a file and verifies every byte of it.
///
/// # Errors
/// [`ReadError`].
pub(super) fn read(path: &Path) -> Result<Contents, ReadError> {
    let unreadable = |source| ReadError::Io { path: path.to_owned(), source };
    let damaged = |how: String| ReadError::Damaged { path: path.to_owned(), how };
    let foreign = |why: &str| ReadError::Foreign { path: path.to_owned(), why: why.to_string() };

    let mut file = File::open(path).map_err(unreadable)?;
    let file_len = file.metadata().map_err(unreadable)?.len();
    let mut length = [0; 8];
    if file_len < 8 {
        return Err(damaged(format!("it has {file_len} bytes; even its length is cut off")));
    }
    file.read_exact(&mut length).map_err(unreadable)?;
    let header_len = u64::from_le_bytes(length);
    if header_len > MAX_HEADER {
        return Err(foreign("it does not start as a safetensors file"));
    }
    if 8 + header_len > file_len {
        return Err(damaged(format!("it has {file_len} bytes, its header alone has {header_len}: it is cut off")));
    }
    let mut header = vec![0; header_len as usize];
    file.read_exact(&mut header).map_err(unreadable)?;
    let index: Metadata = match serde_json::from_slice(&header) {
        Ok(index) => index,
        Err(_) if header.first() != Some(&b'{') => return Err(foreign("it does not start as a safetensors file")),
        Err(error) => return Err(damaged(format!("its header cannot be read ({error})"))),
    };
    let expected = 8 + header_len + index.data_len() as u64;
    if file_len != expected {
        let how = if file_len < expected { "it is cut off" } else { "something was added" };
        return Err(damaged(format!("it has {file_len} bytes, expected {expected}: {how}")));
    }
    let metadata = index.metadata().clone().unwrap_or_default();
    let Some(checksum) = metadata.get(CHECKSUM).and_then(|text| text.strip_prefix("crc32:")) else {
        return Err(foreign("it is a safetensors file without this program's metadata"));
    };
    let checksum = u32::from_str_radix(checksum, 16).map_err(|_| damaged("its checksum is no number".to_string()))?;
    let mut data = Vec::with_capacity(index.data_len());
    file.read_to_end(&mut data).map_err(unreadable)?;

    let place = checksum_place(&header).ok_or_else(|| damaged("its checksum is not in its place".to_string()))?;
    header[place..place + CHECKSUM_DIGITS].fill(b'0');
    let mut hasher = crc32fast::Hasher::new();
    for part in [&length[..], &header, &data] {
        hasher.update(part);
    }
    if hasher.finalize() != checksum {
        return Err(damaged("its contents do not match its checksum".to_string()));
    }
    Ok(Contents { path: path.to_owned(), metadata, index, data })
}

/// Whether two files start with the same header. It holds the checksum of all the rest, so that the files are the same
/// unless one is damaged.
pub fn same_header(a: &Path, b: &Path) -> bool {
    let header = |path: &Path| -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(length).min(MAX_HEADER)).read_to_end(&mut header)?;
        Ok(header)
    };
    matches!((header(a), header(b)), (Ok(a), Ok(b)) if a == b)
}

impl Contents {
    /// The metadata called `key`.
    ///
    /// # Errors
    /// [`ReadError::Foreign`] when there is none.
    pub(super) fn text(&self, key: &str) -> Result<&str, ReadError> {
        let text = self.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| self.foreign(format!("it has no metadata {key:?}")))
    }

    /// The error of a file that is something else.
    pub(super) fn foreign(&self, why: impl Into<String>) -> ReadError {
        ReadError::Foreign { path: self.path.clone(), why: why.into() }
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// When it is not there, has other extents or another type, or holds a number that is not finite.
    pub(super) fn f32(&self, name: &str, dims: &[usize]) -> Result<Vec<f32>> {
        let bytes = self.bytes(name, dims, Dtype::F32)?;
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
        self.finite(name, values.iter().all(|value| value.is_finite()))?;
        Ok(values)
    }

    /// The numbers of a tensor in double precision.
    ///
    /// # Errors
    /// As [`Contents::f32`].
    pub(super) fn f64(&self, name: &str, dims: &[usize]) -> Result<Vec<f64>> {
        let bytes = self.bytes(name, dims, Dtype::F64)?;
        let values: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|&chunk| f64::from_le_bytes(chunk)).collect();
        self.finite(name, values.iter().all(|value| value.is_finite()))?;
        Ok(values)
    }

    /// Refuses numbers that no run writes.
    fn finite(&self, name: &str, is_finite: bool) -> Result<(), ReadError> {
        match is_finite {
            true => Ok(()),
            false => Err(self.foreign(format!("{name} holds numbers that are not finite"))),
        }
    }

    fn bytes(&self, name: &str, dims: &[usize], dtype: Dtype) -> Result<&[u8]> {
        let path = self.path.display();
        let Some(info) = self.index.info(name) else { bail!("{path} has no tensor {name}") };
        if info.shape != dims || info.dtype != dtype {
            bail!("tensor {name} in {path} is {:?} {:?}, expected {dtype:?} {dims:?}", info.dtype, info.shape);
        }
        Ok(&self.data[info.data_offsets.0..info.data_offsets.1])
    }
}

impl Data {
    fn is_finite(&self) -> bool {
        match self {
            Data::F32(values) => values.iter().all(|value| value.is_finite()),
            Data::F64(values) => values.iter().all(|value| value.is_finite()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Data::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// Sets the checksum of a file that was changed, so that a test reaches what is behind it.
#[cfg(test)]
pub(super) fn seal(file: &mut [u8]) {
    let Some(place) = checksum_place(file) else { return };
    file[place..place + CHECKSUM_DIGITS].fill(b'0');
    let checksum = format!("{:08x}", crc32fast::hash(file));
    file[place..place + CHECKSUM_DIGITS].copy_from_slice(checksum.as_bytes());
}

#[cfg(test)]
mod tests;
