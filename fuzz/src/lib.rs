//! What the targets share: a data set in a folder, one of whose files is replaced by the fuzzer's bytes.
//!
//! The set is opened and read as any other, so nothing has to be public for the sake of fuzzing, and what
//! comes after a parser is tried, too. Right files are the seeds; they are made anew in each run, so they
//! never grow old.

use std::fs;
use std::path::{Path, PathBuf};

use dataset::{Dataset, Error};

/// Width and height of the images as read, where a set has none of its own.
pub const SIDE: usize = 16;
/// Images that are read of each split.
const MAX_READ: usize = 8;
/// Bytes of a block of a tar file.
const BLOCK: usize = 512;

/// Files of which one at a time is replaced.
pub struct Files {
    dir: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

impl Files {
    /// The files `names` in the data set in `dir`, which must be right. Each becomes a seed of the target
    /// `target`, behind a byte that says which it is.
    pub fn new(target: &str, dir: &Path, names: &[&str]) -> Files {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&corpus).expect("a folder for seeds");
        let file = |(number, name): (usize, &&str)| {
            let bytes = fs::read(dir.join(name)).expect("a file of the data set");
            let seed = [&[number as u8], &bytes[..]].concat();
            fs::write(corpus.join(format!("seed-{}", name.replace('/', "-"))), seed).expect("a seed");
            (name.to_string(), bytes)
        };
        Files { dir: dir.to_owned(), files: names.iter().enumerate().map(file).collect() }
    }

    /// Replaces the file that the first byte names by the others, and reads what `open` makes of the folder.
    pub fn replace(&self, bytes: &[u8], open: impl Fn(&Path, &str) -> Result<Dataset, Error>) {
        let Some((&which, content)) = bytes.split_first() else { return };
        let (name, right) = &self.files[usize::from(which) % self.files.len()];
        let mut content = content.to_vec();
        if name.ends_with(".tar") {
            mend(&mut content);
        }
        let path = self.dir.join(name);
        fs::write(&path, &content).expect("a file of the data set");
        if let Ok(data) = open(&self.dir, name) {
            read(&data);
        }
        fs::write(&path, right).expect("a file of the data set");
    }
}

/// Reads the first images of both splits. Errors are fine, labels that are none are not.
fn read(data: &Dataset) {
    let mut rgb = vec![0; data.side * data.side * 3];
    for images in [&data.train, &data.val] {
        for index in 0..images.len().min(MAX_READ) {
            assert!((images.label(index) as usize) < data.classes.len());
            assert!(!images.name(index).is_empty());
            let _ = images.fetch(index);
            let _ = images.read(index, &mut rgb);
        }
    }
}

/// Gives what looks like headers of a tar file their checksum, which the fuzzer would have to guess.
fn mend(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
