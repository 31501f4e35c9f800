//! What a network says about images: the one way through for validation, `eval`, `predict` and pictures.

use std::sync::Arc;

use anyhow::{Result, bail};
use convnet::augment::{Sampler, View};
use convnet::ops::{Device, Step};
use convnet::run::{Network, Outcome};
use dataset::{Batch, Images, Loader};

use crate::device::AHEAD;
use crate::skips::Skips;

/// A network with the views that it takes of each image.
pub struct Classifier<'a, D> {
    network: &'a mut Network<D>,
    sampler: &'a Sampler,
    views: Vec<View>,
    step: Step,
}

/// What a network says about some images.
#[derive(Clone, Debug)]
pub struct Classified {
    /// Losses and hits.
    pub outcome: Outcome,
    /// `[images, classes]`, averaged over the views.
    pub probabilities: Vec<f32>,
}

impl<'a, D: Device> Classifier<'a, D> {
    /// Takes 1 view, the centre, or the paper's 10.
    pub fn new(network: &'a mut Network<D>, sampler: &'a Sampler, crops: usize) -> Self {
        Classifier { network, sampler, views: View::of(crops), step: Step::default() }
    }

    /// Classifies images `[n, side, side, 3]`, at most a batch of them.
    ///
    /// # Errors
    /// Those of the device.
    pub fn classify(&mut self, rgb: &[u8], labels: &[u32]) -> Result<Classified> {
        let images = labels.len();
        let mut outcome = Outcome::default();
        let mut sums = Vec::new();
        for view in &self.views {
            let step = &mut self.step;
            step.rgb.clear();
            step.rgb.extend_from_slice(rgb);
            step.labels.clear();
            step.labels.extend_from_slice(labels);
            step.ids.clear();
            step.ids.resize(images, 0);
            step.draws = self.sampler.view(*view, images);
            outcome = self.network.infer(step)?;
            let probabilities = self.network.probabilities(images)?;
            sums.resize(probabilities.len(), 0.0);
            sums.iter_mut().zip(&probabilities).for_each(|(sum, &probability)| *sum += f64::from(probability));
        }
        if self.views.len() > 1 {
            sums.iter_mut().for_each(|sum| *sum /= self.views.len() as f64);
            outcome = measure(&sums, labels);
        }
        Ok(Classified { outcome, probabilities: sums.iter().map(|&sum| sum as f32).collect() })
    }
}

/// Losses and hits of averaged probabilities; of equal ones the lower class comes first, as on a device.
pub(crate) fn measure(probabilities: &[f64], labels: &[u32]) -> Outcome {
    let mut outcome = Outcome::default();
    for (row, &label) in probabilities.chunks(probabilities.len() / labels.len()).zip(labels) {
        let label = label as usize;
        let before = |(class, value): &(usize, &f64)| value.total_cmp(&row[label]).then(label.cmp(class)).is_gt();
        let rank = row.iter().enumerate().filter(before).count();
        outcome.add(Outcome {
            images: 1,
            loss: -row[label].max(f64::MIN_POSITIVE).ln(),
            top1: usize::from(rank < 1),
            top5: usize::from(rank < 5),
        });
    }
    outcome
}

/// Images to measure a network on.
pub struct Split<'a> {
    /// The images.
    pub images: &'a Arc<dyn Images>,
    /// Their side.
    pub side: usize,
    /// Images at a time.
    pub batch: usize,
    /// Threads that decode.
    pub threads: usize,
}

/// How far a measurement is.
pub struct Seen<'a> {
    /// Images done, those included that could not be read.
    pub done: usize,
    /// Results so far.
    pub total: &'a Outcome,
    /// The images that were done last.
    pub batch: &'a Batch,
    /// What the network says about them, `[images, classes]`.
    pub probabilities: &'a [f32],
}

/// Measures a network. `see` is told after each batch; when it says false, the result is none.
///
/// # Errors
/// Those of the device, or when too many images cannot be read.
pub fn evaluate<D: Device>(
    classifier: &mut Classifier<D>,
    split: &Split,
    skips: &mut Skips,
    see: &mut dyn FnMut(&Seen) -> bool,
) -> Result<Option<Outcome>> {
    let order = (0..split.images.len() as u32).collect();
    let mut loader = Loader::start(Arc::clone(split.images), split.side, order, split.batch, split.threads, AHEAD);
    let mut total = Outcome::default();
    let mut done = 0;
    while let Some(batch) = loader.next() {
        skips.add(&batch.skipped)?;
        let mut probabilities = Vec::new();
        if !batch.is_empty() {
            let classified = classifier.classify(&batch.rgb, &batch.labels)?;
            total.add(classified.outcome);
            probabilities = classified.probabilities;
        }
        done += batch.len() + batch.skipped.len();
        let go_on = see(&Seen { done, total: &total, batch: &batch, probabilities: &probabilities });
        loader.recycle(batch);
        if !go_on {
            return Ok(None);
        }
    }
    if total.images == 0 {
        bail!("none of the {done} validation images could be read");
    }
    Ok(Some(total))
}

/// The `count` most probable classes of one image with their probabilities, the most probable first.
pub fn top(probabilities: &[f32], classes: &[String], count: usize) -> Vec<(String, f32)> {
    best(probabilities).take(count).map(|class| (classes[class].clone(), probabilities[class])).collect()
}

/// The classes of one image, the most probable first.
pub fn best(probabilities: &[f32]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
    order.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averaged_probabilities_are_ranked_as_on_a_device() {
        let row = [0.1, 0.3, 0.3, 0.05, 0.05, 0.05, 0.15];
        let hits = |label| {
            let outcome = measure(&row, &[label]);
            (outcome.top1, outcome.top5)
        };
        assert_eq!([1, 2, 3, 4, 6].map(hits), [(1, 1), (0, 1), (0, 1), (0, 0), (0, 1)]);
        assert!((measure(&row, &[1]).loss + 0.3_f64.ln()).abs() < 1e-12);
        assert!(measure(&[0.0, 1.0], &[0]).loss.is_finite());
    }

    #[test]
    fn the_most_probable_come_first() {
        let classes = ["a", "b", "c"].map(str::to_string);
        let best = top(&[0.2, 0.4, 0.4], &classes, 2);
        assert_eq!(best, [("b".to_string(), 0.4), ("c".to_string(), 0.4)]);
    }
}
