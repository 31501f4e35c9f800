//! ReLU and scaled tanh.

use crate::ops::Activation;

/// ReLU `max(0, x)`, tanh `a * tanh(b * x)`.
pub(super) fn forward(function: Activation, input: &[f64]) -> Vec<f64> {
    let apply = |x: f64| match function {
        // Not `x.max(0.0)`, which would turn NaN into 0.
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Tanh { a, b } => f64::from(a) * (f64::from(b) * x).tanh(),
    };
    input.iter().map(|&x| apply(x)).collect()
}

/// ReLU `dx = dy if y > 0 else 0`, tanh `dx = dy * b * (a - y * y / a)`.
pub(super) fn backward(function: Activation, output: &[f64], d_output: &[f64]) -> Vec<f64> {
    let apply = |y: f64, dy: f64| match function {
        Activation::Relu => {
            if y > 0.0 {
                dy
            } else {
                0.0
            }
        }
        Activation::Tanh { a, b } => dy * f64::from(b) * (f64::from(a) - y * y / f64::from(a)),
    };
    output.iter().zip(d_output).map(|(&y, &dy)| apply(y, dy)).collect()
}
