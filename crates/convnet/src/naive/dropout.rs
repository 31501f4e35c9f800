//! Dropout: forward pass and gradient are the same multiplication.

use crate::ops::{DropoutShape, Step};
use crate::philox::dropout_word;

/// Units multiplied by 0 where dropped, by the factor where kept.
pub(super) fn mask(shape: &DropoutShape, step: &Step, tower: usize, input: &[f64]) -> Vec<f64> {
    let mut output = Vec::new();
    for (image, &id) in input.chunks(shape.units).zip(&step.ids) {
        for (u, x) in image.iter().enumerate() {
            let unit = ((shape.first_tower + tower) * shape.units + u) as u32;
            let word = dropout_word(step.seed, step.epoch, id, shape.layer, unit);
            let kept = !shape.training || u64::from(word) < shape.threshold();
            output.push(if kept { x * f64::from(shape.factor()) } else { 0.0 });
        }
    }
    output
}
