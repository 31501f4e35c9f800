//! Packed sets: what is written is what is read, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dataset::{Dataset, Encoding, Error, Images, Loader, Prepared, Statistics, prepare};
use image::RgbImage;
use tempfile::TempDir;

const SIDE: usize = 24;

/// `train` with two classes of 100 smooth pictures, `val` with 10 of each.
fn source(dir: &Path) -> Dataset {
    for (split, count) in [("train", 100_u8), ("val", 10)] {
        for (label, class) in ["red", "green"].into_iter().enumerate() {
            let folder = dir.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let pixel = |x: u32, y: u32| {
                    let mut rgb = [(x * 2) as u8 + i, (y * 3) as u8, i];
                    rgb[label] += 60;
                    image::Rgb(rgb)
                };
                RgbImage::from_fn(30, 26, pixel).save(folder.join(format!("{i:03}.png"))).unwrap();
            }
        }
    }
    Dataset::folder(dir, SIDE).unwrap()
}

struct Place {
    dir: TempDir,
    data: Dataset,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let data = source(&dir.path().join("source"));
        Place { dir, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn prepare(&self, out: &str, encoding: Encoding, threads: usize) -> Prepared {
        self.try_prepare(out, encoding, threads, usize::MAX).unwrap().unwrap()
    }

    /// Stops after `most` images.
    fn try_prepare(
        &self,
        out: &str,
        encoding: Encoding,
        threads: usize,
        most: usize,
    ) -> Result<Option<Prepared>, Error> {
        prepare(&self.data, &self.path("source"), &self.path(out), encoding, threads, &|done| done < most)
    }
}

/// All files of a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn pixels(images: &dyn Images) -> BTreeMap<String, (u32, Vec<u8>)> {
    let read = |index| {
        let mut rgb = vec![0; SIDE * SIDE * 3];
        images.read(index, &mut rgb).unwrap();
        let name: PathBuf = images.name(index).into();
        let name: PathBuf = name.iter().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
        (name.display().to_string(), (images.label(index), rgb))
    };
    (0..images.len()).map(read).collect()
}

#[test]
fn raw_pixels_and_statistics_are_those_of_the_source() {
    let place = Place::new();
    let prepared = place.prepare("raw", Encoding::Raw, 2);
    assert_eq!((prepared.train, prepared.val, prepared.skipped), (200, 20, 0));
    let packed = Dataset::open(&place.path("raw"), SIDE).unwrap();
    assert_eq!(packed.classes, place.data.classes);
    assert_eq!(pixels(packed.train.as_ref()), pixels(place.data.train.as_ref()));
    assert_eq!(pixels(packed.val.as_ref()), pixels(place.data.val.as_ref()));
    let (statistics, _) = Statistics::compute(packed.train.as_ref(), SIDE, 2, &|_| ()).unwrap();
    assert_eq!(*packed.statistics.unwrap(), statistics);
}

#[test]
fn jpeg_pixels_are_near() {
    let place = Place::new();
    place.prepare("jpeg", Encoding::Jpeg, 2);
    let packed = Dataset::open(&place.path("jpeg"), SIDE).unwrap();
    let (packed, source) = (pixels(packed.train.as_ref()), pixels(place.data.train.as_ref()));
    assert!(packed.keys().eq(source.keys()));
    for ((label, rgb), (expected, exact)) in packed.values().zip(source.values()) {
        assert_eq!(label, expected);
        let sum: u32 = rgb.iter().zip(exact).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        let difference = f64::from(sum) / rgb.len() as f64;
        // libjpeg at the same quality is off by 2.1 on photographs of 256x256.
        assert!(difference < 2.0, "mean difference of {difference}");
    }
}

#[test]
fn threads_and_interruptions_change_no_byte() {
    let place = Place::new();
    place.prepare("whole", Encoding::Jpeg, 1);
    let whole = files(&place.path("whole"));
    assert!(whole.keys().any(|name| name == "train-00003.tar"), "{:?}", whole.keys());
    assert!(!whole.keys().any(|name| name.starts_with('.') || name.ends_with("sums")), "{:?}", whole.keys());
    let rounds = AtomicUsize::new(0);
    for most in [1, 64, 70, 150, 200, 219, usize::MAX] {
        rounds.fetch_add(1, Ordering::Relaxed);
        let result = place.try_prepare("parts", Encoding::Jpeg, 3, most).unwrap();
        assert_eq!(result.is_some(), most == usize::MAX, "stopped at {most}");
        if result.is_none() {
            let error = Dataset::open(&place.path("parts"), SIDE).unwrap_err();
            assert!(matches!(error, Error::Unfinished { .. }), "{error}");
        }
    }
    assert_eq!(files(&place.path("parts")), whole);
    // Once more: nothing is left to do, and nothing changes.
    place.prepare("parts", Encoding::Jpeg, 2);
    assert_eq!(files(&place.path("parts")), whole);
}

#[test]
fn finished_shards_are_not_made_again() {
    let place = Place::new();
    place.try_prepare("parts", Encoding::Raw, 1, 130).unwrap();
    let modified = |name: &str| fs::metadata(place.path("parts").join(name)).unwrap().modified().unwrap();
    let before = modified("train-00000.tar");
    // What is done is told first, then every image once.
    let seen = Mutex::new(Vec::new());
    prepare(&place.data, &place.path("source"), &place.path("parts"), Encoding::Raw, 1, &|done| {
        seen.lock().unwrap().push(done);
        true
    })
    .unwrap()
    .unwrap();
    assert_eq!(seen.into_inner().unwrap(), (128..=220).collect::<Vec<_>>());
    assert_eq!(modified("train-00000.tar"), before);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("taken")).unwrap();
    fs::write(place.path("taken/letter.txt"), "dear").unwrap();
    let error = place.try_prepare("taken", Encoding::Raw, 1, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    assert_eq!(files(&place.path("taken")).len(), 1);

    place.prepare("raw", Encoding::Raw, 1);
    let error = place.try_prepare("raw", Encoding::Jpeg, 1, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("other settings"), "{error}");
}

#[test]
fn unreadable_images_are_left_out_and_listed() {
    let place = Place::new();
    fs::write(place.path("source/train/red/007.png"), b"not a picture").unwrap();
    let prepared = place.prepare("raw", Encoding::Raw, 2);
    assert_eq!((prepared.train, prepared.skipped), (199, 1));
    let list = fs::read_to_string(place.path("raw/skipped.txt")).unwrap();
    assert!(list.starts_with("train/red/007.png: the content is not an image"), "{list}");
    assert_eq!(list.lines().count(), 1);
    assert_eq!(Dataset::open(&place.path("raw"), SIDE).unwrap().train.len(), 199);
}

#[test]
fn a_damaged_record_costs_itself() {
    let place = Place::new();
    place.prepare("jpeg", Encoding::Jpeg, 2);
    let shard = place.path("jpeg/train-00001.tar");
    // The first picture of the shard starts after one header.
    fs::OpenOptions::new().write(true).open(&shard).unwrap().write_all_at(&[0x5a; 3], 512 + 300).unwrap();
    let packed = Dataset::open(&place.path("jpeg"), SIDE).unwrap();
    let mut loader = Loader::start(Arc::clone(&packed.train), SIDE, (0..200).collect(), 50, 2, 2);
    let (mut read, mut skipped) = (0, Vec::new());
    while let Some(mut batch) = loader.next() {
        read += batch.len();
        skipped.append(&mut batch.skipped);
        loader.recycle(batch);
    }
    assert_eq!((read, skipped.len()), (199, 1));
    assert!(skipped[0].name.contains("train-00001.tar/train/"), "{}", skipped[0].name);
    assert!(skipped[0].reason.contains("CRC-32"), "{}", skipped[0].reason);
}

#[test]
fn a_missing_or_changed_shard_is_named() {
    let place = Place::new();
    place.prepare("raw", Encoding::Raw, 2);
    let shard = place.path("raw/val-00000.tar");
    let open = || Dataset::open(&place.path("raw"), SIDE);
    let packed = open().unwrap();
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
    let message = open().unwrap_err().to_string();
    assert!(message.contains("val-00000.tar") && message.contains("expected"), "{message}");
    // Of an open set, the images that are gone are errors, the others are not.
    let mut rgb = vec![0; SIDE * SIDE * 3];
    assert!(packed.val.read(0, &mut rgb).is_ok());
    assert!(packed.val.read(19, &mut rgb).is_err());
    fs::remove_file(&shard).unwrap();
    for message in [open().unwrap_err().to_string(), packed.val.read(0, &mut rgb).unwrap_err().to_string()] {
        assert!(message.contains("val-00000.tar"), "{message}");
    }
    fs::write(&shard, &bytes).unwrap();
    fs::remove_file(place.path("raw/val-00000.index.json")).unwrap();
    assert!(open().unwrap_err().to_string().contains("has no index"));
}

#[test]
fn wrong_sizes_and_descriptions_are_refused() {
    let place = Place::new();
    place.prepare("raw", Encoding::Raw, 2);
    let message = Dataset::open(&place.path("raw"), 32).unwrap_err().to_string();
    assert!(message.contains("24 pixels, expected 32") && message.contains("--size 32"), "{message}");
    assert_eq!(Dataset::packed_side(&place.path("raw")).unwrap(), Some(SIDE));
    assert_eq!(Dataset::packed_side(&place.path("source")).unwrap(), None);
    let manifest = place.path("raw/dataset.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for (from, to, says) in [
        ("\"format\": 1", "\"format\": 2", "format 2, expected 1"),
        ("\"side\": 24", "\"side\": 0", "0 pixels"),
        ("train-00000.tar", "../train-00000.tar", "plain name"),
        ("{", "[", "not the description"),
        // More than there can be: the number is no reason to ask for as much memory.
        ("\"images\": 200", "\"images\": 18446744073709551615", "its shards have 200"),
    ] {
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        let message = Dataset::open(&place.path("raw"), SIDE).unwrap_err().to_string();
        assert!(message.contains("dataset.json") && message.contains(says), "{message}");
    }
    fs::write(&manifest, &text).unwrap();
    fs::write(place.path("raw/mean.npy"), b"nothing").unwrap();
    let message = Dataset::open(&place.path("raw"), SIDE).unwrap_err().to_string();
    assert!(message.contains("mean.npy"), "{message}");
}

#[test]
fn two_preparations_do_not_mix() {
    let place = Place::new();
    let result = prepare(&place.data, &place.path("source"), &place.path("out"), Encoding::Raw, 1, &|done| {
        if done == 1 {
            let error = place.try_prepare("out", Encoding::Raw, 1, usize::MAX).unwrap_err();
            assert!(error.to_string().contains("another process"), "{error}");
        }
        true
    });
    assert!(result.unwrap().is_some());
}
