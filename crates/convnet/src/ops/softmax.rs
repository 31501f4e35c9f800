//! Softmax with cross-entropy: multinomial logistic regression, the paper's objective.

use super::{Access, Operation, Span, Step, expect_images, proper};
use crate::Error;

/// `p[c] = exp(z[c]) / sum of exp(z)`, `loss = -ln p[label]` per image.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxForward {
    /// Classes.
    pub classes: usize,
    /// `[N, classes]`
    pub logits: Span,
    /// `[N, classes]`, overwritten.
    pub probabilities: Span,
    /// `[N]`, overwritten.
    pub losses: Span,
    /// `[N]`, overwritten: how many classes come before the label when sorted by falling logit (of equal logits
    /// the lower class comes first). 0 is a top-1 hit, below 5 a top-5 hit. NaN logits give `classes`.
    pub ranks: Span,
}

impl Operation for SoftmaxForward {
    const NAME: &'static str = "softmax_forward";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        f(Access::Read, &mut self.logits);
        f(Access::Write, &mut self.probabilities);
        f(Access::Write, &mut self.losses);
        f(Access::Write, &mut self.ranks);
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.classes > 0, 1)?;
        expect_images(Self::NAME, "logits", &self.logits, images * self.classes)?;
        expect_images(Self::NAME, "probabilities", &self.probabilities, images * self.classes)?;
        expect_images(Self::NAME, "losses", &self.losses, images)?;
        expect_images(Self::NAME, "ranks", &self.ranks, images)
    }

    fn check_step(&self, step: &Step) -> Result<(), Error> {
        match step.labels.iter().find(|&&label| label as usize >= self.classes) {
            Some(label) => Err(Error::Step(format!("label {label} for {} classes", self.classes))),
            None => Ok(()),
        }
    }
}

/// Gradient of the mean loss over the step's images: `d_logits = (p - [c == label]) / n`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxBackward {
    /// Classes.
    pub classes: usize,
    /// `[N, classes]`
    pub probabilities: Span,
    /// `[N, classes]`, overwritten.
    pub d_logits: Span,
}

impl Operation for SoftmaxBackward {
    const NAME: &'static str = "softmax_backward";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        f(Access::Read, &mut self.probabilities);
        f(Access::Write, &mut self.d_logits);
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.classes > 0, 1)?;
        expect_images(Self::NAME, "probabilities", &self.probabilities, images * self.classes)?;
        expect_images(Self::NAME, "d_logits", &self.d_logits, images * self.classes)
    }
}
