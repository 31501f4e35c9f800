//! The momentum update: one pass over weights, velocity and gradient.

use rayon::prelude::*;

use super::Tools;
use super::activation::CHUNK;
use super::memory::Memory;
use crate::ops::Update;

pub(super) fn update(tools: &Tools, memory: &Memory, op: &Update, rate: f32) {
    let len = op.weights.len;
    // SAFETY: the operation passed its check; weights and velocity overlap no other operand.
    let (weights, velocity, gradient) = unsafe {
        (memory.slice_mut(op.weights, len), memory.slice_mut(op.velocity, len), memory.slice(op.gradient, len))
    };
    let (momentum, shrink) = (op.momentum, op.decay * rate);
    let work = |((weights, velocity), gradient): ((&mut [f32], &mut [f32]), &[f32])| {
        tools.vectorise(
            #[inline(always)]
            || {
                for ((w, v), g) in weights.iter_mut().zip(velocity.iter_mut()).zip(gradient) {
                    *v = momentum * *v - shrink * *w - rate * g;
                    *w += *v;
                }
            },
        );
    };
    let chunks = weights.par_chunks_mut(CHUNK).zip(velocity.par_chunks_mut(CHUNK)).zip(gradient.par_chunks(CHUNK));
    tools.threads.install(|| chunks.for_each(work));
}
