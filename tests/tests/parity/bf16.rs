//! A training step in bf16, beside an f64 twin that rounds where the device rounds.
//!
//! Rounding to 8 bits switches units and moves maxima, so in a small network the gradients of the lower layers are up to
//! a fifth off those of the file, whoever computes them. The file judges activations and the loss; the twin, whose units
//! switch as the device's do, judges gradients and parameters.

use convnet::Error;
use convnet::naive::Naive;
use convnet::ops::{Access, Device, Op, Region, Span};
use convnet::plan::Mode;
use half::bf16;

use crate::model::{Model, Wide};
use crate::reference::{Dropout, Expected, Reference};
use crate::report::{Kind, Numbers, Report};
use crate::{say, training};

/// One unit of as many may be switched by the order of sums, which rounding to bf16 makes a whole step of rounding.
const MOST_SWITCHED: usize = 100;

/// Compares activations, gradients and parameters of one step, and the losses of all; returns what is wrong.
pub(crate) fn compare<D: Wide>(reference: &Reference, rounding: Rounding, device: impl Fn() -> D) -> Vec<String> {
    let mut report = Report::new(&reference.name, &reference.meta, Numbers::Bf16);
    for (dropout, prefix) in [(Dropout::None, ""), (Dropout::Inverted, "drop/")] {
        let twin = Rounded { naive: Naive::new(), rounding };
        compare_step(reference, &mut report, dropout, prefix, (device(), twin));
    }
    training::compare_losses(reference, &mut report, &training::RUNS[0], device());
    conclude(report)
}

/// Compares activations and the loss of the first forward pass; returns what is wrong.
pub(crate) fn compare_forward<D: Wide>(reference: &Reference, device: D) -> Vec<String> {
    let mut report = Report::new(&reference.name, &reference.meta, Numbers::Bf16);
    let mut ours = Model::new(reference, Dropout::None, reference.meta.weight_decay, Mode::Inspect, device);
    ours.forward(0);
    compare_with_file(reference, &mut report, &ours, "");
    conclude(report)
}

fn conclude(report: Report<'_>) -> Vec<String> {
    say(&report.to_string());
    report.failures.iter().for_each(|failure| say(failure));
    report.failures
}

fn compare_with_file<D: Wide>(reference: &Reference, report: &mut Report, ours: &Model<D>, prefix: &str) {
    let mut check = |kind: Kind, name: &str, got: Option<Vec<f64>>| {
        let name = format!("{prefix}{name}");
        report.compare(kind, &name, got.as_deref(), reference.expected(&name));
    };
    check(Kind::Loss, "loss", Some(vec![ours.loss()]));
    for layer in reference.names(&format!("{prefix}act/")) {
        check(Kind::Activation, &format!("act/{layer}"), ours.activation(&layer));
    }
}

fn compare_step<D: Wide>(
    reference: &Reference,
    report: &mut Report,
    dropout: Dropout,
    prefix: &str,
    (device, twin): (D, Rounded),
) {
    let decay = reference.meta.weight_decay;
    let mut ours = Model::new(reference, dropout, decay, Mode::Inspect, device);
    let mut twin = Model::new(reference, dropout, decay, Mode::Inspect, twin);
    ours.forward(0);
    ours.backward(0);
    ours.update();
    twin.forward(0);
    twin.backward(0);
    twin.update();

    compare_with_file(reference, report, &ours, prefix);
    let (units, of_twin) = (ours.switches(), twin.switches());
    let switched = units.iter().zip(&of_twin).filter(|(ours, twin)| ours != twin).count();
    if switched > 0 {
        say(&format!(
            "{}.npz: {prefix}: sums in another order switched {switched} of {} units",
            reference.name,
            units.len()
        ));
    }
    if switched * MOST_SWITCHED > units.len() {
        report.failures.push(format!("{prefix}: {switched} of {} units differ from the twin", units.len()));
    }
    let kind = |kind| if switched > 0 { Kind::Switched } else { kind };
    let mut beside = |kind: Kind, name: &str, ours: Option<Vec<f64>>, twin: Option<Vec<f64>>| {
        let name = format!("{prefix}twin/{name}");
        report.compare(kind, &name, ours.as_deref(), twin.as_deref().map(Expected::All));
    };
    for layer in reference.names("gact/") {
        beside(kind(Kind::Gradient), &format!("gact/{layer}"), ours.gradient(&layer), twin.gradient(&layer));
    }
    let regions =
        [(Kind::Gradient, Region::Gradients), (Kind::Trained, Region::Weights), (Kind::Trained, Region::Momenta)];
    for parameter in &reference.meta.params {
        for (of_region, region) in regions {
            let name = format!("{region:?}/{}", parameter.name);
            let of_ours = ours.parameter(&parameter.name, region);
            beside(kind(of_region), &name, Some(of_ours), Some(twin.parameter(&parameter.name, region)));
        }
    }
}

/// What a device rounds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rounding {
    /// Activations and their gradients in memory, and weights where products read them: a GPU.
    Memory,
    /// Both factors where products read them: the processor.
    Factors,
}

/// The naive device, rounding as another does.
struct Rounded {
    naive: Naive,
    rounding: Rounding,
}

impl Rounded {
    /// Rounds a span; returns what it was.
    fn round(&mut self, span: Span) -> Vec<f64> {
        let values = self.naive.read_wide(span);
        let rounded: Vec<f64> = values.iter().map(|&value| bf16::from_f64(value).to_f64()).collect();
        self.naive.write_wide(span, &rounded);
        values
    }
}

impl Wide for Rounded {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.naive
    }

    fn run(&mut self, op: &Op) -> Result<(), Error> {
        let exact: Vec<(Span, Vec<f64>)> = factors(op).into_iter().map(|span| (span, self.round(span))).collect();
        Device::run(&mut self.naive, op)?;
        exact.iter().for_each(|(span, values)| self.naive.write_wide(*span, values));
        op.clone().visit(&mut |access, span| {
            if access == Access::Write && span.region == Region::Work && self.rounding == Rounding::Memory {
                self.round(*span);
            }
        });
        Ok(())
    }

    fn read_wide(&self, span: Span) -> Vec<f64> {
        self.naive.read_wide(span)
    }

    fn write_wide(&mut self, span: Span, values: &[f64]) {
        self.naive.write_wide(span, values);
        if span.region == Region::Work && self.rounding == Rounding::Memory {
            self.round(span);
        }
    }
}

/// What products of an operation read, but for a bias. Rounding what is in bf16 changes nothing.
fn factors(op: &Op) -> Vec<Span> {
    match op {
        Op::ConvForward(op) => {
            op.towers.iter().flat_map(|tower| [&tower.inputs[..], &tower.weights].concat()).collect()
        }
        Op::FcForward(op) => op.towers.iter().flat_map(|tower| [&tower.inputs[..], &tower.weights].concat()).collect(),
        Op::ConvInputGrad(op) => {
            op.sources.iter().flat_map(|source| [&source.d_outputs[..], &source.weights].concat()).collect()
        }
        Op::FcInputGrad(op) => {
            op.sources.iter().flat_map(|source| [&source.d_outputs[..], &source.weights].concat()).collect()
        }
        Op::ConvWeightGrad(op) => {
            op.towers.iter().flat_map(|tower| [&tower.inputs[..], &[tower.d_output]].concat()).collect()
        }
        Op::FcWeightGrad(op) => {
            op.towers.iter().flat_map(|tower| [&tower.inputs[..], &[tower.d_output]].concat()).collect()
        }
        _ => Vec::new(),
    }
}
