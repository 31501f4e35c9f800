//! The momentum update with weight decay (paper, section 5).
//!
//! `v = momentum * v - decay * rate * w - rate * g; w = w + v`, with `g` the gradient of the mean loss.

use super::{Access, Operation, Span, Step, expect};
use crate::Error;

/// Updates one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Which of the step's rates applies.
    pub parameter: usize,
    /// Factor of the last step's velocity.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
    /// The weights, changed.
    pub weights: Span,
    /// The velocity, changed.
    pub velocity: Span,
    /// The gradient.
    pub gradient: Span,
}

impl Operation for Update {
    const NAME: &'static str = "update";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        f(Access::Update, &mut self.weights);
        f(Access::Update, &mut self.velocity);
        f(Access::Read, &mut self.gradient);
    }

    fn check_shapes(&self, _images: usize) -> Result<(), Error> {
        expect(Self::NAME, "velocity", &self.velocity, self.weights.len)?;
        expect(Self::NAME, "gradient", &self.gradient, self.weights.len)
    }

    fn check_step(&self, step: &Step) -> Result<(), Error> {
        self.rate(step).map(drop)
    }
}

impl Update {
    /// The learning rate of the parameter in this step.
    ///
    /// # Errors
    /// [`Error::Step`] when the step has none for it.
    pub fn rate(&self, step: &Step) -> Result<f32, Error> {
        rate_of(self.parameter, step)
    }
}

/// The learning rate of a parameter in a step.
pub(super) fn rate_of(parameter: usize, step: &Step) -> Result<f32, Error> {
    let missing = || Error::Step(format!("no rate for parameter {parameter}, there are {}", step.rates.len()));
    step.rates.get(parameter).copied().ok_or_else(missing)
}
