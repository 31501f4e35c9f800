//! Networks of other programs, written and run by those programs: `alexnet import` gives the same probabilities, and so
//! does what `alexnet export` makes of them.
//!
//! The programs are Python's, and may not be there: `ALEXNET_PYTHON` names another interpreter.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use alexnet::checkpoint::Checkpoint;
use convnet::augment::{Sampler, View};
use convnet::cpu::Cpu;
use convnet::ops::Step;
use convnet::run::Network;
use dataset::Dataset;

const IMAGES: usize = 3;
/// Side of the stored images of every AlexNet.
const SIDE: usize = 256;
/// The probabilities agree to this.
const LIMIT: f32 = 1e-4;

#[test]
fn torchvisions_alexnet_is_the_same() {
    let Some(python) = python("torchvision, safetensors.torch") else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = other(&python, "write_torchvision.py", &[], folder.path(), 224);
    for file in ["model.pth", "model.safetensors"] {
        agree("torchvision", &folder.path().join(file), &expected);
    }
    exported("torchvision", &folder.path().join("model.imported"), &expected);
    damaged(folder.path(), &folder.path().join("model.pth"));
    damaged(folder.path(), &folder.path().join("model.safetensors"));
}

#[test]
fn caffes_two_alexnets_are_the_same() {
    let Some(python) = python("google.protobuf, cv2; cv2.dnn.readNetFromCaffe") else { return };
    for (net, old) in [("bvlc-alexnet", "0"), ("caffenet", "1")] {
        let folder = tempfile::tempdir().unwrap();
        let expected = other(&python, "write_caffe.py", &[net, old], folder.path(), 227);
        agree(net, &folder.path().join("model.caffemodel"), &expected);
        exported(net, &folder.path().join("model.imported"), &expected);
        damaged(folder.path(), &folder.path().join("model.caffemodel"));
    }
}

/// The interpreter, if it can import `modules`.
fn python(modules: &str) -> Option<PathBuf> {
    let python = std::env::var_os("ALEXNET_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let has = Command::new(&python).args(["-c", &format!("import numpy, {modules}")]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(python.into());
    }
    say(&format!("SKIPPED: {} has no {modules}", python.display()));
    None
}

/// Images `[n, 256, 256, 3]`: pictures of the demo set, repeated.
fn images() -> Vec<u8> {
    let demo = Dataset::demo();
    let mut rgb = vec![0; demo.side * demo.side * 3];
    let mut images = Vec::new();
    for image in 0..IMAGES {
        demo.val.read(image, &mut rgb).unwrap();
        let pixel = |y: usize, x: usize| (y % demo.side * demo.side + x % demo.side) * 3;
        // Grey pictures would hide the order of the colours.
        let colours = |i: usize| {
            let grey = &rgb[pixel(i / SIDE, i % SIDE)..][..3];
            [grey[0], grey[1] / 2, 255 - grey[2]]
        };
        images.extend((0..SIDE * SIDE).flat_map(colours));
    }
    images
}

/// Lets another program write a network to `folder` and gives the probabilities that it has there.
fn other(python: &Path, script: &str, words: &[&str], folder: &Path, crop: usize) -> Vec<f32> {
    let (images, border, plane) = (images(), (SIDE - crop) / 2, crop * crop);
    let at = |n: usize, c: usize, y: usize, x: usize| {
        f32::from(images[((n * SIDE + border + y) * SIDE + border + x) * 3 + c])
    };
    let values = (0..IMAGES * 3 * plane).map(|i| at(i / plane / 3, i / plane % 3, i / crop % crop, i % crop));
    let pixels = folder.join("pixels");
    fs::write(&pixels, values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let mut words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    words.extend([folder.as_os_str(), pixels.as_os_str()]);
    run(python, script, &words)
}

/// Runs one of `tests/python` and gives the probabilities that it prints.
fn run(python: &Path, script: &str, words: &[&OsStr]) -> Vec<f32> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(script);
    let output = Command::new(python).arg(script).args(words).arg(IMAGES.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}

fn import(file: &Path, out: &Path) -> (bool, String) {
    alexnet(Command::new(env!("CARGO_BIN_EXE_alexnet")).arg("import").arg(file).arg("--out").arg(out))
}

fn alexnet(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn agree(net: &str, file: &Path, expected: &[f32]) {
    let out = file.with_extension("imported");
    let (success, text) = import(file, &out);
    assert!(success, "{text}");
    assert!(text.contains(&format!("net {net}, 10 classes")), "{text}");
    let checkpoint = Checkpoint::read(&out).unwrap();
    let mut network = Network::for_inference(&checkpoint.net, IMAGES, Cpu::new(0).unwrap()).unwrap();
    checkpoint.restore(&mut network, false).unwrap();
    let statistics = &checkpoint.statistics;
    let sampler = Sampler::new(&checkpoint.net.augment, statistics.eigenvalues, statistics.eigenvectors);
    network.set_mean(&sampler.mean(&statistics.mean)).unwrap();
    let draws = sampler.view(View::Centre, IMAGES);
    let (labels, ids) = (vec![0; IMAGES], vec![0; IMAGES]);
    network.infer(&mut Step { rgb: images(), labels, ids, draws, ..Step::default() }).unwrap();
    let got = network.probabilities(IMAGES).unwrap();
    let kind = file.extension().unwrap().display();
    close(&format!("{net}: .{kind}"), &got, expected);
    let surest = expected.iter().copied().fold(0.0, f32::max);
    // Neither certain nor undecided, and not the same for all images: the comparison tells.
    assert!((0.15..0.99).contains(&surest), "{net}: {expected:?}");
    let apart = expected[..10].iter().zip(&expected[10..20]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 100.0 * LIMIT, "{net}: {expected:?}");
}

fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    say(&format!("{what}: probabilities differ by {worst:.1e} at most"));
    assert!(worst <= LIMIT, "{what}: {worst:e}");
}

/// An imported network as `alexnet export` writes it, in the programs that read that.
fn exported(net: &str, imported: &Path, expected: &[f32]) {
    for (format, modules, script) in
        [("onnx", "onnxruntime", "run_onnx.py"), ("safetensors", "torch, safetensors", "run_torch.py")]
    {
        let Some(python) = python(modules) else { continue };
        let out = imported.with_extension(format!("exported.{format}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
        let command = command.args(["export", "--format", format, "--model"]).arg(imported).arg("--out").arg(&out);
        let (success, text) = alexnet(command);
        assert!(success, "{text}");
        let pixels = imported.with_file_name("pixels");
        close(
            &format!("{net}: exported as {format}"),
            &run(&python, script, &[out.as_os_str(), pixels.as_os_str()]),
            expected,
        );
    }
}

/// A file that is cut off is an error that names it, and leaves nothing behind.
fn damaged(folder: &Path, file: &Path) {
    let (cut, out) = (folder.join("cut"), folder.join("none"));
    let whole = fs::read(file).unwrap();
    for part in [1, 2, 3] {
        fs::write(&cut, &whole[..whole.len() / 4 * part]).unwrap();
        let (success, text) = import(&cut, &out);
        assert!(!success && text.contains("cannot import") && text.contains("cut"), "{text}");
        assert!(!out.exists());
    }
}

/// Prints a line even when the test passes.
fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "import: {line}");
}
