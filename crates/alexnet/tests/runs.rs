//! Runs from beginning to end, stopped, killed and gone on with.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use common::{Place, log, names, said, same_file, signal, wait_for};
use convnet::cpu::Cpu;

const FILES: [&str; 10] = [
    "best.safetensors",
    "curves.png",
    "epoch-0003.safetensors",
    "epoch-0004.safetensors",
    "example.png",
    "filters.png",
    "last.safetensors",
    "log.jsonl",
    "predictions.png",
    "statistics.safetensors",
];

/// What lies in a run's folder, but the events of its processes, whose names tell when they were.
fn files_of(run: &Path) -> Vec<String> {
    names(run).into_iter().filter(|name| !name.starts_with("events.out.tfevents.")).collect()
}

#[test]
fn a_run_ends_with_its_folder_and_the_next_commands_work() {
    let place = Place::new();
    let out = place.ok(&["train", "--net", "tiny.toml", "--batch", "100"]);
    let run = place.path("runs/tiny-1");
    // The rate falls after epoch 2, so that checkpoint is kept too.
    let mut files = FILES.to_vec();
    files.insert(2, "epoch-0002.safetensors");
    assert_eq!(files_of(&run), files);
    assert_eq!(names(&run).len(), files.len() + 1, "one file of events");
    assert!(out.contains("from epoch 3: rate 0.0005") && out.contains("done: 4 epochs, 320 steps"), "{out}");

    let log = log(&run);
    let of_kind = |kind: &str| log.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(["start", "step", "epoch", "stop"].map(of_kind), [1, 16, 4, 1]);
    let errors: Vec<f64> = log.iter().filter_map(|line| line["val_top1"].as_f64()).collect();
    assert!(errors.len() == 4 && errors[3] < 0.6, "{errors:?}");

    for line in out.lines().skip_while(|line| *line != "next:").skip(1) {
        let args: Vec<&str> = line.split_whitespace().skip(1).collect();
        place.ok(&args);
    }
    let out = place.ok(&["eval"]);
    let best = errors.iter().copied().fold(1.0, f64::min);
    assert!(out.contains(&format!("top-1 error {:.2} %", best * 100.0)), "{best} {out}");
    let out = place.ok(&["eval", "--model", "runs/tiny-1/last.safetensors", "--batch", "7", "--threads", "1"]);
    assert!(out.contains(&format!("top-1 error {:.2} %", errors[3] * 100.0)), "{errors:?} {out}");
    assert_eq!(place.names(), ["predictions.png", "runs"]);

    // A second run gets a folder of its own.
    place.ok(&["train", "--net", "tiny.toml", "--max-steps", "1"]);
    assert_eq!(names(&place.path("runs")), ["tiny-1", "tiny-2"]);
}

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--seed", "5"];
    place.ok(&[&train[..], &["--out", "whole"]].concat());

    let mut child = place.start(&[&train[..], &["--out", "killed", "--save-every", "30"]].concat());
    wait_for(&place.path("killed/last.safetensors"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(log(&place.path("killed")).iter().all(|line| line["kind"] != "stop"), "it was done before it was killed");

    // A stop in the middle of another epoch, then to the end.
    let out = place.ok(&["train", "--resume", "killed", "--max-steps", "333", "--threads", "1"]);
    assert!(out.contains("stopped after step 83 of epoch 2, 333 steps in all"), "{out}");
    place.ok(&["train", "--resume", "killed/last.safetensors"]);
    for name in ["last.safetensors", "best.safetensors", "epoch-0002.safetensors", "epoch-0003.safetensors"] {
        same_file(&place, &format!("whole/{name}"), &format!("killed/{name}"));
    }
    assert_eq!(files_of(&place.path("whole")), files_of(&place.path("killed")));
}

/// Both towers on one device, each on its own, and one after the other in one run.
#[test]
fn a_run_does_not_depend_on_where_its_towers_are() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--batch", "100", "--max-steps", "100", "--device"];
    place.ok(&[&train[..], &["cpu", "--out", "one"]].concat());
    let out = place.ok(&[&train[..], &["cpu:2", "--out", "two"]].concat());
    assert!(out.contains("towers in 2 shards") && out.contains("random 66.67 %): tower 1"), "{out}");
    let half = ["train", "--net", "tiny.toml", "--batch", "100", "--max-steps", "50"];
    place.ok(&[&half[..], &["--device", "cpu:2", "--out", "both"]].concat());
    place.ok(&["train", "--resume", "both", "--max-steps", "100", "--device", "cpu"]);
    for other in ["two", "both"] {
        same_file(&place, "one/last.safetensors", &format!("{other}/last.safetensors"));
        same_file(&place, "one/best.safetensors", &format!("{other}/best.safetensors"));
    }
}

#[test]
fn ctrl_c_saves_and_the_run_goes_on_bit_for_bit() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--epochs", "2"];
    place.ok(&[&train[..], &["--out", "whole"]].concat());
    let child = place.start(&[&train[..], &["--out", "stopped", "--save-every", "10"]].concat());
    wait_for(&place.path("stopped/last.safetensors"));
    signal(&child, "INT");
    let said = said(&child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}{}", said.out, said.err);
    assert!(said.out.contains("alexnet train --resume stopped"), "{}", said.out);
    place.ok(&["train", "--resume", "stopped"]);
    same_file(&place, "whole/last.safetensors", "stopped/last.safetensors");
}

#[test]
fn threads_do_not_change_the_bits() {
    let place = Place::new();
    for threads in ["1", "2", "3"] {
        place.ok(&["train", "--net", "tiny.toml", "--max-steps", "60", "--out", threads, "--threads", threads]);
    }
    same_file(&place, "1/last.safetensors", "2/last.safetensors");
    same_file(&place, "1/last.safetensors", "3/last.safetensors");
    place.ok(&["train", "--net", "tiny.toml", "--max-steps", "60", "--out", "4", "--seed", "2"]);
    assert!(fs::read(place.path("1/last.safetensors")).unwrap() != fs::read(place.path("4/last.safetensors")).unwrap());
}

#[test]
fn a_run_can_be_made_longer_and_branched() {
    let place = Place::new();
    place.ok(&["train", "--net", "tiny.toml", "--epochs", "2", "--schedule", "constant", "--out", "a"]);
    let error = place.fails(1, &["train", "--resume", "a"]);
    assert!(error.contains("--epochs 3"), "{error}");
    let error = place.fails(1, &["train", "--resume", "a/epoch-0001.safetensors", "--epochs", "3"]);
    assert!(error.contains("--out"), "{error}");
    place.ok(&["train", "--resume", "a/epoch-0001.safetensors", "--epochs", "3", "--out", "b"]);
    place.ok(&["train", "--resume", "a", "--epochs", "3"]);
    same_file(&place, "a/last.safetensors", "b/last.safetensors");
}

#[test]
fn a_run_that_ended_before_its_copies_catches_up() {
    let place = Place::new();
    let file = |name: &str| place.path(&format!("run/{name}"));
    let train = ["train", "--net", "tiny.toml", "--schedule", "constant", "--batch", "100"];
    place.ok(&[&train[..], &["--epochs", "3", "--out", "whole"]].concat());
    // What a run leaves that ends between its checkpoint of epoch 2, the best one, and the copies.
    let rewind = || {
        fs::copy(file("epoch-0001.safetensors"), file("best.safetensors")).unwrap();
        fs::remove_file(file("epoch-0002.safetensors")).unwrap();
    };
    place.ok(&[&train[..], &["--epochs", "2", "--out", "run"]].concat());
    let last = fs::read(file("last.safetensors")).unwrap();
    assert!(fs::read(file("best.safetensors")).unwrap() == last, "epoch 2 is not the best");

    // A run that is done catches up too.
    rewind();
    assert!(place.fails(1, &["train", "--resume", "run"]).contains("is done"));
    for name in ["best.safetensors", "epoch-0002.safetensors"] {
        assert!(fs::read(file(name)).unwrap() == last, "{name}");
    }
    rewind();
    place.ok(&["train", "--resume", "run", "--epochs", "3", "--max-steps", "161"]);
    for name in ["best.safetensors", "epoch-0002.safetensors"] {
        assert!(fs::read(file(name)).unwrap() == last, "{name}");
    }
    // A new folder gets the best of its history, at any step; that of another history is none.
    place.ok(&["train", "--resume", "run", "--out", "new", "--max-steps", "162"]);
    same_file(&place, "run/best.safetensors", "new/best.safetensors");
    assert!(!place.path("new/epoch-0002.safetensors").exists());
    place.ok(&["train", "--resume", "new"]);
    same_file(&place, "whole/last.safetensors", "new/last.safetensors");
    same_file(&place, "whole/best.safetensors", "new/best.safetensors");
    fs::remove_file(file("epoch-0002.safetensors")).unwrap();
    fs::copy(file("epoch-0001.safetensors"), file("best.safetensors")).unwrap();
    let said = place.run(&["train", "--resume", "run", "--out", "other", "--max-steps", "162"]);
    assert!(said.code == 0 && said.err.contains("no checkpoint of the best epoch so far, 2"), "{}", said.err);
    assert!(!place.path("other/best.safetensors").exists());
}

#[test]
fn a_run_keeps_its_precision() {
    let place = Place::new();
    place.ok(&["train", "--net", "tiny.toml", "--max-steps", "1", "--out", "single"]);
    let message = place.fails(1, &["train", "--resume", "single", "--precision", "bf16"]);
    assert!(message.contains("was trained in f32, which is not bf16; leave --precision out"), "{message}");
    if !convnet::cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return;
    }
    let simulated = ["--device", "sim:0"];
    let train = ["train", "--net", "tiny.toml", "--batch", "4", "--precision", "bf16"];
    let out = place.ok(&[&train[..], &simulated, &["--max-steps", "1", "--out", "half"]].concat());
    assert!(out.contains(", bf16; simulated"), "{out}");
    let out = place.ok(&[&["train", "--resume", "half", "--max-steps", "2"], &simulated[..]].concat());
    assert!(out.contains(", bf16; simulated"), "{out}");
    // Its checkpoints are f32, for every device.
    let predict = ["predict", "--model", "half", "half/example.png"];
    let processor = place.ok(&predict);
    let card = place.ok(&[&predict[..], &simulated, &["--precision", "bf16"]].concat());
    assert_eq!(processor.lines().count(), card.lines().count());
}

#[test]
fn the_processor_computes_in_bf16() {
    if let Err(error) = Cpu::new(1).unwrap().bf16() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
        return;
    }
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--batch", "20", "--precision", "bf16", "--max-steps"];
    let out = place.ok(&[&train[..], &["4", "--device", "cpu", "--threads", "1", "--out", "whole"]].concat());
    assert!(out.contains("1 thread, products in bf16"), "{out}");
    place.ok(&[&train[..], &["2", "--device", "cpu:2", "--threads", "3", "--out", "parts"]].concat());
    place.ok(&["train", "--resume", "parts", "--device", "cpu", "--max-steps", "4"]);
    same_file(&place, "whole/last.safetensors", "parts/last.safetensors");
    let device = ["--model", "whole", "--device", "cpu", "--precision", "bf16"];
    place.ok(&[&["eval"], &device[..]].concat());
    place.ok(&[&["predict", "whole/example.png"], &device[..]].concat());
}

#[test]
fn a_rate_that_goes_up_again_is_warned_of() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--batch", "500", "--epochs", "2", "--out", "run"];
    place.ok(&train);
    // The rate fell after half of 2 epochs; of 8 the third is still in the first half.
    let warned = |epochs: &str, steps: &str| {
        let said = place.run(&["train", "--resume", "run", "--epochs", epochs, "--max-steps", steps]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        said.err.contains("the rate goes up again, from 0.0005 to 0.005")
    };
    assert!(!warned("3", "33") && warned("8", "34") && !warned("8", "35"));
}

#[test]
fn a_run_goes_on_with_the_same_images_only() {
    let place = Place::new();
    place.make_data(&["red", "green"], 20, 3);
    place.ok(&["train", "--data", "data", "--net", "tiny16.toml", "--batch", "16", "--max-steps", "2", "--out", "run"]);
    // Elsewhere is the same.
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    assert!(place.fails(1, &["train", "--resume", "run"]).contains("does not exist"));
    place.ok(&["train", "--resume", "run", "--data", "moved/", "--max-steps", "4"]);
    fs::rename(place.path("moved/train/red/000.png"), place.path("moved/train/red/100.png")).unwrap();
    let error = place.fails(1, &["train", "--resume", "run"]);
    assert!(error.contains("other ones") && error.contains("moved"), "{error}");
}

#[test]
fn photographs_in_folders() {
    let place = Place::new();
    place.make_data(&["red", "green", "blue"], 40, 6);
    // One of 120 cannot be read.
    fs::write(place.path("data/train/red/000.png"), "no image").unwrap();
    let said = place.run(&["train", "--data", "data", "--net", "tiny16.toml", "--batch", "16", "--out", "run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(said.err.matches("left out").count(), 1, "{}", said.err);
    assert!(said.err.contains("red/000.png"), "{}", said.err);
    let images: Vec<u64> =
        log(&place.path("run")).iter().filter(|it| it["step"] == 8).map(|it| it["images"].as_u64().unwrap()).collect();
    assert_eq!(images, [119, 238, 357, 476]);

    let out = place.ok(&["eval", "--model", "run", "--crops", "10"]);
    assert!(out.contains("18 images"), "{out}");
    let out = place.ok(&["predict", "--model", "run", "data/val/green/001.png", "--out", "answer.png"]);
    assert!(out.contains("green") && out.contains("answer.png"), "{out}");
    assert_eq!(place.names(), ["answer.png", "data", "run"]);
}
