//! Every command of README.md's code blocks, one after the other, as a reader would type them.
//!
//! The nets, data and pictures that a reader has are small stand-ins here, with the names that README.md gives them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{Place, said};
use image::{Rgb, RgbImage};

/// How commands begin in README.md.
const PROGRAM: &str = "cargo run -p alexnet --";

/// Commands, and how they are run here: with nets that are small, and little of the rest.
const SMALLER: [(&str, &str); 10] = [
    ("train", "train --net mini.toml --epochs 1"),
    ("train --data DIR", "train --data DIR --net nips2012.toml --max-steps 4"),
    (
        "train --data DIR --schedule ilsvrc2012",
        "train --data DIR --schedule ilsvrc2012 --net nips2012.toml --max-steps 4",
    ),
    ("train --resume runs/nips2012-1", "train --resume runs/nips2012-1 --max-steps 5"),
    ("train --data data/mine", "train --data data/mine --net nips2012.toml --max-steps 1"),
    (
        "experiment relu-vs-tanh --data cifar-10-batches-bin",
        "experiment relu-vs-tanh --data cifar-10-batches-bin --net mini.toml --epochs 1 --seeds 1",
    ),
    ("experiment dropout", "experiment dropout --net mini.toml --epochs 1 --seeds 1"),
    (
        "experiment lrn --data DIR --epochs 30 --seeds 5",
        "experiment lrn --data DIR --net nips2012.toml --epochs 1 --seeds 1",
    ),
    ("prepare DIR --out data/mine", "prepare DIR --out data/mine --size 32"),
    // It is another way to the same folder, which cannot have both.
    ("prepare DIR --val-fraction 0.05 --out data/mine", "prepare DIR/train --val-fraction 0.05 --out data/other"),
];

/// Lines that are not run, and why.
const SKIPPED: [(&str, &str); 7] = [
    ("cargo xtask test", "it runs this test"),
    ("cargo xtask setup", "it fetches packages; a part of `cargo xtask test`"),
    ("cargo xtask build-ptx", "a part of `cargo xtask test`"),
    ("cargo run -p alexnet -- prepare ILSVRC2012", "the tars of 2012 take 150 GB; dataset's tests make small ones"),
    ("cargo run -p alexnet -- import", "other programs write these files; tests/import.rs"),
    ("cargo run -p alexnet -- predict photo.jpg --model torchvision", "it needs what was imported; tests/import.rs"),
    ("DIR/train/CLASS/*.jpg", "it shows folders"),
];

#[test]
fn every_command_of_the_readme_works() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let lines = code(&text);
    let program = |line: &str| line.strip_prefix(PROGRAM).map(|words| words.trim().to_string());
    for (command, _) in SMALLER {
        assert!(lines.iter().any(|line| program(line).as_deref() == Some(command)), "README.md has no {command:?}");
    }
    for (start, _) in SKIPPED {
        assert!(lines.iter().any(|line| line.starts_with(start)), "README.md has no {start:?}");
    }

    let place = Place::new();
    stand_ins(&place);
    let mut commands = 0;
    for line in lines {
        if let Some((_, why)) = SKIPPED.iter().find(|(start, _)| line.starts_with(start)) {
            // Past the capture, so that it is seen.
            let _ = writeln!(std::io::stderr(), "README.md: SKIPPED: {line}: {why}");
            continue;
        }
        let script = match program(line) {
            Some(words) => {
                let smaller = SMALLER.iter().find(|(command, _)| *command == words).map(|&(_, smaller)| smaller);
                format!("\"$0\" {}", smaller.unwrap_or(&words))
            }
            None => line.to_string(),
        };
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_alexnet")]);
        let said = said(&shell.current_dir(place.path("")).env("HOME", place.path("")).output().unwrap());
        assert_eq!(said.code, 0, "{line}\nrun as: {script}\n{}{}", said.out, said.err);
        commands += 1;
    }
    // A test that found no block would be content.
    assert!(commands > 30, "{commands}");
    for file in ["answer.svg", "report.html", "answer.png", "neighbours.json", "submission.txt", "nips2012.onnx"] {
        assert!(find(&place.path(""), file), "no command has written {file}");
    }
}

/// The lines of the code blocks, without comments.
fn code(text: &str) -> Vec<&str> {
    let blocks = text.split("```").skip(1).step_by(2);
    // The first line of a block names its language.
    let lines = blocks.flat_map(|block| block.lines().skip(1)).filter(|line| !line.is_empty());
    lines.map(|line| line.split(" #").next().unwrap().trim_end()).collect()
}

/// What README.md's commands read, small: nets, a folder of pictures, CIFAR-10, photos, a list of classes.
fn stand_ins(place: &Place) {
    let tiny = fs::read_to_string(place.path("tiny.toml")).unwrap();
    let schedule = "[[schedule]]\nname = \"ilsvrc2012\"\nepochs = 4\n\n[[layer]]\nname = \"conv1\"";
    let net = tiny.replace("[[layer]]\nname = \"conv1\"", schedule).replace("pool1", "pool5");
    for name in ["mini", "nips2012"] {
        fs::write(place.path(&format!("{name}.toml")), net.replace("\"tiny\"", &format!("\"{name}\""))).unwrap();
    }

    let picture =
        |seed: u32| RgbImage::from_fn(32, 32, |x, y| Rgb([x * seed, y * seed, x + y].map(|it| (it * 7) as u8)));
    let mut classes = String::new();
    for class in 0..10 {
        for (split, count) in [("train", 8), ("val", 2)] {
            let folder = place.path(&format!("DIR/{split}/c{class}"));
            fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                picture(class + index).save(folder.join(format!("{split}-{class}-{index}.png"))).unwrap();
            }
        }
        classes += &format!("c{class} {} name\n", class + 1);
    }
    fs::write(place.path("map_clsloc.txt"), classes).unwrap();
    picture(3).save(place.path("photo.jpg")).unwrap();
    picture(5).save(place.path("other.png")).unwrap();

    let cifar = place.path("cifar-10-batches-bin");
    fs::create_dir(&cifar).unwrap();
    fs::write(cifar.join("batches.meta.txt"), (0..10).map(|class| format!("c{class}\n")).collect::<String>()).unwrap();
    let records = |count: u32| -> Vec<u8> {
        (0..count).flat_map(|image| [vec![(image % 10) as u8], picture(image).into_raw()].concat()).collect()
    };
    fs::write(cifar.join("data_batch_1.bin"), records(64)).unwrap();
    fs::write(cifar.join("test_batch.bin"), records(20)).unwrap();
}

/// Whether `folder` or one below it has a file of this name.
fn find(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.file_name().unwrap() == name || path.is_dir() && find(&path, name)
    })
}
