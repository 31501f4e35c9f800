//! Packed sets: the manifest, the index of a shard, the mean image.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use dataset::{Dataset, Encoding, prepare};
use dataset_fuzz::{Files, SIDE};
use ilsvrc::Ilsvrc;
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/dataset/tests/common/mod.rs"]
mod ilsvrc;

static FILES: LazyLock<(Ilsvrc, Files)> = LazyLock::new(|| {
    let place = Ilsvrc::with_images(1);
    let data = Dataset::sources(&place.paths(&["train.tar", "val.tar", "kit.tar"]), SIDE, None).expect("a data set");
    let out = place.path("packed");
    prepare(&data, Path::new(""), &out, Encoding::Jpeg, 1, &|_| true).expect("a packed set").expect("a whole one");
    let names = ["dataset.json", "train-00000.index.json", "mean.npy"];
    (place, Files::new("packed", &out, &names))
});

fuzz_target!(init: { LazyLock::force(&FILES); }, |bytes: &[u8]| {
    FILES.1.replace(bytes, |dir, _| Dataset::open(dir, SIDE));
});
