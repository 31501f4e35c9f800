//! Exported networks in other people's programs: onnxruntime and PyTorch give the probabilities that we give.
//!
//! The programs are Python's, and may not be there: `ALEXNET_PYTHON` names another interpreter. Full-size nets are
//! compared when `ALEXNET_LONG_TESTS` is set.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use alexnet::checkpoint::{self, Checkpoint, DataId, Position, Settings, State};
use alexnet::nets;
use alexnet::portable::{Portable, onnx, torch};
use convnet::augment::{Sampler, View};
use convnet::cpu::Cpu;
use convnet::net::Net;
use convnet::ops::Step;
use convnet::philox::words;
use convnet::run::Network;
use dataset::{Dataset, Statistics};

const IMAGES: usize = 3;
/// The probabilities agree to this.
const LIMIT: f32 = 1e-5;

#[test]
fn onnxruntime_gives_the_same_probabilities() {
    agree("onnxruntime", "run_onnx.py", onnx::encode);
}

#[test]
fn pytorch_gives_the_same_probabilities() {
    agree("torch, safetensors", "run_torch.py", |model| torch::encode(model).unwrap());
}

fn agree(modules: &str, script: &str, encode: impl Fn(&Portable) -> Vec<u8>) {
    let python = std::env::var_os("ALEXNET_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let has = Command::new(&python).args(["-c", &format!("import numpy, {modules}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return say(&format!("SKIPPED: {} has no {modules}", python.display()));
    }
    let long = std::env::var_os("ALEXNET_LONG_TESTS").is_some();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in nets::BUILT_IN {
        if name != "mini" && !long {
            continue;
        }
        let net = Net::parse(text, name, Some(10)).unwrap();
        let (model, pixels, expected) = sample(&net, folder.path());
        let (file, input) = (folder.path().join("model"), folder.path().join("pixels"));
        std::fs::write(&file, encode(&model)).unwrap();
        std::fs::write(&input, bytes(&pixels)).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let output = Command::new(&python).arg(script).arg(&file).arg(&input).arg(IMAGES.to_string()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let got: Vec<f32> = output.stdout.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        assert_eq!(got.len(), expected.len(), "{name}");
        let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        say(&format!("{name}: {modules}: probabilities differ by {worst:.1e} at most"));
        assert!(worst <= LIMIT, "{name}: {worst:e}");
        // Not all the same: the images tell.
        assert!(expected[..10] != expected[10..20], "{name}");
    }
}

/// A network with random weights, pixels `[n, 3, crop, crop]`, and the
/// probabilities that it gives them.
fn sample(net: &Net, folder: &Path) -> (Portable, Vec<f32>, Vec<f32>) {
    let mut network = Network::for_training(net, IMAGES, Cpu::new(0).unwrap()).unwrap();
    network.initialise(1).unwrap();
    let side = net.augment.image;
    let random = |i: usize| (words(7, 0, 0, 99, i as u32)[0] >> 24) as f32;
    let statistics = Statistics {
        side,
        images: 1,
        mean: (0..side * side * 3).map(|i| random(i) / 2.0 + 64.0).collect(),
        covariance: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        eigenvalues: [1.0; 3],
        eigenvectors: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    };
    let sampler = Sampler::new(&net.augment, statistics.eigenvalues, statistics.eigenvectors);
    network.set_mean(&sampler.mean(&statistics.mean)).unwrap();

    // Real pictures, repeated where they are smaller than the net's.
    let demo = Dataset::demo();
    let mut rgb = vec![0; demo.side * demo.side * 3];
    let mut step = Step { draws: sampler.view(View::Centre, IMAGES), ..Step::default() };
    for image in 0..IMAGES {
        demo.val.read(image, &mut rgb).unwrap();
        let pixel = |y: usize, x: usize| (y % demo.side * demo.side + x % demo.side) * 3;
        step.rgb.extend((0..side * side).flat_map(|i| rgb[pixel(i / side, i % side)..][..3].to_vec()));
        step.labels.push(0);
        step.ids.push(0);
    }
    let crop = net.augment.crop;
    let border = (side - crop) / 2;
    let at = |n: usize, c: usize, y: usize, x: usize| {
        f32::from(step.rgb[((n * side + border + y) * side + border + x) * 3 + c])
    };
    let plane = crop * crop;
    let pixels = (0..IMAGES * 3 * plane).map(|i| at(i / plane / 3, i / plane % 3, i / crop % crop, i % crop)).collect();
    network.infer(&mut step.clone()).unwrap();
    let mut probabilities = network.probabilities(IMAGES).unwrap();
    // Certain answers would hide differences, undecided ones too: the last weights decide how sure the network is.
    let last = network.parameters().iter().rev().find(|parameter| !parameter.bias).unwrap().value;
    while probabilities.iter().any(|&p| p > 0.8) || probabilities.iter().all(|&p| p < 0.2) {
        let gain = if probabilities.iter().any(|&p| p > 0.8) { 0.8 } else { 1.5 };
        let weights: Vec<f32> = network.read(last).unwrap().iter().map(|weight| weight * gain).collect();
        network.write(last, &weights).unwrap();
        network.infer(&mut step.clone()).unwrap();
        probabilities = network.probabilities(IMAGES).unwrap();
    }

    let state = State {
        net: net.source.clone(),
        classes: demo.classes.clone(),
        data: DataId { name: "demo".to_string(), folder: None, train: 1, val: 1, names: None },
        settings: Settings {
            seed: 1,
            batch: IMAGES,
            epochs: 1,
            schedule: net.training.schedules.first().map_or("constant", |schedule| &schedule.name).to_string(),
            rate: None,
            precision: convnet::cuda::Precision::F32,
        },
        position: Position::default(),
        history: Vec::new(),
    };
    let path = folder.join("checkpoint.safetensors");
    checkpoint::save(&path, &state, &statistics, &network).unwrap();
    (Portable::new(&Checkpoint::read(&path).unwrap()).unwrap(), pixels, probabilities)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Prints a line even when the test passes.
fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "export: {line}");
}
