//! Layers without weights: operands loaded, one tower after the other.

use super::Naive;
use crate::Error;
use crate::ops::{Operation, Saved, UnaryBackward, UnaryForward, UnaryGradTower, UnaryShape};

impl Naive {
    /// `output(shape, tower, input)` is one tower's output.
    pub(super) fn unary_forward<S: UnaryShape>(
        &mut self,
        op: &UnaryForward<S>,
        output: impl Fn(&S, usize, &[f64]) -> Vec<f64>,
    ) -> Result<(), Error> {
        self.check(op)?;
        for (i, tower) in op.towers.iter().enumerate() {
            let input = self.load(tower.input, self.images() * op.shape.input_len());
            self.store(tower.output, &output(&op.shape, i, &input));
        }
        Ok(())
    }

    /// `d_input(shape, tower, saved, d_output)` is the gradient of one tower's input.
    pub(super) fn unary_backward<S: UnaryShape>(
        &mut self,
        op: &UnaryBackward<S>,
        d_input: impl Fn(&S, usize, &[f64], &[f64]) -> Vec<f64>,
    ) -> Result<(), Error> {
        self.check(op)?;
        for (i, tower) in op.towers.iter().enumerate() {
            let (saved, d_output) = self.load_gradient(&op.shape, tower)?;
            self.store(tower.d_input, &d_input(&op.shape, i, &saved, &d_output));
        }
        Ok(())
    }

    /// What was saved and the gradient of the output.
    pub(super) fn load_gradient<S: UnaryShape>(
        &self,
        shape: &S,
        tower: &UnaryGradTower,
    ) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let images = self.images();
        let saved = match S::SAVED {
            Saved::Input => self.load(tower.saved(UnaryBackward::<S>::NAME)?, images * shape.input_len()),
            Saved::Output => self.load(tower.saved(UnaryBackward::<S>::NAME)?, images * shape.output_len()),
            Saved::Nothing => Vec::new(),
        };
        Ok((saved, self.load(tower.d_output, images * shape.output_len())))
    }
}
