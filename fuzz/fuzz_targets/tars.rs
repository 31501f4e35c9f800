//! Tar files of others: WebDataset shards, and the tars of ILSVRC.
#![no_main]

use std::fs;
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
    let (root, packed) = (place.dir.path(), place.path("packed"));
    prepare(&data, root, &packed, Encoding::Jpeg, 1, &|_| true).expect("a packed set").expect("a whole one");
    fs::create_dir(place.path("shards")).expect("a folder");
    for split in ["train", "val"] {
        let name = format!("{split}-00000.tar");
        fs::copy(packed.join(&name), place.path("shards").join(&name)).expect("a shard");
    }
    place.write("shards/classes.txt", b"tench\nsetter\nfox\n");
    let files = Files::new("tars", root, &["shards/train-00000.tar", "shards/classes.txt", "train.tar", "val.tar"]);
    (place, files)
});

fuzz_target!(init: { LazyLock::force(&FILES); }, |bytes: &[u8]| {
    let (place, files) = &*FILES;
    files.replace(bytes, |dir, name| match name.starts_with("shards") {
        true => Dataset::open(&dir.join("shards"), SIDE),
        false => Dataset::sources(&place.paths(&["train.tar", "val.tar", "kit.tar"]), SIDE, None),
    });
});
