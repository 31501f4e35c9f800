//! Notices a loss that stays where guessing puts it: the most reported failure of AlexNet re-implementations.

use std::fmt::Write;

use convnet::run::Signal;

/// How close to the loss of a guess counts as stuck.
const TOLERANCE: f64 = 0.02;
/// Steps whose losses are averaged.
const WINDOW: usize = 50;
/// Steps that a loss may be stuck for.
const PATIENCE: usize = 500;

/// Watches the training loss.
#[derive(Clone, Debug)]
pub(super) struct StallWatch {
    /// The loss of somebody who knows only how frequent each class is: ln(classes) when all are equally frequent.
    guess: f64,
    window: usize,
    patience: usize,
    sum: f64,
    summed: usize,
    stuck: usize,
    warned: bool,
}

impl StallWatch {
    /// A watch for images with these labels, in epochs of `epoch_steps` steps: it barks after 500 steps or two epochs.
    pub(super) fn new(labels: impl Iterator<Item = u32>, epoch_steps: usize) -> StallWatch {
        let mut counts: Vec<usize> = Vec::new();
        for label in labels {
            let label = label as usize;
            if counts.len() <= label {
                counts.resize(label + 1, 0);
            }
            counts[label] += 1;
        }
        let total = counts.iter().sum::<usize>() as f64;
        let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
        let patience = PATIENCE.min(2 * epoch_steps);
        StallWatch {
            guess: shares.map(|share| -share * share.ln()).sum(),
            window: WINDOW.min(patience),
            patience,
            sum: 0.0,
            summed: 0,
            stuck: 0,
            warned: false,
        }
    }

    /// Takes the mean loss of a step; true once, when the loss has been stuck for long enough.
    pub(super) fn step(&mut self, loss: f64) -> bool {
        self.sum += loss;
        self.summed += 1;
        if self.summed < self.window {
            return false;
        }
        let mean = self.sum / self.summed as f64;
        self.stuck = if (mean - self.guess).abs() <= TOLERANCE { self.stuck + self.summed } else { 0 };
        (self.sum, self.summed) = (0.0, 0);
        let barks = self.stuck >= self.patience && !self.warned;
        self.warned |= barks;
        barks
    }

    /// What to tell people.
    pub(super) fn advice(&self, signals: &[Signal]) -> String {
        let mut text = format!(
            "the loss has been at {:.3}, that of a guess, for {} steps: the net is not learning.\n\
             Strength of each layer's signal, and of its part that tells images apart:\n",
            self.guess, self.stuck
        );
        for Signal { layer, rms, between_images } in signals {
            let _ = writeln!(text, "  {layer:<12} rms {rms:>10.3e}  between images {between_images:>10.3e}");
        }
        text.push_str(
            "A signal that fades from layer to layer asks for larger init_std (the 2012 code has 0.03 in conv3 to conv5\n\
             where the text has 0.01; small nets want 0.05) or for biases of 1 behind ReLUs. One that grows, or is\n\
             exactly 0 behind a ReLU, asks for a lower --lr or smaller init_std. Dropout with scale = \"train\" makes the\n\
             first steps explode where scale = \"test\" (2012) does not. Some runs leave the plateau by themselves.",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced(classes: u32) -> impl Iterator<Item = u32> {
        (0..classes * 3).map(move |i| i % classes)
    }

    fn barks(watch: &mut StallWatch, losses: impl Iterator<Item = f64>) -> Vec<usize> {
        losses.enumerate().filter_map(|(step, loss)| watch.step(loss).then_some(step + 1)).collect()
    }

    #[test]
    fn a_stuck_loss_is_noticed_once() {
        let mut watch = StallWatch::new(balanced(1000), 10_000);
        let noisy = (0..2000).map(|step| 1000_f64.ln() + if step % 2 == 0 { 0.3 } else { -0.29 });
        assert_eq!(barks(&mut watch, noisy), [500]);
    }

    #[test]
    fn short_epochs_are_waited_for_twice() {
        let mut watch = StallWatch::new(balanced(10), 30);
        assert_eq!(barks(&mut watch, std::iter::repeat_n(10_f64.ln(), 300)), [100]);
    }

    #[test]
    fn a_falling_loss_is_none() {
        let mut watch = StallWatch::new(balanced(10), 1000);
        assert!(barks(&mut watch, (0..2000).map(|step| 2.3 - 0.0005 * f64::from(step))).is_empty());
    }

    #[test]
    fn a_guess_knows_how_frequent_classes_are() {
        let watch = StallWatch::new([0, 0, 0, 1].into_iter(), 10);
        assert!((watch.guess - (4_f64.ln() - 0.75 * 3_f64.ln())).abs() < 1e-12);
    }
}
