//! The momentum update with weight decay.

use crate::ops::Update;

/// `v = momentum * v - decay * rate * w - rate * g; w = w + v`
pub(super) fn apply(op: &Update, rate: f64, weights: &mut [f64], velocity: &mut [f64], gradient: &[f64]) {
    let (momentum, decay) = (f64::from(op.momentum), f64::from(op.decay));
    for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
        *v = momentum * *v - decay * rate * *w - rate * g;
        *w += *v;
    }
}
