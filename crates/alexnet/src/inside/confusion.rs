//! Which classes are taken for which.

use anyhow::Result;
use convnet::ops::Device;
use convnet::run::Outcome;
use dataset::Dataset;

use crate::console::Progress;
use crate::evaluate::{self, Classifier, Split};
use crate::skips::Skips;
use crate::training::error_of;

/// How often images of each class were taken for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `[true class, most probable class]`.
    pub counts: Vec<u32>,
}

/// A mistake: images of one class that were taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Their class.
    pub truth: usize,
    /// The one that was most probable.
    pub taken_for: usize,
    /// How many they are.
    pub count: u32,
}

impl Confusion {
    /// One without images.
    pub fn new(classes: &[String]) -> Confusion {
        Confusion { classes: classes.to_vec(), counts: vec![0; classes.len().pow(2)] }
    }

    /// Measures all validation images, by batches of `batch`, with `threads` that decode.
    ///
    /// # Errors
    /// Those of the device, or when too many images cannot be read.
    pub fn measure<D: Device>(
        classifier: &mut Classifier<D>,
        data: &Dataset,
        batch: usize,
        threads: usize,
    ) -> Result<(Confusion, Outcome)> {
        let mut confusion = Confusion::new(&data.classes);
        let split = Split { images: &data.val, side: data.side, batch, threads };
        let mut skips = Skips::new("validation", data.val.len());
        let progress = Progress::start("validation", data.val.len());
        let mut outcome = Outcome::default();
        evaluate::evaluate(classifier, &split, &mut skips, &mut |seen| {
            progress.set(seen.done, || error_of(seen.total));
            let rows = seen.probabilities.chunks(data.classes.len());
            for (row, &label) in rows.zip(&seen.batch.labels) {
                confusion.add(label as usize, evaluate::best(row).next().unwrap_or_default());
            }
            outcome = *seen.total;
            true
        })?;
        Ok((confusion, outcome))
    }

    /// Adds an image.
    pub fn add(&mut self, truth: usize, taken_for: usize) {
        self.counts[truth * self.classes.len() + taken_for] += 1;
    }

    /// What the images of a class were taken for.
    pub fn row(&self, truth: usize) -> &[u32] {
        &self.counts[truth * self.classes.len()..][..self.classes.len()]
    }

    /// The fraction of a class's images that were taken for others; none without images.
    pub fn error(&self, truth: usize) -> Option<f64> {
        let images: u32 = self.row(truth).iter().sum();
        (images > 0).then(|| 1.0 - f64::from(self.row(truth)[truth]) / f64::from(images))
    }

    /// The `count` most frequent mistakes, the most frequent first.
    pub fn mistakes(&self, count: usize) -> Vec<Mistake> {
        let classes = self.classes.len();
        let all = self.counts.iter().enumerate().map(|(place, &count)| Mistake {
            truth: place / classes,
            taken_for: place % classes,
            count,
        });
        let mut mistakes: Vec<Mistake> = all.filter(|it| it.truth != it.taken_for && it.count > 0).collect();
        mistakes.sort_by_key(|it| std::cmp::Reverse(it.count));
        mistakes.truncate(count);
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_sorted_and_errors_are_of_the_true_class() {
        let mut confusion = Confusion::new(&["a", "b", "c"].map(String::from));
        for (truth, taken_for) in [(0, 0), (0, 1), (0, 0), (0, 2), (1, 0), (1, 0)] {
            confusion.add(truth, taken_for);
        }
        assert_eq!(confusion.row(0), [2, 1, 1]);
        assert_eq!([0, 1, 2].map(|class| confusion.error(class)), [Some(0.5), Some(1.0), None]);
        let found: Vec<_> = confusion.mistakes(2).iter().map(|it| (it.truth, it.taken_for, it.count)).collect();
        assert_eq!(found, [(1, 0, 2), (0, 1, 1)]);
        assert_eq!(confusion.mistakes(9).len(), 3);
    }
}
