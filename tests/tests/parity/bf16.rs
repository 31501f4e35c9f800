//! A training step in bf16 on a GPU, beside an f64 twin that rounds where the device rounds.
//!
//! Rounding to 8 bits switches units and moves maxima, so in a small network the gradients of the lower layers are up to
//! a fifth off those of the file, whoever computes them. The file judges activations and the loss; the twin, whose units
//! switch as the device's do, judges gradients and parameters.

use convnet::Error;
use convnet::cuda::Precision;
use convnet::naive::Naive;
use convnet::ops::{Access, Device, Op, Region, Span};
use convnet::plan::Mode;
use half::bf16;
use tests::gpu;

use crate::model::{Model, Wide};
use crate::reference::{Dropout, Expected, Reference};
use crate::report::{Kind, Numbers, Report};
use crate::say;

/// Compares activations, gradients, losses and parameters of one step; returns what is wrong.
pub(crate) fn compare(reference: &Reference) -> Vec<String> {
    let mut report = Report::new(&reference.name, &reference.meta, Numbers::Bf16);
    for (dropout, prefix) in [(Dropout::None, ""), (Dropout::Inverted, "drop/")] {
        compare_step(reference, &mut report, dropout, prefix);
    }
    say(&report.to_string());
    report.failures.iter().for_each(|failure| say(failure));
    report.failures
}

fn compare_step(reference: &Reference, report: &mut Report, dropout: Dropout, prefix: &str) {
    let decay = reference.meta.weight_decay;
    let mut ours = Model::new(reference, dropout, decay, Mode::Inspect, gpu(Precision::Bf16));
    let mut twin = Model::new(reference, dropout, decay, Mode::Inspect, Rounded(Naive::new()));
    ours.forward(0);
    ours.backward(0);
    ours.update();
    twin.forward(0);
    twin.backward(0);
    twin.update();

    let mut check = |kind: Kind, name: &str, got: Option<Vec<f64>>| {
        let name = format!("{prefix}{name}");
        report.compare(kind, &name, got.as_deref(), reference.expected(&name));
    };
    check(Kind::Loss, "loss", Some(vec![ours.loss()]));
    for layer in reference.names(&format!("{prefix}act/")) {
        check(Kind::Activation, &format!("act/{layer}"), ours.activation(&layer));
    }
    let mut beside = |kind: Kind, name: &str, ours: Option<Vec<f64>>, twin: Option<Vec<f64>>| {
        let name = format!("{prefix}twin/{name}");
        report.compare(kind, &name, ours.as_deref(), twin.as_deref().map(Expected::All));
    };
    for layer in reference.names("gact/") {
        beside(Kind::Gradient, &format!("gact/{layer}"), ours.gradient(&layer), twin.gradient(&layer));
    }
    let regions =
        [(Kind::Gradient, Region::Gradients), (Kind::Trained, Region::Weights), (Kind::Trained, Region::Momenta)];
    for parameter in &reference.meta.params {
        for (kind, region) in regions {
            let name = format!("{region:?}/{}", parameter.name);
            let of_ours = ours.parameter(&parameter.name, region);
            beside(kind, &name, Some(of_ours), Some(twin.parameter(&parameter.name, region)));
        }
    }
}

/// The naive device with activations and their gradients in bf16, and weights that are rounded where products read them.
struct Rounded(Naive);

impl Rounded {
    /// Rounds a span; returns what it was.
    fn round(&mut self, span: Span) -> Vec<f64> {
        let values = self.0.read_wide(span);
        let rounded: Vec<f64> = values.iter().map(|&value| bf16::from_f64(value).to_f64()).collect();
        self.0.write_wide(span, &rounded);
        values
    }
}

impl Wide for Rounded {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.0
    }

    fn run(&mut self, op: &Op) -> Result<(), Error> {
        let exact: Vec<(Span, Vec<f64>)> = weights(op).into_iter().map(|span| (span, self.round(span))).collect();
        Device::run(&mut self.0, op)?;
        exact.iter().for_each(|(span, values)| self.0.write_wide(*span, values));
        op.clone().visit(&mut |access, span| {
            if access == Access::Write && span.region == Region::Work {
                self.round(*span);
            }
        });
        Ok(())
    }

    fn read_wide(&self, span: Span) -> Vec<f64> {
        self.0.read_wide(span)
    }

    fn write_wide(&mut self, span: Span, values: &[f64]) {
        self.0.write_wide(span, values);
        if span.region == Region::Work {
            self.round(span);
        }
    }
}

/// The weights that products of an operation read.
fn weights(op: &Op) -> Vec<Span> {
    match op {
        Op::ConvForward(op) => op.towers.iter().flat_map(|tower| tower.weights.clone()).collect(),
        Op::FcForward(op) => op.towers.iter().flat_map(|tower| tower.weights.clone()).collect(),
        Op::ConvInputGrad(op) => op.sources.iter().flat_map(|source| source.weights.clone()).collect(),
        Op::FcInputGrad(op) => op.sources.iter().flat_map(|source| source.weights.clone()).collect(),
        _ => Vec::new(),
    }
}
