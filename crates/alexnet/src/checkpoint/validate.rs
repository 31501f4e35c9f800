//! What a state cannot be, whoever wrote it.

use std::ops::RangeInclusive;

use super::State;

/// The most images of a step.
pub const MAX_BATCH: usize = 1 << 16;
/// The most epochs of a run.
pub const MAX_EPOCHS: usize = 1_000_000;
const MAX_CLASSES: usize = 1 << 16;

impl State {
    /// Says what no run can have, so that whatever reads a checkpoint can count on the rest.
    pub(super) fn validate(&self) -> Result<(), String> {
        let State { classes, data, settings, position, history, .. } = self;
        within("classes", classes.len(), 2..=MAX_CLASSES)?;
        within("training images", data.train, 1..=u32::MAX as usize)?;
        within("batch", settings.batch, 1..=MAX_BATCH)?;
        within("epochs", settings.epochs, 1..=MAX_EPOCHS)?;
        if let Some(rate) = settings.rate
            && !(rate.is_finite() && rate > 0.0)
        {
            return Err(format!("its rate is {rate}"));
        }
        if position.epoch != history.len() {
            return Err(format!("it is in epoch {} with {} behind it", position.epoch + 1, history.len()));
        }
        let epoch_steps = data.train.div_ceil(settings.batch);
        within("steps of the epoch", position.step, 0..=epoch_steps)?;
        // No overflow: there is a record of every epoch in memory.
        let steps = position.epoch as u128 * epoch_steps as u128 + position.step as u128;
        if position.steps as u128 != steps {
            return Err(format!("it has {} steps, {steps} by its epochs", position.steps));
        }
        let sums = &position.sums;
        let seen = (position.step * settings.batch).min(data.train);
        within("images of the epoch", sums.images, 0..=seen)?;
        within("hits", sums.top1, 0..=sums.images)?;
        within("top-5 hits", sums.top5, sums.top1..=sums.images)?;
        if u128::from(position.images) < sums.images as u128
            || u128::from(position.images) > steps * settings.batch as u128
        {
            return Err(format!("it has seen {} images in {steps} steps", position.images));
        }
        if !sums.loss.is_finite() {
            return Err("the loss of its epoch is not finite".to_string());
        }
        for (index, record) in history.iter().enumerate() {
            let errors = [record.train_top1, record.val_top1, record.val_top5];
            let are_fractions = errors.iter().all(|error| (0.0..=1.0).contains(error));
            let are_finite = [record.train_loss, record.val_loss, record.rate].iter().all(|number| number.is_finite());
            if !are_fractions || !are_finite || record.rate < 0.0 {
                return Err(format!("its results of epoch {} are none", index + 1));
            }
        }
        Ok(())
    }
}

fn within(what: &str, number: usize, range: RangeInclusive<usize>) -> Result<(), String> {
    match range.contains(&number) {
        true => Ok(()),
        false => Err(format!("its {what} are {number}, expected {} to {}", range.start(), range.end())),
    }
}
