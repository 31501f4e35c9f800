//! Dropout: masks from Philox, four units at a time.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use crate::ops::{DropoutBackward, DropoutForward, DropoutShape, Span, Step};
use crate::philox;

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &DropoutForward, step: &Step, images: usize) {
    for (tower, operands) in op.towers.iter().enumerate() {
        mask(tools, memory, &op.shape, tower, operands.input, operands.output, step, images);
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &DropoutBackward, step: &Step, images: usize) {
    for (tower, operands) in op.towers.iter().enumerate() {
        mask(tools, memory, &op.shape, tower, operands.d_output, operands.d_input, step, images);
    }
}

/// Multiplies by mask and factor: value and gradient alike.
#[allow(clippy::too_many_arguments, reason = "the operands of two operations, spelled out once")]
fn mask(
    tools: &Tools,
    memory: &Memory,
    shape: &DropoutShape,
    tower: usize,
    source: Span,
    target: Span,
    step: &Step,
    images: usize,
) {
    let len = images * shape.units;
    if source != target {
        // SAFETY: the operation passed its check; the two do not overlap.
        let (source, target) = unsafe { (memory.slice(source, len), memory.slice_mut(target, len)) };
        target.copy_from_slice(source);
    }
    // SAFETY: the target is the only operand in use.
    let target = unsafe { memory.slice_mut(target, len) };
    let (factor, threshold, first) = (shape.factor(), shape.threshold(), (shape.first_tower + tower) * shape.units);
    let work = |(image, units): (usize, &mut [f32])| {
        let mut words = (u32::MAX, [0; 4]);
        for (index, value) in units.iter_mut().enumerate() {
            let unit = (first + index) as u32;
            if shape.training && words.0 != unit / 4 {
                let usage = philox::Use::Dropout as u32 + shape.layer;
                words = (unit / 4, philox::words(step.seed, step.epoch, step.ids[image], usage, unit / 4));
            }
            let keep = !shape.training || u64::from(words.1[(unit % 4) as usize]) < threshold;
            *value = if keep { *value * factor } else { 0.0 };
        }
    };
    tools.threads.install(|| target.par_chunks_exact_mut(shape.units).enumerate().for_each(work));
}
