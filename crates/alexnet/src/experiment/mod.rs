//! The paper's controlled experiments: one setting of a net is changed, everything else stays, several seeds.
//!
//! An experiment is a set of ordinary runs ([`Job`]), two arms of one net (`change`), and what is made of their
//! histories ([`summary`]). [`search`] chooses the learning rates of `relu-vs-tanh`; [`estimate`] says how long it
//! will take. Results are kept after each run ([`results`]), so that a killed experiment goes on.

mod change;
pub mod estimate;
pub mod results;
pub mod search;
pub mod summary;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::checkpoint::EpochRecord;

/// The training error of figure 1 that an arm of `relu-vs-tanh` has to reach.
pub const GOAL: f64 = 0.25;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// ReLU against tanh: epochs to 25 % training error (section 3.1, figure 1)
    ReluVsTanh,
    /// With and without response normalisation (section 3.3)
    Lrn,
    /// Pooling windows that overlap against windows that do not (section 3.4)
    Overlap,
    /// With and without dropout (section 4.2)
    Dropout,
    /// With and without colour noise (section 4.1)
    ColourNoise,
    /// With and without random crops and mirror images (section 4.1)
    Crops,
    /// Two towers against one with half as many filters (section 3.2)
    Towers,
}

/// What the paper says about an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// What the second arm's top-1 and top-5 error are above the first arm's, in percent points.
    pub differences: [&'static str; 2],
    /// Where and on what it was measured.
    pub source: &'static str,
}

impl Experiment {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Experiment::ReluVsTanh => "relu-vs-tanh",
            Experiment::Lrn => "lrn",
            Experiment::Overlap => "overlap",
            Experiment::Dropout => "dropout",
            Experiment::ColourNoise => "colour-noise",
            Experiment::Crops => "crops",
            Experiment::Towers => "towers",
        }
    }

    /// The names of its arms: the net as it is, and the changed one.
    pub fn arms(self) -> [&'static str; 2] {
        match self {
            Experiment::ReluVsTanh => ["relu", "tanh"],
            Experiment::Lrn => ["lrn", "no-lrn"],
            Experiment::Overlap => ["overlap", "no-overlap"],
            Experiment::Dropout => ["dropout", "no-dropout"],
            Experiment::ColourNoise => ["colour-noise", "no-colour-noise"],
            Experiment::Crops => ["crops", "no-crops"],
            Experiment::Towers => ["two-towers", "one-tower"],
        }
    }

    /// The nets of its arms as TOML, made of `source`, which messages call `origin`.
    ///
    /// # Errors
    /// When `source` is no valid net, or has not what the experiment takes away.
    pub fn nets(self, source: &str, origin: &str) -> Result<[String; 2]> {
        Ok([source.to_string(), change::changed(self, source, origin)?])
    }

    /// What the paper says.
    pub fn claim(self) -> Claim {
        let claim = |differences, source| Claim { differences, source };
        match self {
            Experiment::ReluVsTanh => claim(["", ""], "figure 1, CIFAR-10: ReLU is six times faster"),
            Experiment::Lrn => claim(["+1.4", "+1.2"], "section 3.3, ImageNet; on CIFAR-10 13 % without, 11 % with"),
            Experiment::Overlap => claim(["+0.4", "+0.3"], "section 3.4, ImageNet"),
            Experiment::Dropout => {
                claim(["", ""], "section 4.2: substantial overfitting without, twice the epochs with")
            }
            Experiment::ColourNoise => claim(["over +1", ""], "section 4.1, ImageNet"),
            Experiment::Crops => claim(["", ""], "section 4.1: substantial overfitting without"),
            Experiment::Towers => claim(["+1.7", "+1.2"], "section 3.2, ImageNet"),
        }
    }
}

/// One run of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name of its arm.
    pub arm: String,
    /// Whether it looks for a learning rate.
    pub search: bool,
    /// The learning rate; none for the net's.
    pub rate: Option<f64>,
    /// The seed.
    pub seed: u64,
    /// The epochs that it has at most.
    pub epochs: usize,
}

impl Job {
    /// A name that no other run of the experiment has.
    pub fn name(&self) -> String {
        let Job { arm, search, rate, seed, .. } = self;
        match rate {
            Some(rate) if *search => format!("search-{arm}-rate-{rate}"),
            _ => format!("{arm}-seed-{seed}"),
        }
    }
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// What it was.
    pub job: Job,
    /// Its epochs.
    pub history: Vec<EpochRecord>,
    /// Whether it ended because its loss was not finite.
    pub diverged: bool,
}

/// The epochs until the training error falls to `goal`; a line between the epochs, which begins with guessing at 0.
pub fn epochs_to(goal: f64, history: &[EpochRecord], classes: usize) -> Option<f64> {
    let mut before = 1.0 - 1.0 / classes as f64;
    for (epoch, record) in history.iter().enumerate() {
        let error = record.train_top1;
        if error <= goal {
            let part = if before > error { ((before - goal) / (before - error)).max(0.0) } else { 1.0 };
            return Some(epoch as f64 + part);
        }
        before = error;
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn history(errors: &[f64]) -> Vec<EpochRecord> {
        let record = |&error: &f64| EpochRecord {
            train_loss: error,
            train_top1: error,
            val_loss: error,
            val_top1: error,
            val_top5: error / 2.0,
            rate: 0.01,
        };
        errors.iter().map(record).collect()
    }

    #[test]
    fn the_way_to_the_goal_is_a_line_between_epochs() {
        let to = |errors: &[f64]| epochs_to(0.25, &history(errors), 10);
        assert_eq!(to(&[0.6, 0.35, 0.15]), Some(2.5));
        assert_eq!(to(&[0.6, 0.25]), Some(2.0));
        assert_eq!(to(&[0.9, 0.8]), None);
        // From 90 %, which guessing gives.
        assert!((to(&[0.1]).unwrap() - 0.65 / 0.8).abs() < 1e-12);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for experiment in Experiment::value_variants() {
            assert_eq!(experiment.to_possible_value().unwrap().get_name(), experiment.name());
            assert_eq!(serde_json::to_value(experiment).unwrap(), experiment.name());
        }
    }
}
