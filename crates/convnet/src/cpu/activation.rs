//! ReLU and tanh, in place or not.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use crate::Error;
use crate::ops::{Activation, ActivationBackward, ActivationForward, Operation};

/// Floats of a task: a few passes through the first cache.
pub(super) const CHUNK: usize = 1 << 15;

/// Applies an activation, if any.
#[inline(always)]
pub(super) fn apply(activation: Option<Activation>, values: &mut [f32]) {
    match activation {
        None => {}
        // A NaN stays: hiding it would hide a broken run.
        Some(Activation::Relu) => {
            values.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value });
        }
        Some(Activation::Tanh { a, b }) => values.iter_mut().for_each(|value| *value = a * (b * *value).tanh()),
    }
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &ActivationForward, images: usize) {
    let len = images * op.shape.len;
    for tower in &op.towers {
        if tower.input != tower.output {
            // SAFETY: the operation passed its check; the two do not overlap.
            let (input, output) = unsafe { (memory.slice(tower.input, len), memory.slice_mut(tower.output, len)) };
            output.copy_from_slice(input);
        }
        // SAFETY: the output is the only operand in use.
        let output = unsafe { memory.slice_mut(tower.output, len) };
        let work = |chunk: &mut [f32]| {
            tools.vectorise(
                #[inline(always)]
                || apply(Some(op.shape.activation), chunk),
            )
        };
        tools.threads.install(|| output.par_chunks_mut(CHUNK).for_each(work));
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &ActivationBackward, images: usize) -> Result<(), Error> {
    let len = images * op.shape.len;
    for tower in &op.towers {
        let saved = tower.saved(ActivationBackward::NAME)?;
        if tower.d_output != tower.d_input {
            // SAFETY: the operation passed its check; the two do not overlap.
            let (source, target) = unsafe { (memory.slice(tower.d_output, len), memory.slice_mut(tower.d_input, len)) };
            target.copy_from_slice(source);
        }
        // SAFETY: the saved output overlaps no written operand.
        let (output, gradient) = unsafe { (memory.slice(saved, len), memory.slice_mut(tower.d_input, len)) };
        let work = |(gradient, output): (&mut [f32], &[f32])| {
            tools.vectorise(
                #[inline(always)]
                || match op.shape.activation {
                    Activation::Relu => {
                        gradient.iter_mut().zip(output).for_each(|(d, &y)| *d = if y > 0.0 { *d } else { 0.0 });
                    }
                    Activation::Tanh { a, b } => {
                        gradient.iter_mut().zip(output).for_each(|(d, &y)| *d *= b * (a - y * y / a));
                    }
                },
            );
        };
        tools.threads.install(|| gradient.par_chunks_mut(CHUNK).zip(output.par_chunks(CHUNK)).for_each(work));
    }
    Ok(())
}
