//! Layers with weights: the operands of their forward pass and gradients, for any shape.

use std::fmt::Debug;

use super::{Access, Activation, Operation, Span, expect, expect_images, proper};
use crate::Error;

/// The shape of one tower of a layer with weights.
pub trait WeightedShape: Copy + Debug + PartialEq {
    /// The forward operation's name.
    const FORWARD: &'static str;
    /// The input gradient's name.
    const INPUT_GRAD: &'static str;
    /// The weight gradient's name.
    const WEIGHT_GRAD: &'static str;

    /// Floats of one image of one source.
    fn input_len(&self) -> usize;
    /// Floats of one image of the output.
    fn output_len(&self) -> usize;
    /// Floats of the weights of one source.
    fn weight_len(&self) -> usize;
    /// Floats of the bias.
    fn bias_len(&self) -> usize;
    /// Whether every extent is at least 1.
    fn is_proper(&self) -> bool {
        self.input_len() > 0 && self.output_len() > 0
    }
}

/// Forward pass of all towers of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward<S> {
    /// The shape of each tower.
    pub shape: S,
    /// Applied to the sum when the plan fused the layer behind.
    pub activation: Option<Activation>,
    /// The operands of each tower.
    pub towers: Vec<ForwardTower>,
}

/// The operands of one tower of [`Forward`].
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardTower {
    /// Each source, own tower first, then cyclic.
    pub inputs: Vec<Span>,
    /// The weights of each source.
    pub weights: Vec<Span>,
    /// One float per output map or unit.
    pub bias: Span,
    /// Overwritten.
    pub output: Span,
}

impl<S: WeightedShape> Operation for Forward<S> {
    const NAME: &'static str = S::FORWARD;

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            tower.inputs.iter_mut().chain(&mut tower.weights).for_each(|span| f(Access::Read, span));
            f(Access::Read, &mut tower.bias);
            f(Access::Write, &mut tower.output);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.towers.len())?;
        for tower in &self.towers {
            same_count(Self::NAME, tower.inputs.len(), tower.weights.len())?;
            same_count(Self::NAME, self.towers[0].inputs.len(), tower.inputs.len())?;
            for (input, weight) in tower.inputs.iter().zip(&tower.weights) {
                expect_images(Self::NAME, "input", input, images * self.shape.input_len())?;
                expect(Self::NAME, "weight", weight, self.shape.weight_len())?;
            }
            expect(Self::NAME, "bias", &tower.bias, self.shape.bias_len())?;
            expect_images(Self::NAME, "output", &tower.output, images * self.shape.output_len())?;
        }
        Ok(())
    }
}

/// Gradient of the inputs of a layer, for each source tower.
#[derive(Clone, Debug, PartialEq)]
pub struct InputGrad<S> {
    /// The shape of each tower.
    pub shape: S,
    /// The operands of each source tower.
    pub sources: Vec<InputGradSource>,
}

/// The operands of one source tower of [`InputGrad`].
#[derive(Clone, Debug, PartialEq)]
pub struct InputGradSource {
    /// The gradient of each consuming tower's output, own tower first, then cyclic.
    pub d_outputs: Vec<Span>,
    /// The weights by which each consumer reads this source.
    pub weights: Vec<Span>,
    /// Overwritten.
    pub d_input: Span,
}

impl<S: WeightedShape> Operation for InputGrad<S> {
    const NAME: &'static str = S::INPUT_GRAD;

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for source in &mut self.sources {
            source.d_outputs.iter_mut().chain(&mut source.weights).for_each(|span| f(Access::Read, span));
            f(Access::Write, &mut source.d_input);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.sources.len())?;
        for source in &self.sources {
            same_count(Self::NAME, source.d_outputs.len(), source.weights.len())?;
            for (d_output, weight) in source.d_outputs.iter().zip(&source.weights) {
                expect_images(Self::NAME, "d_output", d_output, images * self.shape.output_len())?;
                expect(Self::NAME, "weight", weight, self.shape.weight_len())?;
            }
            expect_images(Self::NAME, "d_input", &source.d_input, images * self.shape.input_len())?;
        }
        Ok(())
    }
}

/// Gradient of the weights and bias of all towers of a layer: sums over the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGrad<S> {
    /// The shape of each tower.
    pub shape: S,
    /// The operands of each tower.
    pub towers: Vec<WeightGradTower>,
}

/// The operands of one tower of [`WeightGrad`].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGradTower {
    /// Each source, own tower first, then cyclic.
    pub inputs: Vec<Span>,
    /// The gradient of the tower's output.
    pub d_output: Span,
    /// The gradient of each source's weights, overwritten.
    pub d_weights: Vec<Span>,
    /// Overwritten.
    pub d_bias: Span,
}

impl<S: WeightedShape> Operation for WeightGrad<S> {
    const NAME: &'static str = S::WEIGHT_GRAD;

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            tower.inputs.iter_mut().for_each(|span| f(Access::Read, span));
            f(Access::Read, &mut tower.d_output);
            tower.d_weights.iter_mut().for_each(|span| f(Access::Write, span));
            f(Access::Write, &mut tower.d_bias);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.towers.len())?;
        for tower in &self.towers {
            same_count(Self::NAME, tower.inputs.len(), tower.d_weights.len())?;
            same_count(Self::NAME, self.towers[0].inputs.len(), tower.inputs.len())?;
            for (input, d_weight) in tower.inputs.iter().zip(&tower.d_weights) {
                expect_images(Self::NAME, "input", input, images * self.shape.input_len())?;
                expect(Self::NAME, "d_weight", d_weight, self.shape.weight_len())?;
            }
            expect_images(Self::NAME, "d_output", &tower.d_output, images * self.shape.output_len())?;
            expect(Self::NAME, "d_bias", &tower.d_bias, self.shape.bias_len())?;
        }
        Ok(())
    }
}

/// Two lists of operands must go in pairs.
fn same_count(op: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected == got && got > 0 { Ok(()) } else { Err(Error::Sources { op, expected, got }) }
}
