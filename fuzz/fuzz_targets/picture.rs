//! Pictures: JPEG, PNG and WebP, and what comes with them.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dataset::load_image;
use dataset_fuzz::SIDE;
use libfuzzer_sys::fuzz_target;

static PATH: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = fuzz.join("corpus/picture");
    fs::create_dir_all(&corpus).expect("a folder for seeds");
    for name in ["cmyk.jpg", "exif-6.jpg", "ycck.jpg", "progressive.jpg", "palette.png"] {
        fs::copy(fuzz.join("../crates/dataset/tests/fixtures").join(name), corpus.join(name)).expect("a seed");
    }
    image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 100]))
        .save(corpus.join("lossless.webp"))
        .expect("a seed");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("picture");
    (dir, path)
});

fuzz_target!(init: { LazyLock::force(&PATH); }, |bytes: &[u8]| {
    fs::write(&PATH.1, bytes).expect("a file");
    let _ = load_image(&PATH.1, SIDE);
});
