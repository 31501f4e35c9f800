//! Softmax with cross-entropy; sums in f64, as there are few of them.

use super::memory::Memory;
use crate::ops::{SoftmaxBackward, SoftmaxForward, Step};

pub(super) fn forward(memory: &Memory, op: &SoftmaxForward, step: &Step, images: usize) {
    let classes = op.classes;
    // SAFETY: the operation passed its check; outputs overlap no other operand.
    let (logits, probabilities, losses, ranks) = unsafe {
        (
            memory.slice(op.logits, images * classes),
            memory.slice_mut(op.probabilities, images * classes),
            memory.slice_mut(op.losses, images),
            memory.slice_mut(op.ranks, images),
        )
    };
    for (image, row) in logits.chunks_exact(classes).enumerate() {
        let label = step.labels[image] as usize;
        let max = row.iter().fold(f32::NEG_INFINITY, |max, &z| if z > max { z } else { max });
        let exponential = |z: f32| (f64::from(z) - f64::from(max)).exp();
        let sum: f64 = row.iter().map(|&z| exponential(z)).sum();
        let targets = &mut probabilities[image * classes..][..classes];
        targets.iter_mut().zip(row).for_each(|(p, &z)| *p = (exponential(z) / sum) as f32);
        losses[image] = (sum.ln() + f64::from(max) - f64::from(row[label])) as f32;
        let score = row[label];
        let before = |(class, &z): (usize, &f32)| z > score || (z == score && class < label);
        let broken = row.iter().any(|z| z.is_nan());
        let rank = if broken { classes } else { row.iter().enumerate().filter(|&entry| before(entry)).count() };
        ranks[image] = rank as f32;
    }
}

pub(super) fn backward(memory: &Memory, op: &SoftmaxBackward, step: &Step, images: usize) {
    let classes = op.classes;
    // SAFETY: the operation passed its check; the gradient overlaps no other operand.
    let (probabilities, d_logits) =
        unsafe { (memory.slice(op.probabilities, images * classes), memory.slice_mut(op.d_logits, images * classes)) };
    let count = images as f32;
    for (image, row) in probabilities.chunks_exact(classes).enumerate() {
        let target = &mut d_logits[image * classes..][..classes];
        target.iter_mut().zip(row).for_each(|(d, p)| *d = p / count);
        if let Some(label) = target.get_mut(step.labels[image] as usize) {
            *label = (row[step.labels[image] as usize] - 1.0) / count;
        }
    }
}
