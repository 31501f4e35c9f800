//! A small ILSVRC, made as the large one is distributed.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

/// Class, colour of its images, number in the development kit.
pub(crate) const CLASSES: [(&str, [u8; 3], u32); 3] =
    [("n01440764", [200, 0, 0], 3), ("n02100735", [0, 200, 0], 2), ("n02119789", [0, 0, 200], 1)];
/// Places in `CLASSES` of the validation images, by their numbers.
pub(crate) const TRUTH: [usize; 7] = [2, 0, 1, 1, 0, 2, 0];

/// A picture of one colour, as PNG.
pub(crate) fn picture(colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(12, 10, image::Rgb(colour)).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The class of a picture, told from its colour.
pub(crate) fn class_of(rgb: &[u8]) -> usize {
    CLASSES.iter().position(|&(_, colour, _)| rgb[..3] == colour).unwrap()
}

/// A tar file of `members`.
pub(crate) fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A folder with the files of ILSVRC.
pub(crate) struct Ilsvrc {
    pub(crate) dir: TempDir,
}

impl Ilsvrc {
    pub(crate) fn new() -> Ilsvrc {
        Ilsvrc::with_images(12)
    }

    /// With so many training images of each class.
    pub(crate) fn with_images(count: usize) -> Ilsvrc {
        let place = Ilsvrc { dir: tempfile::tempdir().unwrap() };
        // The classes are not in order, and inner tars have names out of order, too.
        let classes = CLASSES.iter().rev().map(|&(class, colour, _)| {
            let image = |i: usize| (format!("{class}_{}.JPEG", 20 - i), picture(colour));
            (format!("{class}.tar"), tar(&(0..count).map(image).collect::<Vec<_>>()))
        });
        place.write("train.tar", &tar(&classes.collect::<Vec<_>>()));
        let val = TRUTH.iter().enumerate().rev().map(|(i, &class)| (val_name(i), picture(CLASSES[class].1)));
        place.write("val.tar", &tar(&val.collect::<Vec<_>>()));
        let meta = include_bytes!("../fixtures/meta.mat").to_vec();
        let truth: String = TRUTH.iter().map(|&class| format!("{}\n", CLASSES[class].2)).collect();
        let kit = tar(&[
            ("ILSVRC2012_devkit_t12/readme.txt".to_owned(), b"a kit".to_vec()),
            ("ILSVRC2012_devkit_t12/data/meta.mat".to_owned(), meta),
            ("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt".to_owned(), truth.into_bytes()),
        ]);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&kit).unwrap();
        place.write("kit.tar.gz", &packed.finish().unwrap());
        place.write("kit.tar", &kit);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.path(name)).collect()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }
}

/// The name of validation image `i`, from 0.
pub(crate) fn val_name(i: usize) -> String {
    format!("ILSVRC2012_val_{:08}.JPEG", i + 1)
}

/// Writes a picture, and the folders that lead to it.
pub(crate) fn write_picture(path: &Path, colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, picture(colour)).unwrap();
}
