//! Fully connected layers.
//!
//! `out[n, o] = bias[o] + sum over sources, i of in[n, i] * weight[i, o]`. An image's NHWC activations are read as
//! one row: `i` runs over rows, columns, maps.
//!
//! Layouts: inputs `[N, inputs]`, output `[N, outputs]`, weights `[inputs, outputs]`, bias `[outputs]`.
//! A weight gradient sums the batch in blocks of [`super::SUM_BLOCK`] images.

use super::weighted::{Forward, InputGrad, WeightGrad, WeightedShape};

/// The shape of one tower's fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FcShape {
    /// Values that each source tower gives per image.
    pub inputs: usize,
    /// Units of this tower.
    pub outputs: usize,
}

impl WeightedShape for FcShape {
    const FORWARD: &'static str = "fc_forward";
    const INPUT_GRAD: &'static str = "fc_input_grad";
    const WEIGHT_GRAD: &'static str = "fc_weight_grad";

    fn input_len(&self) -> usize {
        self.inputs
    }

    fn output_len(&self) -> usize {
        self.outputs
    }

    fn weight_len(&self) -> usize {
        self.inputs * self.outputs
    }

    fn bias_len(&self) -> usize {
        self.outputs
    }
}

/// Forward pass.
pub type FcForward = Forward<FcShape>;
/// Gradient of the inputs.
pub type FcInputGrad = InputGrad<FcShape>;
/// Gradient of weights and bias.
pub type FcWeightGrad = WeightGrad<FcShape>;
