//! Training step by step.

use convnet::naive::Naive;
use convnet::ops::Region;
use convnet::plan::Mode;

use crate::model::{Model, Wide};
use crate::reference::{Dropout, Reference};
use crate::report::{Kind, Numbers, Report};
use crate::{is_small, say};

/// A switch in one unit is the work of rounding, switches in many are not.
const MOST_SWITCHES: usize = 8;

/// A run of the reference.
pub(crate) struct Run {
    name: &'static str,
    dropout: Dropout,
    large_decay: bool,
    /// Where the file has the tensors of the first step.
    tensors: Option<&'static str>,
    /// What is put behind `p20` and `v20`, where the file has them.
    trained: Option<&'static str>,
    /// Runs that are samples of the same chaos: either may have been lucky in f32.
    alike: &'static [&'static str],
}

pub(crate) const RUNS: [Run; 4] = [
    Run {
        name: "nodrop",
        dropout: Dropout::None,
        large_decay: false,
        tensors: Some(""),
        trained: Some(""),
        alike: &["nodrop", "wd"],
    },
    Run {
        name: "wd",
        dropout: Dropout::None,
        large_decay: true,
        tensors: None,
        trained: Some("wd"),
        alike: &["nodrop", "wd"],
    },
    Run {
        name: "drop",
        dropout: Dropout::Inverted,
        large_decay: false,
        tensors: Some("drop/"),
        trained: None,
        alike: &["drop"],
    },
    Run {
        name: "dropp",
        dropout: Dropout::Paper,
        large_decay: false,
        tensors: Some("dropp/"),
        trained: None,
        alike: &["dropp"],
    },
];

/// Every step's loss, every tensor of the first step, and the parameters afterwards.
///
/// Gradients jump where a ReLU's input crosses zero or a pooling window finds another maximum, so two programs that both
/// compute rightly part ways when rounding decides such a case. In f32 a small network is therefore accompanied by its
/// f64 twin, which tells when that happened; limits are wide only from there on. For a large one limits follow what
/// happened to PyTorch's own f32.
pub(crate) fn compare<D: Wide>(reference: &Reference, report: &mut Report, run: &Run, device: D) {
    let meta = &reference.meta;
    let decay = if run.large_decay { meta.weight_decay_wd_run } else { meta.weight_decay };
    let mut model = Model::new(reference, run.dropout, decay, Mode::Inspect, device);
    let mut twin = (report.numbers() == Numbers::F32 && is_small(reference))
        .then(|| Model::new(reference, run.dropout, decay, Mode::Inspect, Naive::new()));
    let mut switched = None;
    let mut losses = Vec::new();
    for step in 0..=meta.steps {
        // The file evaluates the last loss with the masks of the last step.
        model.forward(step.min(meta.steps - 1));
        losses.push(model.loss());
        if step == meta.steps {
            break;
        }
        model.backward(step);
        if let (0, Some(prefix)) = (step, run.tensors) {
            compare_tensors(reference, report, &model, prefix);
        }
        if let Some(exact) = &mut twin {
            exact.forward(step);
            exact.backward(step);
            let switches = model.switches().iter().zip(exact.switches()).filter(|(ours, exact)| *ours != exact).count();
            exact.update();
            if switches > 0 {
                say(&format!(
                    "{}.npz: {} in step {step}: rounding switched {switches} units",
                    reference.name, run.name
                ));
                if switches > MOST_SWITCHES {
                    report.failures.push(format!("traj/{} step {step}: {switches} units differ from f64", run.name));
                }
                switched = Some(step);
                twin = None;
            }
        }
        model.update();
        if let (0, Some(suffix)) = (step, run.trained) {
            compare_parameters(reference, report, &model, &format!("1{suffix}"), false);
        }
    }
    if let Some(suffix) = run.trained {
        // "20" is the last step, whatever its number.
        compare_parameters(reference, report, &model, &format!("20{suffix}"), switched.is_some());
    }
    let off = run.alike.iter().map(|name| torch_off(reference, name));
    let off = off.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect()).unwrap_or_default();
    let name = format!("traj/{}", run.name);
    report.compare_losses(&name, &losses, reference.array(&name), &off, switched);
}

/// The first step of a run: its loss, every tensor, and the parameters after it.
pub(crate) fn compare_first<D: Wide>(reference: &Reference, report: &mut Report, run: &Run, device: D) {
    let mut model = Model::new(reference, run.dropout, reference.meta.weight_decay, Mode::Inspect, device);
    model.forward(0);
    model.backward(0);
    if let Some(prefix) = run.tensors {
        compare_tensors(reference, report, &model, prefix);
    }
    model.update();
    if let Some(suffix) = run.trained {
        compare_parameters(reference, report, &model, &format!("1{suffix}"), false);
    }
}

/// The losses of all steps of a run.
pub(crate) fn compare_losses<D: Wide>(reference: &Reference, report: &mut Report, run: &Run, device: D) {
    let meta = &reference.meta;
    let mut model = Model::new(reference, run.dropout, meta.weight_decay, Mode::Inspect, device);
    let mut losses = Vec::new();
    for step in 0..=meta.steps {
        // As in `compare`.
        model.forward(step.min(meta.steps - 1));
        losses.push(model.loss());
        if step < meta.steps {
            model.backward(step);
            model.update();
        }
    }
    let name = format!("traj/{}", run.name);
    report.compare_losses(&name, &losses, reference.array(&name), &torch_off(reference, run.name), None);
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

fn compare_parameters<D: Wide>(
    reference: &Reference,
    report: &mut Report,
    model: &Model<D>,
    tag: &str,
    switched: bool,
) {
    let kind = if switched { Kind::Switched } else { Kind::Trained };
    for (letter, region) in [("p", Region::Weights), ("v", Region::Momenta)] {
        let prefix = format!("{letter}{tag}/");
        for name in reference.names(&prefix) {
            let full = format!("{prefix}{name}");
            let got = model.parameter(&name, region);
            report.compare(kind, &full, Some(&got), reference.expected(&full));
        }
    }
}
