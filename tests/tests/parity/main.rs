//! The whole network against PyTorch in float64: every activation, every gradient, the loss of every step.
//!
//! Reference files are the `.npz` of `tests/data` and of the folder that `ALEXNET_REFERENCE_DIR` names, if it does;
//! `tests/data/make_reference.py` describes the format. Every array of a file must have been compared in the end.
//!
//! On the naive device, which computes in f64, agreement to 1e-12 proves plans and formulas; on the fast one it is its
//! rounding that is measured. The plan is run here operation by operation, with the reference's input and dropout masks
//! put in place of the device's own.
#![forbid(unsafe_code)]

mod model;
mod npz;
mod reference;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};

use convnet::cpu::Cpu;
use convnet::naive::Naive;
use convnet::ops::Region;
use convnet::plan::Mode;

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

fn on_the_naive_device(files: &[PathBuf]) {
    for_each(files, |reference| {
        let multiply_adds = reference.net(Dropout::None, 0.0).multiply_adds();
        if multiply_adds > NAIVE_MULTIPLY_ADDS {
            say(&format!("{}.npz: {multiply_adds} multiply-adds are too many for the naive device", reference.name));
            return Vec::new();
        }
        compare(reference, Numbers::F64, Naive::new)
    });
}

fn on_the_cpu(files: &[PathBuf]) {
    for_each(files, |reference| {
        let mut failures = compare(reference, Numbers::F32, || cpu(0));
        failures.extend(compare_fused(reference));
        failures
    });
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
    let decay = reference.meta.weight_decay;
    for (name, prefix, dropout) in
        [("nodrop", "", Dropout::None), ("drop", "drop/", Dropout::Inverted), ("dropp", "dropp/", Dropout::Paper)]
    {
        let mut model = Model::new(reference, dropout, decay, Mode::Inspect, device());
        compare_training(reference, &mut report, &mut model, name, Some(prefix));
    }
    let large_decay = reference.meta.weight_decay_wd_run;
    let mut model = Model::new(reference, Dropout::None, large_decay, Mode::Inspect, device());
    compare_training(reference, &mut report, &mut model, "wd", None);

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

/// Every step's loss, every tensor of the first step (those under `tensors`), and the parameters afterwards.
fn compare_training<D: Wide>(
    reference: &Reference,
    report: &mut Report,
    model: &mut Model<D>,
    name: &str,
    tensors: Option<&str>,
) {
    let steps = reference.meta.steps;
    // The tags of a reference: "20" is the last step, whatever its number.
    let suffix = if name == "wd" { "wd" } else { "" };
    let trained = name == "nodrop" || name == "wd";
    let mut losses = Vec::new();
    for step in 0..=steps {
        model.forward(step.min(steps - 1));
        losses.push(model.loss());
        if step == steps {
            break;
        }
        model.backward(step);
        if let (0, Some(prefix)) = (step, tensors) {
            compare_tensors(reference, report, model, prefix);
        }
        model.update();
        if step == 0 && trained {
            compare_parameters(reference, report, model, &format!("1{suffix}"));
        }
    }
    if trained {
        compare_parameters(reference, report, model, &format!("20{suffix}"));
    }
    // The two without dropout differ in decay only: two samples of the same chaos, of which either may have been lucky.
    let alike = if trained { vec!["nodrop", "wd"] } else { vec![name] };
    let torch = alike
        .into_iter()
        .map(|name| torch_off(reference, name))
        .reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect());
    let full = format!("traj/{name}");
    report.compare_losses(&full, &losses, reference.array(&full), &torch.unwrap_or_default());
}

/// How far PyTorch's f32 is from its f64 in each step of a trajectory.
fn torch_off(reference: &Reference, name: &str) -> Vec<f64> {
    let losses = |prefix: &str| reference.array(&format!("{prefix}traj/{name}")).unwrap_or_default();
    losses("f32/").iter().zip(losses("")).map(|(f32, f64)| ((f32 - f64) / f64).abs()).collect()
}

fn compare_tensors<D: Wide>(reference: &Reference, report: &mut Report, model: &Model<D>, prefix: &str) {
    let mut check = |kind: Kind, name: &str, got: Option<Vec<f64>>| {
        let name = format!("{prefix}{name}");
        report.compare(kind, &name, got.as_deref(), reference.expected(&name));
    };
    check(Kind::Loss, "loss", Some(vec![model.loss()]));
    check(Kind::Activation, "logp", Some(model.log_probabilities()));
    for layer in reference.names(&format!("{prefix}act/")) {
        check(Kind::Activation, &format!("act/{layer}"), model.activation(&layer));
    }
    for layer in reference.names(&format!("{prefix}gact/")) {
        check(Kind::Gradient, &format!("gact/{layer}"), model.gradient(&layer));
    }
    for name in reference.names(&format!("{prefix}grad/")) {
        check(Kind::Gradient, &format!("grad/{name}"), Some(model.parameter(&name, Region::Gradients)));
    }
    if reference.names(prefix).contains("gx") {
        check(Kind::Gradient, "gx", model.gradient("input"));
    }
}

fn compare_parameters<D: Wide>(reference: &Reference, report: &mut Report, model: &Model<D>, tag: &str) {
    for (letter, region) in [("p", Region::Weights), ("v", Region::Momenta)] {
        let prefix = format!("{letter}{tag}/");
        for name in reference.names(&prefix) {
            let full = format!("{prefix}{name}");
            let got = model.parameter(&name, region);
            report.compare(Kind::Trained, &full, Some(&got), reference.expected(&full));
        }
    }
}

/// A plan for training, with fused operations and shared memory, must give the bits of the plan that keeps every
/// tensor; also on another number of threads.
fn compare_fused(reference: &Reference) -> Vec<String> {
    let mut failures = Vec::new();
    for dropout in [Dropout::None, Dropout::Inverted] {
        let new = |mode, threads| Model::new(reference, dropout, reference.meta.weight_decay, mode, cpu(threads));
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
