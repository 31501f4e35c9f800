//! What comes with the tars of ILSVRC: labels, names, the development kit and its MATLAB file.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use dataset::Dataset;
use dataset_fuzz::{Files, SIDE};
use ilsvrc::{CLASSES, Ilsvrc, TRUTH, tar};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/dataset/tests/common/mod.rs"]
mod ilsvrc;

const NAMES: [&str; 6] = ["labels.txt", "words.txt", "meta.mat", "truth.txt", "kit.tar", "kit.tar.gz"];

static FILES: LazyLock<(Ilsvrc, Files)> = LazyLock::new(|| {
    let place = Ilsvrc::with_images(1);
    let lines = |line: &dyn Fn(usize) -> String| TRUTH.map(line).join("\n");
    place.write("labels.txt", lines(&|class| CLASSES[class].0.to_owned()).as_bytes());
    place.write("truth.txt", lines(&|class| CLASSES[class].2.to_string()).as_bytes());
    place.write("words.txt", CLASSES.map(|(class, ..)| format!("{class} its name")).join("\n").as_bytes());
    place.write("meta.mat", include_bytes!("../../crates/dataset/tests/fixtures/meta-plain.mat"));
    let files = Files::new("kit", place.dir.path(), &NAMES);
    (place, files)
});

fuzz_target!(init: { LazyLock::force(&FILES); }, |bytes: &[u8]| {
    let (place, files) = &*FILES;
    files.replace(bytes, |dir, name| {
        let mut sources = vec!["train.tar", "val.tar", name];
        if name == "meta.mat" || name == "truth.txt" {
            let read = |name| fs::read(dir.join(name)).expect("a file that was written");
            let members = [("meta.mat", "meta.mat"), ("2012_validation_ground_truth.txt", "truth.txt")];
            place.write("packed.tar", &tar(&members.map(|(member, file)| (member.to_owned(), read(file)))));
            sources[2] = "packed.tar";
        } else if name == "words.txt" {
            sources.push("kit.tar");
        }
        Dataset::sources(&place.paths(&sources), SIDE, None)
    });
});
