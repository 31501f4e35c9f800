//! Layers with weights: operands loaded, one tower and source after the other; bias and fused activation.

use super::{Naive, activation};
use crate::Error;
use crate::ops::{Forward, InputGrad, WeightGrad, WeightedShape};

impl Naive {
    /// `add(shape, images, input, weight, output)` adds what one source gives to the output.
    pub(super) fn weighted_forward<S: WeightedShape>(
        &mut self,
        op: &Forward<S>,
        add: impl Fn(&S, usize, &[f64], &[f64], &mut [f64]),
    ) -> Result<(), Error> {
        self.check(op)?;
        let (shape, images) = (&op.shape, self.images());
        for tower in &op.towers {
            let bias = self.load(tower.bias, shape.bias_len());
            let mut output = bias.repeat(images * shape.output_len() / shape.bias_len());
            for (&input, &weight) in tower.inputs.iter().zip(&tower.weights) {
                let input = self.load(input, images * shape.input_len());
                add(shape, images, &input, &self.load(weight, shape.weight_len()), &mut output);
            }
            if let Some(function) = op.activation {
                output = activation::forward(function, &output);
            }
            self.store(tower.output, &output);
        }
        Ok(())
    }

    /// `add(shape, images, d_output, weight, d_input)` adds what comes back from one consumer.
    pub(super) fn weighted_input_grad<S: WeightedShape>(
        &mut self,
        op: &InputGrad<S>,
        add: impl Fn(&S, usize, &[f64], &[f64], &mut [f64]),
    ) -> Result<(), Error> {
        self.check(op)?;
        let (shape, images) = (&op.shape, self.images());
        for source in &op.sources {
            let mut d_input = vec![0.0; images * shape.input_len()];
            for (&d_output, &weight) in source.d_outputs.iter().zip(&source.weights) {
                let d_output = self.load(d_output, images * shape.output_len());
                add(shape, images, &d_output, &self.load(weight, shape.weight_len()), &mut d_input);
            }
            self.store(source.d_input, &d_input);
        }
        Ok(())
    }

    /// `add(shape, images, input, d_output, d_weight)` adds the gradient of one source's weights.
    pub(super) fn weighted_weight_grad<S: WeightedShape>(
        &mut self,
        op: &WeightGrad<S>,
        add: impl Fn(&S, usize, &[f64], &[f64], &mut [f64]),
    ) -> Result<(), Error> {
        self.check(op)?;
        let (shape, images) = (&op.shape, self.images());
        for tower in &op.towers {
            let d_output = self.load(tower.d_output, images * shape.output_len());
            for (&input, &d_weight) in tower.inputs.iter().zip(&tower.d_weights) {
                let mut gradient = vec![0.0; shape.weight_len()];
                add(shape, images, &self.load(input, images * shape.input_len()), &d_output, &mut gradient);
                self.store(d_weight, &gradient);
            }
            self.store(tower.d_bias, &bias_grad(&d_output, shape.bias_len()));
        }
        Ok(())
    }
}

/// The gradient of a bias of `len` numbers: sums over images and pixels.
pub(super) fn bias_grad(d_output: &[f64], len: usize) -> Vec<f64> {
    let mut d_bias = vec![0.0; len];
    for position in d_output.chunks(len) {
        add_scaled(&mut d_bias, 1.0, position);
    }
    d_bias
}

/// `y += a * x`
pub(super) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// The scalar product.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
