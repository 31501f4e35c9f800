//! The momentum update with weight decay.

use super::Naive;
use crate::ops::Span;

/// The numbers of an update.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    momentum: f64,
    decay: f64,
    rate: f64,
}

impl Rule {
    pub(super) fn new(momentum: f32, decay: f32, rate: f32) -> Rule {
        Rule { momentum: f64::from(momentum), decay: f64::from(decay), rate: f64::from(rate) }
    }
}

impl Naive {
    /// `v = momentum * v - decay * rate * w - rate * g; w = w + v`
    pub(super) fn apply(&mut self, rule: Rule, weights: Span, velocity: Span, gradient: &[f64]) {
        let Rule { momentum, decay, rate } = rule;
        let (mut w, mut v) = (self.load(weights, weights.len), self.load(velocity, velocity.len));
        for ((w, v), g) in w.iter_mut().zip(&mut v).zip(gradient) {
            *v = momentum * *v - decay * rate * *w - rate * g;
            *w += *v;
        }
        self.store(weights, &w);
        self.store(velocity, &v);
    }
}
