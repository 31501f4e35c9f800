//! The gradient of a fully connected layer's weights, and at once the momentum update by it.
//!
//! These weights are most of a network's. Their gradient, as large as they are, is neither written nor read: each part
//! of it becomes `v = momentum * v - decay * rate * w - rate * g; w = w + v` where it has been summed, with the bits of
//! [`super::FcWeightGrad`] and [`super::Update`]. The bias is small, its gradient is written.
//!
//! It has to come after the layer's input gradient, which reads the old weights.

use super::update::rate_of;
use super::{Access, FcShape, Operation, Span, Step, WeightedShape, expect, expect_images, proper};
use crate::Error;

/// Updates the weights of all towers of a fully connected layer; the gradient of the biases.
#[derive(Clone, Debug, PartialEq)]
pub struct FcWeightUpdate {
    /// The shape of each tower.
    pub shape: FcShape,
    /// Factor of the last step's velocity.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
    /// The operands of each tower.
    pub towers: Vec<FcWeightUpdateTower>,
}

/// The operands of one tower of [`FcWeightUpdate`].
#[derive(Clone, Debug, PartialEq)]
pub struct FcWeightUpdateTower {
    /// The gradient of the tower's output.
    pub d_output: Span,
    /// Each source, own tower first, then cyclic.
    pub sources: Vec<UpdatedWeights>,
    /// Overwritten.
    pub d_bias: Span,
}

/// The weights of one source of a tower.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatedWeights {
    /// What the source gives.
    pub input: Span,
    /// Which of the step's rates applies.
    pub parameter: usize,
    /// The weights, changed.
    pub weights: Span,
    /// The velocity, changed.
    pub velocity: Span,
}

impl UpdatedWeights {
    /// The learning rate of the weights in this step.
    ///
    /// # Errors
    /// [`Error::Step`] when the step has none for them.
    pub fn rate(&self, step: &Step) -> Result<f32, Error> {
        rate_of(self.parameter, step)
    }
}

impl Operation for FcWeightUpdate {
    const NAME: &'static str = "fc_weight_update";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            f(Access::Read, &mut tower.d_output);
            for source in &mut tower.sources {
                f(Access::Read, &mut source.input);
                f(Access::Update, &mut source.weights);
                f(Access::Update, &mut source.velocity);
            }
            f(Access::Write, &mut tower.d_bias);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.towers.len())?;
        let expected = self.towers[0].sources.len();
        for tower in &self.towers {
            let got = tower.sources.len();
            if got != expected || got == 0 {
                return Err(Error::Sources { op: Self::NAME, expected, got });
            }
            for source in &tower.sources {
                expect_images(Self::NAME, "input", &source.input, images * self.shape.input_len())?;
                expect(Self::NAME, "weights", &source.weights, self.shape.weight_len())?;
                expect(Self::NAME, "velocity", &source.velocity, self.shape.weight_len())?;
            }
            expect_images(Self::NAME, "d_output", &tower.d_output, images * self.shape.output_len())?;
            expect(Self::NAME, "d_bias", &tower.d_bias, self.shape.bias_len())?;
        }
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<(), Error> {
        self.towers.iter().flat_map(|tower| &tower.sources).try_for_each(|source| source.rate(step).map(drop))
    }
}
