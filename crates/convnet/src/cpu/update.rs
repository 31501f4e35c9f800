//! The momentum update: one pass over weights, velocity and gradient.

use rayon::prelude::*;

use super::Tools;
use super::activation::CHUNK;
use super::memory::Memory;
use crate::ops::Update;

/// The numbers of an update.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    momentum: f32,
    /// Weight decay times rate.
    shrink: f32,
    rate: f32,
}

impl Rule {
    pub(super) fn new(momentum: f32, decay: f32, rate: f32) -> Rule {
        Rule { momentum, shrink: decay * rate, rate }
    }

    /// Updates neighbours.
    pub(super) fn apply(self, tools: &Tools, weights: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        let Rule { momentum, shrink, rate } = self;
        tools.vectorise(
            #[inline(always)]
            || {
                for ((w, v), g) in weights.iter_mut().zip(velocity.iter_mut()).zip(gradient) {
                    *v = momentum * *v - shrink * *w - rate * g;
                    *w += *v;
                }
            },
        );
    }
}

pub(super) fn update(tools: &Tools, memory: &Memory, op: &Update, rate: f32) {
    let len = op.weights.len;
    // SAFETY: the operation passed its check; weights and velocity overlap no other operand.
    let (weights, velocity, gradient) = unsafe {
        (memory.slice_mut(op.weights, len), memory.slice_mut(op.velocity, len), memory.slice(op.gradient, len))
    };
    let rule = Rule::new(op.momentum, op.decay, rate);
    let chunks = weights.par_chunks_mut(CHUNK).zip(velocity.par_chunks_mut(CHUNK)).zip(gradient.par_chunks(CHUNK));
    tools.threads.install(|| {
        chunks.for_each(|((weights, velocity), gradient)| rule.apply(tools, weights, velocity, gradient));
    });
}
