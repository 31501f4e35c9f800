//! Activations: ReLU and scaled tanh. Their gradients need the output only, so they work in place.

use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(0, x)` (paper, section 3.1).
    Relu,
    /// `a * tanh(b * x)`: `tanh[a,b]` of cuda-convnet.
    Tanh {
        /// Scale of the output.
        a: f32,
        /// Scale of the input.
        b: f32,
    },
}

/// An activation over `len` floats an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivationShape {
    /// The function.
    pub activation: Activation,
    /// Floats of one image.
    pub len: usize,
}

impl UnaryShape for ActivationShape {
    const FORWARD: &'static str = "activation_forward";
    const BACKWARD: &'static str = "activation_backward";
    const SAVED: Saved = Saved::Output;
    const IN_PLACE: bool = true;

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }
}

/// Forward pass.
pub type ActivationForward = UnaryForward<ActivationShape>;
/// Gradient: ReLU `dx = dy if y > 0 else 0`; tanh `dx = dy * b * (a - y * y / a)`.
pub type ActivationBackward = UnaryBackward<ActivationShape>;
