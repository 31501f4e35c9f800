//! The slow f64 twin of every operation: the oracle of the tests.
//!
//! Each file transcribes the formulas at the head of the file of the same name in [`crate::ops`], with the plainest
//! loops and no concern for rounding, so the order of its sums differs from what [`crate::ops`] prescribes for f32.

mod activation;
mod augment;
mod conv;
mod dropout;
mod fc;
mod lrn;
mod map_norm;
mod pool;
mod softmax;
mod unary;
mod update;
mod weighted;

use crate::Error;
use crate::ops::{
    ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvWeightGrad, Device,
    DropoutBackward, DropoutForward, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, LrnBackward, LrnForward,
    LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Operation, PoolBackward, PoolForward, Region,
    SoftmaxBackward, SoftmaxForward, Span, Step, Update,
};

/// A device that computes in f64, one number after the other.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    regions: [Vec<f64>; Region::ALL.len()],
    step: Step,
}

impl Naive {
    /// A device without memory.
    pub fn new() -> Naive {
        Naive::default()
    }

    /// Copies `data` to the start of `span`.
    ///
    /// # Errors
    /// As [`Device::write`].
    pub fn write_f64(&mut self, span: Span, data: &[f64]) -> Result<(), Error> {
        self.check_transfer("write", span, data.len())?;
        self.store(span, data);
        Ok(())
    }

    /// Copies the start of `span` into `data`.
    ///
    /// # Errors
    /// As [`Device::read`].
    pub fn read_f64(&self, span: Span, data: &mut [f64]) -> Result<(), Error> {
        self.check_transfer("read", span, data.len())?;
        data.copy_from_slice(&self.load(span, data.len()));
        Ok(())
    }

    fn check_transfer(&self, op: &'static str, span: Span, len: usize) -> Result<(), Error> {
        let region = self.regions[span.region as usize].len();
        if span.end() > region {
            return Err(Error::OutOfRange { op, span: span.to_string(), available: region });
        }
        if len > span.len {
            let data = Span::new(span.region, span.start, len);
            return Err(Error::OutOfRange { op, span: data.to_string(), available: span.end() });
        }
        Ok(())
    }

    fn check<O: Operation>(&self, op: &O) -> Result<(), Error> {
        op.check(self.images(), &|region| self.regions[region as usize].len())
    }

    fn images(&self) -> usize {
        self.step.images()
    }

    /// The first `len` numbers of a span, as a copy: so an output may lie on an input.
    fn load(&self, span: Span, len: usize) -> Vec<f64> {
        self.regions[span.region as usize][span.start..][..len].to_vec()
    }

    /// Overwrites the start of a span.
    fn store(&mut self, span: Span, data: &[f64]) {
        self.regions[span.region as usize][span.start..][..data.len()].copy_from_slice(data);
    }
}

impl Device for Naive {
    fn reserve(&mut self, span: Span) -> Result<(), Error> {
        let len = span.end();
        let memory = &mut self.regions[span.region as usize];
        if memory.len() < len {
            let oom = |_| Error::OutOfMemory { what: "the naive device", bytes: len.saturating_mul(8) };
            memory.try_reserve_exact(len - memory.len()).map_err(oom)?;
            memory.resize(len, 0.0);
        }
        Ok(())
    }

    fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.write_f64(span, &data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>())
    }

    fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        let mut wide = vec![0.0; data.len()];
        self.read_f64(span, &mut wide)?;
        data.iter_mut().zip(wide).for_each(|(narrow, wide)| *narrow = wide as f32);
        Ok(())
    }

    fn begin(&mut self, step: &mut Step) -> Result<(), Error> {
        step.check()?;
        std::mem::swap(&mut self.step, step);
        Ok(())
    }

    fn augment(&mut self, op: &Augment) -> Result<(), Error> {
        self.check(op)?;
        op.check_step(&self.step)?;
        let output = augment::forward(op, &self.step, &self.load(op.mean, op.mean.len));
        self.store(op.output, &output);
        Ok(())
    }

    fn conv_forward(&mut self, op: &ConvForward) -> Result<(), Error> {
        self.weighted_forward(op, conv::forward)
    }

    fn conv_input_grad(&mut self, op: &ConvInputGrad) -> Result<(), Error> {
        self.weighted_input_grad(op, conv::input_grad)
    }

    fn conv_weight_grad(&mut self, op: &ConvWeightGrad) -> Result<(), Error> {
        self.weighted_weight_grad(op, conv::weight_grad)
    }

    fn fc_forward(&mut self, op: &FcForward) -> Result<(), Error> {
        self.weighted_forward(op, fc::forward)
    }

    fn fc_input_grad(&mut self, op: &FcInputGrad) -> Result<(), Error> {
        self.weighted_input_grad(op, fc::input_grad)
    }

    fn fc_weight_grad(&mut self, op: &FcWeightGrad) -> Result<(), Error> {
        self.weighted_weight_grad(op, fc::weight_grad)
    }

    fn fc_weight_update(&mut self, op: &FcWeightUpdate) -> Result<(), Error> {
        self.check(op)?;
        op.check_step(&self.step)?;
        let (shape, images) = (&op.shape, self.images());
        for tower in &op.towers {
            let d_output = self.load(tower.d_output, images * shape.outputs);
            for source in &tower.sources {
                let mut gradient = vec![0.0; source.weights.len];
                fc::weight_grad(
                    shape,
                    images,
                    &self.load(source.input, images * shape.inputs),
                    &d_output,
                    &mut gradient,
                );
                let rule = update::Rule::new(op.momentum, op.decay, source.rate(&self.step)?);
                self.apply(rule, source.weights, source.velocity, &gradient);
            }
            self.store(tower.d_bias, &weighted::bias_grad(&d_output, shape.outputs));
        }
        Ok(())
    }

    fn activation_forward(&mut self, op: &ActivationForward) -> Result<(), Error> {
        self.unary_forward(op, |shape, _, input| activation::forward(shape.activation, input))
    }

    fn activation_backward(&mut self, op: &ActivationBackward) -> Result<(), Error> {
        self.unary_backward(op, |shape, _, output, d_output| activation::backward(shape.activation, output, d_output))
    }

    fn lrn_forward(&mut self, op: &LrnForward) -> Result<(), Error> {
        self.check(op)?;
        self.lrn_forward_joined(op);
        Ok(())
    }

    fn lrn_backward(&mut self, op: &LrnBackward) -> Result<(), Error> {
        self.check(op)?;
        self.lrn_backward_joined(op)
    }

    fn lrn_pool_forward(&mut self, _: &LrnPoolForward) -> Result<(), Error> {
        Err(Error::NotPooled { op: LrnPoolForward::NAME })
    }

    fn lrn_pool_backward(&mut self, _: &LrnPoolBackward) -> Result<(), Error> {
        Err(Error::NotPooled { op: LrnPoolBackward::NAME })
    }

    fn map_norm_forward(&mut self, op: &MapNormForward) -> Result<(), Error> {
        self.unary_forward(op, |shape, _, input| map_norm::forward(shape, input))
    }

    fn map_norm_backward(&mut self, op: &MapNormBackward) -> Result<(), Error> {
        self.unary_backward(op, |shape, _, input, d_output| map_norm::backward(shape, input, d_output))
    }

    fn pool_forward(&mut self, op: &PoolForward) -> Result<(), Error> {
        self.unary_forward(op, |shape, _, input| pool::forward(shape, input))
    }

    fn pool_backward(&mut self, op: &PoolBackward) -> Result<(), Error> {
        self.unary_backward(op, |shape, _, input, d_output| pool::backward(shape, input, d_output))
    }

    fn dropout_forward(&mut self, op: &DropoutForward) -> Result<(), Error> {
        let step = self.step.clone();
        self.unary_forward(op, |shape, tower, input| dropout::mask(shape, &step, tower, input))
    }

    fn dropout_backward(&mut self, op: &DropoutBackward) -> Result<(), Error> {
        let step = self.step.clone();
        self.unary_backward(op, |shape, tower, _, d_output| dropout::mask(shape, &step, tower, d_output))
    }

    fn softmax_forward(&mut self, op: &SoftmaxForward) -> Result<(), Error> {
        self.check(op)?;
        op.check_step(&self.step)?;
        let logits = self.load(op.logits, self.images() * op.classes);
        let (mut probabilities, mut losses, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for (logits, &label) in logits.chunks(op.classes).zip(&self.step.labels) {
            probabilities.extend(softmax::probabilities(logits));
            losses.push(softmax::loss(logits, label as usize));
            ranks.push(softmax::rank(logits, label as usize) as f64);
        }
        self.store(op.probabilities, &probabilities);
        self.store(op.losses, &losses);
        self.store(op.ranks, &ranks);
        Ok(())
    }

    fn softmax_backward(&mut self, op: &SoftmaxBackward) -> Result<(), Error> {
        self.check(op)?;
        let probabilities = self.load(op.probabilities, self.images() * op.classes);
        let d_logits = softmax::backward(op.classes, &self.step.labels, &probabilities);
        self.store(op.d_logits, &d_logits);
        Ok(())
    }

    fn add(&mut self, op: &Add) -> Result<(), Error> {
        self.check(op)?;
        let len = self.images() * op.len;
        for tower in &op.towers {
            let mut sum = self.load(tower.target, len);
            for &addend in &tower.addends {
                sum.iter_mut().zip(self.load(addend, len)).for_each(|(sum, addend)| *sum += addend);
            }
            self.store(tower.target, &sum);
        }
        Ok(())
    }

    fn update(&mut self, op: &Update) -> Result<(), Error> {
        self.check(op)?;
        let rule = update::Rule::new(op.momentum, op.decay, op.rate(&self.step)?);
        let gradient = self.load(op.gradient, op.gradient.len);
        self.apply(rule, op.weights, op.velocity, &gradient);
        Ok(())
    }
}
