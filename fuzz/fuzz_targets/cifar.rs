//! CIFAR-10's binary version.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use dataset::Dataset;
use dataset_fuzz::Files;
use libfuzzer_sys::fuzz_target;

const SIDE: usize = 32;
const NAMES: [&str; 3] = ["data_batch_1.bin", "batches.meta.txt", "test_batch.bin"];

static FILES: LazyLock<(tempfile::TempDir, Files)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder");
    let record = [&[1][..], &[7; SIDE * SIDE * 3]].concat();
    for (name, bytes) in NAMES.into_iter().zip([&record[..], b"airplane\nautomobile\n", &record]) {
        fs::write(dir.path().join(name), bytes).expect("a file");
    }
    let files = Files::new("cifar", dir.path(), &NAMES);
    (dir, files)
});

fuzz_target!(init: { LazyLock::force(&FILES); }, |bytes: &[u8]| {
    FILES.1.replace(bytes, |dir, _| Dataset::open(dir, SIDE));
});
