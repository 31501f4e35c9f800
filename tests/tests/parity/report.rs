//! Comparing, limits, and what is said about them.

use std::collections::BTreeMap;
use std::fmt;

use crate::reference::{Expected, Meta};

/// What a device computes in, which decides how near it must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    F64,
    F32,
    /// Activations and their gradients in bf16, the rest in f32.
    Bf16,
}

/// The kinds of quantities that have a limit of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Input,
    Activation,
    Gradient,
    Loss,
    Trained,
    /// After training in which rounding switched a unit.
    Switched,
}

pub(crate) struct Report<'a> {
    file: &'a str,
    meta: &'a Meta,
    numbers: Numbers,
    /// Whether every setting of the file is exact in f32, as our settings are.
    exact: bool,
    compared: usize,
    worst: BTreeMap<Kind, (f64, String)>,
    pub(crate) failures: Vec<String>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, meta: &'a Meta, numbers: Numbers) -> Report<'a> {
        let settings =
            [meta.lr, meta.momentum, meta.weight_decay, meta.weight_decay_wd_run, meta.lrn.alpha, meta.lrn.beta];
        let exact = settings.iter().all(|&setting| f64::from(setting as f32) == setting);
        Report { file, meta, numbers, exact, compared: 0, worst: BTreeMap::new(), failures: Vec::new() }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Relative L2 errors that are allowed.
    ///
    /// f64: rounding alone where the file's settings are exact in f32. Otherwise our alpha, rate, momentum and decay are
    /// up to 3e-8 off, which twenty steps amplify.
    ///
    /// f32: 2e-6 for activations and 1e-5 for gradients; PyTorch's own f32 reaches 5e-7 and 1e-6. What training has
    /// amplified may be eight times as far off as PyTorch's f32 is, since another order of sums is another sample of
    /// the same chaos, and a gradient's limit is always allowed.
    fn limit(&self, kind: Kind, name: &str) -> f64 {
        let torch = || self.meta.f32_vs_f64_rel.get(name).copied().unwrap_or(0.0);
        match (self.numbers, kind) {
            // Whole arrays are equal; a norm is a sum of up to 38 million terms, one after the other.
            (_, Kind::Input) => 1e-11,
            (Numbers::Bf16, Kind::Switched) => 0.2,
            (_, Kind::Switched) => 0.1,
            (Numbers::Bf16, _) => 2e-2,
            (Numbers::F64, Kind::Trained) if self.exact => 1e-11,
            (Numbers::F64, _) if self.exact => 1e-12,
            (Numbers::F64, Kind::Trained | Kind::Loss) => 1e-5,
            (Numbers::F64, _) => 2e-7,
            (Numbers::F32, Kind::Gradient) if near_tie(self.file, name) => f64::max(1e-5, 4.0 * torch()),
            (Numbers::F32, Kind::Activation | Kind::Loss) => 2e-6,
            (Numbers::F32, Kind::Gradient) => 1e-5,
            (Numbers::F32, Kind::Trained) => f64::max(1e-5, 8.0 * self.torch_trained(name)),
        }
    }

    /// The largest distance of PyTorch's f32 for what belongs to the same moment as `name` (`v20/conv1.w`): where one
    /// tensor has met chaos the others have, too, though not at the same place.
    fn torch_trained(&self, name: &str) -> f64 {
        let moment = name.split_once('/').map_or(name, |(moment, _)| moment);
        let same = self
            .meta
            .f32_vs_f64_rel
            .iter()
            .filter(|(other, _)| other.split_once('/').is_some_and(|(other, _)| other == moment));
        same.map(|(_, &distance)| distance).fold(0.0, f64::max)
    }

    pub(crate) fn compare(&mut self, kind: Kind, name: &str, got: Option<&[f64]>, expected: Option<Expected>) {
        match (got, expected) {
            (Some(got), Some(expected)) => {
                let (error, place) = distance(got, &expected);
                self.judge(kind, name, error, self.limit(kind, name), &place);
            }
            (None, _) => self.failures.push(format!("{name}: the network has no such tensor")),
            (_, None) => self.failures.push(format!("{name}: not in the file")),
        }
    }

    /// The losses of a trajectory, each by itself. `torch` is how far PyTorch's f32 was off in each step. In f32 a step
    /// may be eight times as far off as that was up to two steps later: chaos grows by a factor a step, and may start
    /// earlier. After the step in which rounding switched a unit it may be off by 1e-3. In bf16 chaos is large from the
    /// first steps on: PyTorch's own (autocast) leaves the mini references by up to 0.21 in twenty steps, and float64
    /// itself by up to 0.38 when its first weights are rounded to bf16. A step may then be off by half of what the run's
    /// loss falls.
    pub(crate) fn compare_losses(
        &mut self,
        name: &str,
        got: &[f64],
        expected: Option<&[f64]>,
        torch: &[f64],
        switched: Option<usize>,
    ) {
        let whole = expected.unwrap_or_default();
        if got.len() != whole.len() || got.len() != torch.len() {
            let (f64s, f32s) = (whole.len(), torch.len());
            self.failures.push(format!("{name}: {} losses; the file has {f64s} in f64, {f32s} in f32", got.len()));
            return;
        }
        for (step, (got, expected)) in got.iter().zip(whole).enumerate() {
            let limit = self.limit(Kind::Loss, name);
            let limit = match self.numbers {
                Numbers::F32 if switched.is_some_and(|switched| step > switched) => 1e-3,
                Numbers::F32 => torch.iter().take(step + 3).fold(limit, |limit, off| limit.max(8.0 * off)),
                Numbers::Bf16 if step > 0 => 0.5 * (whole[0] - whole[whole.len() - 1]) / expected,
                Numbers::F64 | Numbers::Bf16 => limit,
            };
            let place = format!("{got} for {expected}");
            self.judge(Kind::Loss, &format!("{name} step {step}"), ((got - expected) / expected).abs(), limit, &place);
        }
    }

    fn judge(&mut self, kind: Kind, name: &str, error: f64, limit: f64, place: &str) {
        self.compared += 1;
        // Not `error > limit`: a NaN fails.
        if error <= limit {
            let worst = self.worst.entry(kind).or_default();
            if error >= worst.0 {
                *worst = (error, name.to_string());
            }
        } else {
            self.failures.push(format!("{name}: off by {error:.1e}, allowed {limit:.1e}; {place}"));
        }
    }
}

/// In `full_lrn1` two numbers of a window of pool2 differ by less than f32 can tell (see that reference's README), so a
/// right f32 program may send one gradient to the neighbour: PyTorch's own f32 does. It changes the gradients of all
/// that lies before pool2, by 3e-3.
fn near_tie(file: &str, name: &str) -> bool {
    let layers = ["lrn2", "relu2", "conv2", "pool1", "lrn1", "relu1", "conv1", "gx"];
    file == "full_lrn1" && layers.iter().any(|layer| name.contains(layer))
}

/// The relative L2 distance, and where the largest difference is. For a summary the largest of: the distance of the
/// values that it has, and the differences of norm, sum of magnitudes and sum.
fn distance(got: &[f64], expected: &Expected) -> (f64, String) {
    match *expected {
        Expected::All(expected) if expected.len() == got.len() => {
            let (norm, off) = (norm(expected.iter().copied()), norm(got.iter().zip(expected).map(|(a, b)| a - b)));
            let worst = (0..got.len()).max_by(|&i, &j| {
                let off = |i: usize| (got[i] - expected[i]).abs();
                off(i).total_cmp(&off(j))
            });
            let place = worst.map_or(String::new(), |i| format!("{} for {} at {i}", got[i], expected[i]));
            (ratio(off, norm), place)
        }
        Expected::Summary { stat: [sum, magnitudes, whole_norm, count], idx, val } if count as usize == got.len() => {
            let differences = idx.iter().zip(val).map(|(&i, value)| got[i as usize] - value);
            // Samples of a mostly small tensor are measured against what samples are on average.
            let average = whole_norm * (val.len() as f64 / count).sqrt();
            let sampled = ratio(norm(differences), norm(val.iter().copied()).max(average));
            let our_sum = got.iter().sum::<f64>();
            let our_magnitudes = got.iter().map(|value| value.abs()).sum::<f64>();
            let parts = [
                ("samples", sampled),
                ("norm", ratio(norm(got.iter().copied()) - whole_norm, whole_norm)),
                ("sum of magnitudes", ratio(our_magnitudes - magnitudes, magnitudes)),
                ("sum", ratio(our_sum - sum, magnitudes)),
            ];
            let worst = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("nothing", f64::NAN));
            (worst.1, worst.0.to_string())
        }
        _ => (f64::INFINITY, format!("{} numbers", got.len())),
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn ratio(difference: f64, of: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { (difference / of).abs() }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.npz in {:?}: {} quantities", self.file, self.numbers, self.compared)?;
        for (kind, (error, name)) in &self.worst {
            write!(f, "; {kind:?} {error:.1e} ({name})")?;
        }
        if self.failures.is_empty() { Ok(()) } else { write!(f, "; {} FAILED", self.failures.len()) }
    }
}
