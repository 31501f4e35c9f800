//! `alexnet prepare`, and training on what it made.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use common::{Place, kills, moment, same_file, same_folder, wait_for};

fn prepare(out: &str) -> [&str; 6] {
    ["prepare", "data", "--out", out, "--size", "96"]
}

#[test]
fn a_packed_set_is_trained_on_measured_and_may_move() {
    let place = Place::new();
    place.make_data(&["red", "green"], 40, 8);
    let said = place.ok(&["prepare", "data", "--out", "packed", "--size", "16"]);
    assert!(said.contains("80 training and 16 validation images") && said.contains("train --data packed"), "{said}");
    // Once more: everything is there, and what an earlier run did is not counted as fast.
    let said = place.ok(&["prepare", "data", "--out", "packed", "--size", "16"]);
    assert!(said.contains("80 training and 16 validation images") && said.contains("(0 images/s)"), "{said}");
    let train = ["train", "--data", "packed", "--net", "tiny16.toml", "--out", "run", "--max-steps"];
    place.ok(&[&train[..], &["4"]].concat());
    fs::rename(place.path("packed"), place.path("moved")).unwrap();
    place.ok(&["train", "--resume", "run", "--data", "moved", "--epochs", "3"]);
    let said = place.ok(&["eval", "--model", "run", "--data", "moved"]);
    assert!(said.contains("16 images"), "{said}");
    // The folder has the same classes, so the same network can be measured on it.
    place.ok(&["eval", "--model", "run", "--data", "data"]);
    let message = place.fails(1, &["train", "--data", "moved", "--net", "mini"]);
    assert!(message.contains("16 pixels, expected 32") && message.contains("--size 32"), "{message}");
}

#[test]
fn where_it_was_interrupted_does_not_show_in_a_run() {
    let place = Place::new();
    place.make_data(&["red", "green"], 60, 8);
    place.ok(&["prepare", "data", "--out", "packed", "--size", "16"]);
    let begin = ["train", "--data", "packed", "--net", "tiny16.toml", "--epochs", "3", "--out"];
    place.ok(&[&begin[..], &["whole"]].concat());
    place.ok(&[&begin[..], &["parts", "--max-steps", "2"]].concat());
    place.ok(&["train", "--resume", "parts", "--max-steps", "7", "--threads", "3"]);
    place.ok(&["train", "--resume", "parts"]);
    same_file(&place, "whole/last.safetensors", "parts/last.safetensors");
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_bytes() {
    let place = Place::new();
    place.make_data(&["red", "green", "blue"], 250, 40);
    let start = Instant::now();
    place.ok(&prepare("whole"));
    let whole = start.elapsed();
    for round in 1..=kills(20) {
        let out = format!("parts{}", round % 4);
        let mut child = place.start(&prepare(&out));
        wait_for(&place.path(&out));
        std::thread::sleep(moment(whole, round));
        let _ = child.kill(); // it may be done
        child.wait().unwrap();
    }
    for out in ["parts0", "parts1", "parts2", "parts3"] {
        place.ok(&prepare(out));
        same_folder(&place, "whole", out);
    }
}

#[test]
fn data_sets_are_shown_and_measured() {
    let place = Place::new();
    place.make_data(&["red", "green"], 40, 8);
    place.ok(&["prepare", "data", "--out", "packed", "--size", "16", "--raw"]);
    for data in ["data", "packed"] {
        let said = place.ok(&["data", data, "--out", "sheet.png"]);
        assert!(said.contains("       40         8  green") && said.contains("mean of 80 images"), "{said}");
        let said = place.ok(&["bench", "data", data, "--images", "50", "--threads", "2"]);
        assert!(said.contains("50 images") && said.contains("loader, 2 threads"), "{said}");
    }
    // A damaged image is named and left out.
    let shard = fs::OpenOptions::new().write(true).open(place.path("packed/train-00000.tar")).unwrap();
    shard.write_all_at(&[0x5a; 3], 512 + 300).unwrap();
    let said = place.run(&["bench", "data", "packed"]);
    assert!(said.code == 0 && said.out.contains("79 images"), "{}{}", said.out, said.err);
    assert!(said.err.contains("left out packed/train-00000.tar/train/"), "{}", said.err);
    // The mean image and 27 of the 80 pictures, in one row.
    let sheet = image::open(place.path("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 28 * 20, 24));
}

#[test]
fn what_cannot_be_prepared_is_said() {
    let place = Place::new();
    place.make_data(&["red", "green"], 4, 2);
    for (args, says) in [
        (["prepare", "nowhere", "--out", "a"], "nowhere"),
        (["prepare", "data", "--out", "data/packed"], "lies inside"),
        (["prepare", "data", "--out", "tiny.toml"], "tiny.toml"),
    ] {
        let message = place.fails(1, &args);
        assert!(message.contains(says), "{message}");
    }
    let message = place.fails(2, &["prepare", "data", "--out", "a", "--size", "5000"]);
    assert!(message.contains("1 to 4096"), "{message}");
    assert_eq!(place.names(), ["data"]);
}
