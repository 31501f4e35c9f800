//! What a layer gives to many images: a NumPy file of 16-bit floats `[images, values]`, written and searched in pieces,
//! so that neither needs the memory of the whole.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::checkpoint::temporary;

/// Bytes of the header: more than any shape needs, and a multiple of 64 as the format wants it.
const HEADER: usize = 128;
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Bytes that are searched at a time.
const PIECE: usize = 4 << 20;

/// What the values of an array are of: the first line of `FILE.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The layer.
    pub layer: String,
    /// The net's name.
    pub net: String,
    /// The checksum of the model's checkpoint.
    pub model: String,
}

/// Which image a row is of: a line of `FILE.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number in the split.
    pub id: u32,
    /// Its class.
    pub class: String,
    /// Its name.
    pub image: String,
}

/// The file with the rows of an array.
pub fn rows_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".jsonl");
    PathBuf::from(name)
}

/// An array that is being written.
pub struct Writer {
    path: PathBuf,
    array: BufWriter<File>,
    lines: BufWriter<File>,
    values: usize,
    rows: usize,
}

impl Writer {
    /// Begins an array of rows of so many values.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, origin: &Origin, values: usize) -> Result<Writer> {
        let open = |path: &Path| -> Result<BufWriter<File>> {
            let file = File::create(temporary(path)).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        let (mut array, mut lines) = (open(path)?, open(&rows_of(path))?);
        writeln!(lines, "{}", serde_json::to_string(origin)?)?;
        // The number of rows is known at the end.
        array.write_all(&[0; HEADER])?;
        Ok(Writer { path: path.to_owned(), array, lines, values, rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When a value is no 16-bit number, or it cannot be written.
    pub fn add(&mut self, row: &Row, values: &[f32]) -> Result<()> {
        if values.len() != self.values {
            bail!("image {} has {} features, expected {}", row.image, values.len(), self.values);
        }
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if let Some(place) = halves.iter().position(|half| !half.is_finite()) {
            bail!("feature {place} of image {} is {}, more than 16 bits hold", row.image, values[place]);
        }
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        self.array.write_all(&bytes)?;
        writeln!(self.lines, "{}", serde_json::to_string(row)?)?;
        self.rows += 1;
        Ok(())
    }

    /// Gives the files their names; gives rows and bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(self) -> Result<(usize, u64)> {
        let (mut array, lines) = (self.array.into_inner()?, self.lines.into_inner()?);
        array.seek(SeekFrom::Start(0))?;
        array.write_all(&header(self.rows, self.values))?;
        for (file, path) in [(array, self.path.clone()), (lines, rows_of(&self.path))] {
            file.sync_all()?;
            fs::rename(temporary(&path), &path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok((self.rows, (HEADER + self.rows * self.values * 2) as u64))
    }
}

fn header(rows: usize, values: usize) -> Vec<u8> {
    let mut header = [MAGIC, &(HEADER as u16 - 10).to_le_bytes()].concat();
    header.extend(format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {values}), }}").into_bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

/// An array to search.
#[derive(Debug)]
pub struct Features {
    array: File,
    /// What its values are of.
    pub origin: Origin,
    /// Which images its rows are of.
    pub rows: Vec<Row>,
    /// Values of a row.
    pub values: usize,
}

/// A row that is near to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The row.
    pub row: usize,
    /// Its Euclidean distance.
    pub distance: f32,
}

impl Features {
    /// Opens what [`Writer`] wrote.
    ///
    /// # Errors
    /// When it cannot be read, is cut off or is something else.
    pub fn open(path: &Path) -> Result<Features> {
        let shown = path.display();
        let mut array = File::open(path).with_context(|| format!("cannot read {shown}; make it with `features`"))?;
        let mut start = [0; HEADER];
        let whole = array.read_exact(&mut start).is_ok();
        let shape = || -> Option<(usize, usize)> {
            let text = std::str::from_utf8(&start[10..]).ok()?;
            let (rows, values) = text.split_once("'shape': (")?.1.split_once(")")?.0.split_once(", ")?;
            Some((rows.parse().ok()?, values.parse().ok()?))
        };
        let known = shape().filter(|&(rows, values)| whole && values > 0 && header(rows, values) == start);
        let Some((count, values)) = known else { bail!("{shown} is no array that `features` writes") };
        let bytes = array.metadata()?.len();
        let expected = count.checked_mul(values).and_then(|len| len.checked_mul(2)?.checked_add(HEADER));
        if expected.is_none_or(|expected| bytes != expected as u64) {
            bail!("{shown} has {bytes} bytes, its shape [{count}, {values}] takes another number: it is damaged");
        }
        let lines = rows_of(path);
        let text = fs::read_to_string(&lines).with_context(|| format!("cannot read {}", lines.display()))?;
        let damaged = || format!("{} is damaged or of an older version; make it with `features`", lines.display());
        let (first, rest) = text.split_once('\n').with_context(damaged)?;
        let origin = serde_json::from_str(first).with_context(damaged)?;
        let rows: Vec<Row> =
            rest.lines().map(|line| serde_json::from_str(line).with_context(damaged)).collect::<Result<_>>()?;
        if rows.len() != count {
            bail!("{} has {} images, {shown} has {count} rows", lines.display(), rows.len());
        }
        Ok(Features { array, origin, rows, values })
    }

    /// The `count` rows nearest to each query, the nearest first.
    ///
    /// # Errors
    /// When the array cannot be read.
    ///
    /// # Panics
    /// If a query has another number of values.
    pub fn nearest(&mut self, queries: &[Vec<f32>], count: usize) -> Result<Vec<Vec<Neighbour>>> {
        assert!(queries.iter().all(|query| query.len() == self.values), "queries of {} values", self.values);
        self.array.seek(SeekFrom::Start(HEADER as u64))?;
        let mut found = vec![Vec::new(); queries.len()];
        let rows_at_a_time = (PIECE / 2 / self.values).max(1);
        let mut bytes = vec![0; rows_at_a_time * self.values * 2];
        let mut halves = vec![f16::ZERO; self.values];
        let mut row = vec![0.0; self.values];
        for first in (0..self.rows.len()).step_by(rows_at_a_time) {
            let rows = rows_at_a_time.min(self.rows.len() - first);
            self.array.read_exact(&mut bytes[..rows * self.values * 2]).context("the features are cut off")?;
            for (index, bytes) in bytes.chunks_exact(self.values * 2).take(rows).enumerate() {
                let pairs = bytes.as_chunks::<2>().0;
                halves.iter_mut().zip(pairs).for_each(|(half, &pair)| *half = f16::from_le_bytes(pair));
                halves.convert_to_f32_slice(&mut row);
                for (query, found) in queries.iter().zip(&mut found) {
                    offer(found, count, Neighbour { row: first + index, distance: square(query, &row) });
                }
            }
        }
        found.iter_mut().flatten().for_each(|neighbour| neighbour.distance = neighbour.distance.sqrt());
        Ok(found)
    }
}

/// The squared distance, in sixteen sums side by side that a processor adds at once.
pub(crate) fn square(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..16 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest = a.1.iter().zip(b.1).map(|(a, b)| (a - b) * (a - b));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Keeps the `count` nearest in order; of equal ones the first.
pub(crate) fn offer(found: &mut Vec<Neighbour>, count: usize, new: Neighbour) {
    let place = found.partition_point(|known| known.distance <= new.distance);
    if place < count {
        found.insert(place, new);
        found.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { layer: "fc7".to_string(), net: "mini".to_string(), model: "crc32:00000000".to_string() }
    }

    #[test]
    fn neighbours_are_those_of_a_plain_search() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.npy");
        let values = 37;
        let value = |row: usize, column: usize| ((row * 7919 + column * 104_729) % 1009) as f32 / 64.0;
        let mut writer = Writer::create(&path, &origin(), values).unwrap();
        for id in 0..500 {
            let row = Row { id: id as u32, class: "c".to_string(), image: format!("i{id}") };
            writer.add(&row, &(0..values).map(|column| value(id, column)).collect::<Vec<_>>()).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), (500, 128 + 500 * 37 * 2));
        let query: Vec<f32> = (0..values).map(|column| value(123, column)).collect();
        let mut features = Features::open(&path).unwrap();
        assert_eq!(features.origin, origin());
        let found = features.nearest(std::slice::from_ref(&query), 6).unwrap().remove(0);
        assert_eq!(found[0], Neighbour { row: 123, distance: 0.0 });
        let half = |value: f32| f16::from_f32(value).to_f32();
        let distance = |row: usize| {
            let squares = query.iter().enumerate().map(|(column, &q)| f64::from(q - half(value(row, column))).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let mut all: Vec<usize> = (0..500).collect();
        all.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        assert_eq!(found.iter().map(|it| it.row).collect::<Vec<_>>(), all[..6]);

        let whole = fs::read(&path).unwrap();
        for len in [0, 50, 128, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(Features::open(&path).is_err(), "{len}");
        }
        fs::write(&path, &whole).unwrap();
        let first = format!("{}\n", serde_json::to_string(&origin()).unwrap());
        for (lines, expected) in [(String::new(), "is damaged"), (first, "has 0 images")] {
            fs::write(rows_of(&path), lines).unwrap();
            assert!(Features::open(&path).unwrap_err().to_string().contains(expected));
        }
    }

    #[test]
    fn damaged_files_are_errors_or_arrays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.npy");
        let mut writer = Writer::create(&path, &origin(), 3).unwrap();
        for id in 0..4 {
            let row = Row { id, class: "c".to_string(), image: format!("i{id}") };
            writer.add(&row, &[id as f32, 1.0, -1.0]).unwrap();
        }
        writer.finish().unwrap();
        let files = [path.clone(), rows_of(&path)].map(|file| (fs::read(&file).unwrap(), file));
        crate::fuzz::repeat("arrays of features", 300, |random| {
            let (whole, file) = &files[random.below(2)];
            let mut bytes = whole.clone();
            crate::fuzz::damage(&mut bytes, random);
            fs::write(file, bytes).unwrap();
            // A changed value makes another array.
            if let Ok(mut features) = Features::open(&path) {
                let query = vec![0.0; features.values];
                assert_eq!(features.nearest(&[query], 6).unwrap()[0].len(), 4);
            }
            fs::write(file, whole).unwrap();
        });
    }

    #[test]
    fn what_16_bits_do_not_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("f.npy"), &origin(), 1).unwrap();
        let row = Row { id: 0, class: "c".to_string(), image: "x".to_string() };
        assert!(writer.add(&row, &[1e6]).unwrap_err().to_string().contains("image x is 1000000"));
    }
}
