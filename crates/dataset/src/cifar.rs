//! CIFAR-10 as its authors distribute it: the binary version, `cifar-10-binary.tar.gz` unpacked.
//!
//! `data_batch_1.bin` to `data_batch_5.bin` are the training images, `test_batch.bin` the validation images,
//! `batches.meta.txt` the names of the classes. A record is a label and 32x32 bytes each of red, green and blue.
//! All of it is read into memory: 184 MB.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Dataset, Error, Images};

/// Width and height of the images.
pub(crate) const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// A label and three planes.
const RECORD: usize = 1 + 3 * PLANE;
const TEST: &str = "test_batch.bin";
const NAMES: &str = "batches.meta.txt";

/// Whether `dir` holds CIFAR-10 in its binary version.
pub(crate) fn is_cifar(dir: &Path) -> bool {
    dir.join(TEST).is_file() && dir.join(NAMES).is_file()
}

impl Dataset {
    /// Reads the binary version of CIFAR-10 in `dir`, whose images have 32 pixels: `side` must say so.
    ///
    /// # Errors
    /// If another side is asked for, or a file is missing, cut off or damaged.
    pub fn cifar(dir: &Path, side: usize) -> Result<Dataset, Error> {
        if side != SIDE {
            let problem = format!("its images have {SIDE} pixels, expected {side}; choose a net for {SIDE} pixels");
            return Err(Error::Cifar { path: dir.to_owned(), problem });
        }
        let path = dir.join(NAMES);
        let text = fs::read_to_string(&path).map_err(|cause| Error::file(&path, "read", cause))?;
        let classes: Vec<String> =
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut batches: Vec<PathBuf> =
            (1..=5).map(|number| dir.join(format!("data_batch_{number}.bin"))).filter(|path| path.is_file()).collect();
        batches.sort();
        if batches.is_empty() || classes.len() < 2 {
            let problem =
                format!("{} classes and {} of data_batch_1.bin to 5, expected both", classes.len(), batches.len());
            return Err(Error::Cifar { path: dir.to_owned(), problem });
        }
        let train = Batches::read(batches, classes.len())?;
        let val = Batches::read(vec![dir.join(TEST)], classes.len())?;
        Ok(Dataset {
            name: "cifar-10".to_owned(),
            side,
            classes,
            train: Arc::new(train),
            val: Arc::new(val),
            statistics: None,
        })
    }
}

/// The records of some files, one after the other.
struct Batches {
    /// Each file and the records up to its end.
    files: Vec<(PathBuf, usize)>,
    records: Vec<u8>,
}

impl Batches {
    fn read(paths: Vec<PathBuf>, classes: usize) -> Result<Batches, Error> {
        let mut batches = Batches { files: Vec::new(), records: Vec::new() };
        for path in paths {
            let bytes = fs::read(&path).map_err(|cause| Error::file(&path, "read", cause))?;
            if bytes.is_empty() || bytes.len() % RECORD != 0 {
                let problem = format!("{} bytes, expected a multiple of {RECORD}", bytes.len());
                return Err(Error::Cifar { path, problem });
            }
            let wrong = |record: &&[u8]| usize::from(record[0]) >= classes;
            if let Some(record) = bytes.chunks_exact(RECORD).find(wrong) {
                let problem = format!("a label of {}, expected one below {classes}", record[0]);
                return Err(Error::Cifar { path, problem });
            }
            batches.records.extend(bytes);
            batches.files.push((path, batches.records.len() / RECORD));
        }
        Ok(batches)
    }

    fn record(&self, index: usize) -> &[u8] {
        &self.records[index * RECORD..][..RECORD]
    }
}

impl Images for Batches {
    fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    fn label(&self, index: usize) -> u32 {
        u32::from(self.record(index)[0])
    }

    fn name(&self, index: usize) -> String {
        assert!(index < self.len(), "image {index} of {}", self.len());
        let file = self.files.partition_point(|&(_, end)| end <= index);
        let first = if file == 0 { 0 } else { self.files[file - 1].1 };
        format!("{} #{}", self.files[file].0.display(), index - first)
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        let planes = &self.record(index)[1..];
        for (place, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [0, 1, 2].map(|channel| planes[channel * PLANE + place]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, first: u8) -> Vec<u8> {
        let plane = |value: u8| (0..PLANE).map(move |place| value.wrapping_add(place as u8));
        [label].into_iter().chain(plane(first)).chain(plane(first + 1)).chain(plane(first + 2)).collect()
    }

    fn sample() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write(NAMES, b"airplane\nautomobile\nbird\n\n");
        write("data_batch_1.bin", &[record(2, 0), record(0, 10)].concat());
        write("data_batch_3.bin", &record(1, 20));
        write(TEST, &record(1, 30));
        folder
    }

    #[test]
    fn records_become_interleaved_images() {
        let folder = sample();
        let data = Dataset::open(folder.path(), SIDE).unwrap();
        assert_eq!((data.train.len(), data.val.len()), (3, 1));
        assert_eq!(data.classes, ["airplane", "automobile", "bird"]);
        assert_eq!([0, 1, 2].map(|index| data.train.label(index)), [2, 0, 1]);
        assert!(data.train.name(1).ends_with("data_batch_1.bin #1") && data.train.name(2).ends_with("_3.bin #0"));
        let mut rgb = vec![0; SIDE * SIDE * 3];
        data.train.read(2, &mut rgb).unwrap();
        assert_eq!(rgb[..6], [20, 21, 22, 21, 22, 23]);
        assert_eq!(Dataset::stored_side(folder.path()).unwrap(), Some(SIDE));
    }

    #[test]
    fn what_is_not_cifar_is_refused() {
        let folder = sample();
        let error = |side| Dataset::open(folder.path(), side).unwrap_err().to_string();
        assert!(error(256).contains("32 pixels, expected 256"), "{}", error(256));
        fs::write(folder.path().join("data_batch_3.bin"), record(3, 0)).unwrap();
        assert!(error(SIDE).contains("a label of 3, expected one below 3"), "{}", error(SIDE));
        fs::write(folder.path().join(TEST), [0; 100]).unwrap();
        fs::write(folder.path().join("data_batch_3.bin"), record(0, 0)).unwrap();
        assert!(error(SIDE).contains("100 bytes, expected a multiple of 3073"), "{}", error(SIDE));
    }
}
