//! Layers without weights: one input, one output per tower, for any shape.

use std::fmt::Debug;

use super::{Access, Operation, Span, expect_images, proper};
use crate::Error;

/// What the gradient of a layer needs from its forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Its input.
    Input,
    /// Its output.
    Output,
    /// Nothing.
    Nothing,
}

/// The shape of one tower of a layer without weights.
pub trait UnaryShape: Copy + Debug + PartialEq {
    /// The forward operation's name.
    const FORWARD: &'static str;
    /// The gradient's name.
    const BACKWARD: &'static str;
    /// What the gradient needs.
    const SAVED: Saved;
    /// Whether output and input may be the same memory (element-wise operations).
    const IN_PLACE: bool;

    /// Floats of one image of the input.
    fn input_len(&self) -> usize;
    /// Floats of one image of the output.
    fn output_len(&self) -> usize;
    /// Whether every extent is at least 1.
    fn is_proper(&self) -> bool {
        self.input_len() > 0 && self.output_len() > 0
    }
    /// Towers that are computed together: an operation has a multiple of them.
    fn joined(&self) -> usize {
        1
    }
}

/// Forward pass of all towers of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct UnaryForward<S> {
    /// The shape of each tower.
    pub shape: S,
    /// The operands of each tower, in order.
    pub towers: Vec<UnaryTower>,
}

/// The operands of one tower of [`UnaryForward`].
#[derive(Clone, Debug, PartialEq)]
pub struct UnaryTower {
    /// The input.
    pub input: Span,
    /// Overwritten.
    pub output: Span,
}

impl<S: UnaryShape> Operation for UnaryForward<S> {
    const NAME: &'static str = S::FORWARD;
    const IN_PLACE: bool = S::IN_PLACE;

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            f(Access::Read, &mut tower.input);
            f(Access::Write, &mut tower.output);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.towers.len())?;
        expect_joined(Self::NAME, self.shape.joined(), self.towers.len())?;
        for tower in &self.towers {
            expect_images(Self::NAME, "input", &tower.input, images * self.shape.input_len())?;
            expect_images(Self::NAME, "output", &tower.output, images * self.shape.output_len())?;
        }
        Ok(())
    }
}

/// Gradient of the input of all towers of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct UnaryBackward<S> {
    /// The shape of each tower.
    pub shape: S,
    /// The operands of each tower, in order.
    pub towers: Vec<UnaryGradTower>,
}

/// The operands of one tower of [`UnaryBackward`].
#[derive(Clone, Debug, PartialEq)]
pub struct UnaryGradTower {
    /// The input or output of the forward pass, as [`UnaryShape::SAVED`] says.
    pub saved: Option<Span>,
    /// The gradient of the output.
    pub d_output: Span,
    /// The gradient of the input, overwritten.
    pub d_input: Span,
}

impl UnaryGradTower {
    /// The saved span of a layer that has one.
    ///
    /// # Errors
    /// [`Error::Sources`] when the operation was made without it.
    pub fn saved(&self, op: &'static str) -> Result<Span, Error> {
        self.saved.ok_or(Error::Sources { op, expected: 1, got: 0 })
    }
}

impl<S: UnaryShape> Operation for UnaryBackward<S> {
    const NAME: &'static str = S::BACKWARD;
    const IN_PLACE: bool = S::IN_PLACE;

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            tower.saved.iter_mut().for_each(|span| f(Access::Read, span));
            f(Access::Read, &mut tower.d_output);
            f(Access::Write, &mut tower.d_input);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.shape.is_proper(), self.towers.len())?;
        expect_joined(Self::NAME, self.shape.joined(), self.towers.len())?;
        for tower in &self.towers {
            match S::SAVED {
                Saved::Input => {
                    expect_images(Self::NAME, "input", &tower.saved(Self::NAME)?, images * self.shape.input_len())?;
                }
                Saved::Output => {
                    expect_images(Self::NAME, "output", &tower.saved(Self::NAME)?, images * self.shape.output_len())?;
                }
                Saved::Nothing => {}
            }
            expect_images(Self::NAME, "d_output", &tower.d_output, images * self.shape.output_len())?;
            expect_images(Self::NAME, "d_input", &tower.d_input, images * self.shape.input_len())?;
        }
        Ok(())
    }
}

/// Towers come in whole groups.
fn expect_joined(op: &'static str, joined: usize, towers: usize) -> Result<(), Error> {
    let expected = towers.max(1).next_multiple_of(joined.max(1));
    if towers == expected && joined > 0 { Ok(()) } else { Err(Error::Sources { op, expected, got: towers }) }
}
