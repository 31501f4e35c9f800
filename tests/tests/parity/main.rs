//! The whole network against PyTorch in float64: every activation, every gradient, the loss of every step.
//!
//! Reference files are the `.npz` of `tests/data` and of the folder that `ALEXNET_REFERENCE_DIR` names, if it does;
//! `tests/data/make_reference.py` describes the format. Every array of a file must have been compared in the end.
//!
//! On the naive device, which computes in f64, agreement to 1e-12 proves plans and formulas; on the fast one it is its
//! rounding that is measured. The plan is run here operation by operation, with the reference's input and dropout masks
//! put in place of the device's own.
#![forbid(unsafe_code)]

mod bf16;
mod model;
mod npz;
mod reference;
mod report;
mod training;

use std::io::Write;
use std::path::{Path, PathBuf};

use convnet::cpu::Cpu;
use convnet::cuda::{self, Precision};
use convnet::naive::Naive;
use convnet::ops::Region;
use convnet::plan::Mode;

use tests::gpu;

use bf16::Rounding;
use model::{Model, Wide};
use reference::{Dropout, Reference};
use report::{Kind, Numbers, Report};

const FOLDER_VARIABLE: &str = "ALEXNET_REFERENCE_DIR";
/// The naive device does a fraction of a GFLOP a second: a full-size step would take minutes.
const NAIVE_MULTIPLY_ADDS: usize = 50_000_000;
/// Steps in which fused and plain plans are compared.
const FUSED_STEPS: usize = 3;

#[test]
fn committed_references_on_the_naive_device() {
    on_the_naive_device(&committed());
}

#[test]
fn further_references_on_the_naive_device() {
    on_the_naive_device(&further());
}

#[test]
fn committed_references_on_the_cpu() {
    on_the_cpu(&committed());
}

#[test]
fn further_references_on_the_cpu() {
    on_the_cpu(&further());
}

#[test]
fn hash_gives_the_values_of_the_reference_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/small_lrn1.npz");
    let reference = Reference::read(&path).expect("a committed reference is readable");
    // Printed by make_reference.py's functions.
    assert_eq!(reference.input()[..3], [40.953148, -69.36788, 38.470543]);
    assert_eq!(reference.labels(), [8, 4]);
    let kept = |mask: &[bool]| mask.iter().filter(|&&kept| kept).count();
    assert_eq!(reference.masks(3).each_ref().map(|mask| kept(mask)), [17, 12]);
}

#[test]
fn committed_references_on_the_gpu() {
    on_the_gpu(&committed());
}

#[test]
fn committed_references_in_bf16_on_the_gpu() {
    in_bf16_on_the_gpu(&committed());
}

#[test]
fn committed_references_in_bf16_on_the_cpu() {
    if let Err(error) = cpu(0).bf16() {
        return say(&format!("SKIPPED: {error}"));
    }
    let device = || cpu(0).bf16().expect("there was one");
    for_each(&committed(), |reference| bf16::compare(reference, Rounding::Factors, device));
}

#[test]
fn further_references_on_the_gpu() {
    on_the_gpu(&further());
}

#[test]
fn further_references_in_bf16_on_the_gpu() {
    in_bf16_on_the_gpu(&further());
}

fn on_the_naive_device(files: &[PathBuf]) {
    for_each(files, |reference| {
        if is_small(reference) {
            return compare(reference, Numbers::F64, Naive::new);
        }
        say(&format!("{}.npz: too large for the naive device", reference.name));
        Vec::new()
    });
}

fn on_the_cpu(files: &[PathBuf]) {
    for_each(files, |reference| {
        let mut failures = compare(reference, Numbers::F32, || cpu(0));
        failures.extend(compare_fused(reference, cpu));
        failures
    });
}

/// On a GPU, simulated unless `ALEXNET_TEST_GPU` is set. Of full-size files it is the first step, which takes minutes
/// there: `ALEXNET_LONG_TESTS` asks for it.
fn on_the_gpu(files: &[PathBuf]) {
    if !cuda::has_kernels() {
        return say("SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
    }
    for_each(files, |reference| {
        if !is_small(reference) {
            if !patient(reference) {
                return Vec::new();
            }
            let mut report = Report::new(&reference.name, &reference.meta, Numbers::F32);
            compare_inputs(reference, &mut report);
            training::compare_first(reference, &mut report, &training::RUNS[0], gpu(Precision::F32));
            say(&report.to_string());
            return report.failures;
        }
        let mut failures = compare(reference, Numbers::F32, || gpu(Precision::F32));
        failures.extend(compare_fused(reference, |_| gpu(Precision::F32)));
        failures
    });
}

/// As [`on_the_gpu`]; of full-size files it is the first forward pass.
fn in_bf16_on_the_gpu(files: &[PathBuf]) {
    if !cuda::has_kernels() {
        return say("SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
    }
    for_each(files, |reference| match is_small(reference) {
        true => bf16::compare(reference, Rounding::Memory, || gpu(Precision::Bf16)),
        false if patient(reference) => bf16::compare_forward(reference, gpu(Precision::Bf16)),
        false => Vec::new(),
    });
}

/// Whether the environment asks for full-size files on a simulated GPU.
fn patient(reference: &Reference) -> bool {
    let asked = std::env::var_os("ALEXNET_LONG_TESTS").is_some();
    if !asked {
        say(&format!("{}.npz: ALEXNET_LONG_TESTS asks for its first step on a simulated GPU", reference.name));
    }
    asked
}

/// Whether the naive device can train the network in seconds.
fn is_small(reference: &Reference) -> bool {
    reference.net(Dropout::None, 0.0).multiply_adds() <= NAIVE_MULTIPLY_ADDS
}

fn cpu(threads: usize) -> Cpu {
    Cpu::new(threads).expect("the system gives threads")
}

fn committed() -> Vec<PathBuf> {
    let files = npz_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data"));
    assert!(!files.is_empty(), "no reference is committed");
    files
}

/// The files of the folder that the environment names.
fn further() -> Vec<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => {
            let files = npz_files(Path::new(&folder));
            assert!(!files.is_empty(), "{FOLDER_VARIABLE} names {folder:?}, which has no .npz");
            files
        }
        None => {
            say(&format!("{FOLDER_VARIABLE} is not set: only the committed references are compared"));
            Vec::new()
        }
    }
}

fn npz_files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder stays readable").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "npz")).collect();
    files.sort();
    files
}

/// Reads and checks every file, then fails with all that is wrong.
fn for_each(files: &[PathBuf], check: impl Fn(&Reference) -> Vec<String>) {
    let mut failures = Vec::new();
    for path in files {
        let reference = Reference::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        failures.extend(check(&reference).into_iter().map(|failure| format!("{}: {failure}", reference.name)));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Prints a line even when the test passes: libtest holds back what `println` prints, not what a handle writes.
fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "parity: {line}");
}

/// Compares everything that the file has; returns what is wrong.
fn compare<D: Wide>(reference: &Reference, numbers: Numbers, device: impl Fn() -> D) -> Vec<String> {
    let mut report = Report::new(&reference.name, &reference.meta, numbers);
    compare_inputs(reference, &mut report);
    compare_tests(reference, &mut report, &device);
    for run in training::RUNS {
        training::compare(reference, &mut report, &run, device());
    }

    say(&report.to_string());
    // At once, too: a full-size file takes minutes.
    report.failures.iter().for_each(|failure| say(failure));
    let mut failures = report.failures;
    failures.extend(reference.unused().iter().map(|name| format!("{name}: not compared with anything")));
    failures
}

/// The hash must give what the file's program computed with.
fn compare_inputs(reference: &Reference, report: &mut Report) {
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
    let flags = |values: Vec<bool>| values.into_iter().map(|kept| f64::from(u8::from(kept))).collect::<Vec<_>>();
    let mut check = |name: &str, got: Vec<f64>| {
        // Files may leave out what the hash gives.
        if let Some(expected) = reference.expected(name) {
            report.compare(Kind::Input, name, Some(&got), Some(expected));
        }
    };
    for parameter in &reference.meta.params {
        check(&format!("p/{}", parameter.name), wide(reference.parameter(parameter)));
    }
    check("x", wide(reference.input()));
    check("y", reference.labels().into_iter().map(f64::from).collect());
    let steps = || (0..reference.meta.steps).map(|step| reference.masks(step));
    check("mask6", steps().flat_map(|[mask, _]| flags(mask)).collect());
    check("mask7", steps().flat_map(|[_, mask]| flags(mask)).collect());
}

/// Logits without dropout, under both of its conventions.
fn compare_tests<D: Wide>(reference: &Reference, report: &mut Report, device: impl Fn() -> D) {
    for (name, dropout) in [("eval/logits_inverted", Dropout::Inverted), ("eval/logits_paper", Dropout::Paper)] {
        let mut model = Model::new(reference, dropout, 0.0, Mode::Infer, device());
        model.forward(0);
        report.compare(Kind::Activation, name, model.activation("fc8").as_deref(), reference.expected(name));
    }
}

/// A plan for training, with fused operations and shared memory, must give the bits of the plan that keeps every
/// tensor; also on another number of threads, where the device has any.
fn compare_fused<D: Wide>(reference: &Reference, device: impl Fn(usize) -> D) -> Vec<String> {
    let mut failures = Vec::new();
    for dropout in [Dropout::None, Dropout::Inverted] {
        let new = |mode, threads| Model::new(reference, dropout, reference.meta.weight_decay, mode, device(threads));
        let (mut plain, mut fused) = (new(Mode::Inspect, 1), new(Mode::Train, 2));
        for step in 0..FUSED_STEPS {
            for model in [&mut plain, &mut fused] {
                model.forward(step);
                model.backward(step);
                model.update();
            }
            if plain.loss().to_bits() != fused.loss().to_bits() {
                failures.push(format!("{dropout:?} step {step}: loss {} fused for {}", fused.loss(), plain.loss()));
            }
        }
        for region in [Region::Weights, Region::Momenta] {
            let names = plain.differences(&fused, region);
            failures.extend(names.iter().map(|name| format!("{dropout:?}: {region:?} of {name} differ when fused")));
        }
    }
    say(&format!("{}.npz: {FUSED_STEPS} steps of the fused plan are compared bit for bit", reference.name));
    failures
}
