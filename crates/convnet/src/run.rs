//! A network on a device: plans, parameters, steps.

use crate::Error;
use crate::net::Net;
use crate::ops::{Access, Device, List, Op, Pass, Region, Span, Step};
use crate::philox::{self, Use};
use crate::plan::{Mode, Parameter, Plan, Planned};

/// A net compiled for a device, with its parameters there.
pub struct Network<D> {
    device: D,
    /// The plan of a training step, unless the network was made for inference only.
    training: Option<Plan>,
    /// The plan of a forward pass without dropout; its parameters lie where those of training lie.
    inference: Plan,
    /// Images of the step on the device.
    images: usize,
    /// Losses and ranks of a step; they stay, so that a step allocates nothing.
    results: Results,
}

#[derive(Default)]
struct Results {
    losses: Vec<f32>,
    ranks: Vec<f32>,
}

/// What a step gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Images.
    pub images: usize,
    /// Sum of the cross-entropy in nats.
    pub loss: f64,
    /// Images whose label was the most probable class.
    pub top1: usize,
    /// Images whose label was among the five most probable classes.
    pub top5: usize,
}

impl Outcome {
    /// Adds another step's.
    pub fn add(&mut self, other: Outcome) {
        self.images += other.images;
        self.loss += other.loss;
        self.top1 += other.top1;
        self.top5 += other.top5;
    }

    /// Mean cross-entropy.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// Fraction of images whose label was not the most probable class.
    pub fn top1_error(&self) -> f64 {
        1.0 - self.top1 as f64 / self.images as f64
    }

    /// Fraction of images whose label was not among the five most probable classes.
    pub fn top5_error(&self) -> f64 {
        1.0 - self.top5 as f64 / self.images as f64
    }
}

/// How strong the signal of one layer is; see [`Network::signals`].
#[derive(Clone, Debug)]
pub struct Signal {
    /// The layer.
    pub layer: String,
    /// Root mean square of its outputs.
    pub rms: f64,
    /// Root mean square of the outputs' differences from their mean over the batch: what tells images apart.
    pub between_images: f64,
}

impl<D: Device> Network<D> {
    /// A network for training steps of up to `batch` images and forward passes of as many.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and [`Error::Placement`] where several devices cannot share the net's towers.
    pub fn for_training(net: &Net, batch: usize, device: D) -> Result<Self, Error> {
        Self::new(net, batch, Some(Mode::Train), device)
    }

    /// A network for forward passes of up to `batch` images.
    ///
    /// # Errors
    /// As [`Network::for_training`].
    pub fn for_inference(net: &Net, batch: usize, device: D) -> Result<Self, Error> {
        Self::new(net, batch, None, device)
    }

    /// A network of which every tensor can be looked at after a training step; see [`Mode::Inspect`].
    ///
    /// # Errors
    /// As [`Network::for_training`].
    pub fn for_inspection(net: &Net, batch: usize, device: D) -> Result<Self, Error> {
        Self::new(net, batch, Some(Mode::Inspect), device)
    }

    fn new(net: &Net, batch: usize, training: Option<Mode>, mut device: D) -> Result<Self, Error> {
        let compile = |mode| Plan::compile_on(net, &device, batch, mode);
        let (training, inference) = (training.map(compile).transpose()?, compile(Mode::Infer)?);
        for plan in training.iter().chain([&inference]) {
            plan.regions.iter().try_for_each(|&region| device.reserve(region))?;
        }
        Ok(Network { device, training, inference, images: 0, results: Results::default() })
    }

    /// The plan of a training step, if there is one.
    pub fn training_plan(&self) -> Option<&Plan> {
        self.training.as_ref()
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Weights and biases, in the order of the net.
    pub fn parameters(&self) -> &[Parameter] {
        &self.inference.parameters
    }

    /// Draws initial weights from `seed` and sets biases; velocities become zero.
    ///
    /// # Errors
    /// Those of the device.
    pub fn initialise(&mut self, seed: u64) -> Result<(), Error> {
        for (index, parameter) in self.inference.parameters.iter().enumerate() {
            let len = parameter.value.len;
            let values: Vec<f32> = if parameter.bias {
                vec![parameter.init as f32; len]
            } else {
                let block = |i| philox::normals(philox::words(seed, 0, index as u32, Use::Init as u32, i));
                let normals = (0..len.div_ceil(4) as u32).flat_map(block).take(len);
                normals.map(|normal| (normal * parameter.init) as f32).collect()
            };
            self.device.write(parameter.value, &values)?;
            if self.training.is_some() {
                self.device.write(parameter.velocity(), &vec![0.0; len])?;
            }
        }
        Ok(())
    }

    /// Sets what is subtracted from the pixels, `[crop, crop, 3]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn set_mean(&mut self, mean: &[f32]) -> Result<(), Error> {
        let place = self.inference.mean;
        (0..self.inference.shards).try_for_each(|shard| self.device.write(Span { shard, ..place }, mean))
    }

    /// Copies a span, for example a parameter's value or velocity, to the host.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&self, span: Span) -> Result<Vec<f32>, Error> {
        let mut data = vec![0.0; span.len];
        self.device.read(span, &mut data)?;
        Ok(data)
    }

    /// Copies `data` to a span, for example a parameter's value or velocity.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.device.write(span, data)
    }

    /// One training step: forward, backward, update. The step is swapped with the last one, see [`Device::begin`].
    /// A loss that is not finite ends the step after the forward pass: parameters stay as they were.
    ///
    /// # Errors
    /// [`Error::Step`] when the step does not fit, and those of the device.
    pub fn train(&mut self, step: &mut Step) -> Result<Outcome, Error> {
        let Some(plan) = &self.training else {
            return Err(Error::Step("the network was made for inference only".to_string()));
        };
        let images = check(plan, step)?;
        self.device.begin(step)?;
        self.images = images;
        self.device.run_list(List::whole(Pass::Forward), &mut plan.forward.iter())?;
        self.device.wait()?;
        let outcome = self.results.read(&self.device, plan, images)?;
        if outcome.loss.is_finite() {
            self.device.run_list(List::whole(Pass::Backward), &mut plan.backward.iter().chain(&plan.update))?;
        }
        Ok(outcome)
    }

    /// One forward pass without dropout.
    ///
    /// # Errors
    /// As [`Network::train`].
    pub fn infer(&mut self, step: &mut Step) -> Result<Outcome, Error> {
        let images = check(&self.inference, step)?;
        self.device.begin(step)?;
        self.images = images;
        self.device.run_list(List::whole(Pass::Inference), &mut self.inference.forward.iter())?;
        self.device.wait()?;
        self.results.read(&self.device, &self.inference, images)
    }

    /// A forward pass without dropout up to `layer`; what it gives to `images` images, per tower
    /// `[images, height, width, channels]`. An activation behind a layer with weights is part of that layer.
    ///
    /// # Errors
    /// As [`Network::train`], and when there is no such layer.
    pub fn features(&mut self, step: &mut Step, layer: &str) -> Result<Vec<Vec<f32>>, Error> {
        let plan = &self.inference;
        let images = check(plan, step)?;
        let place = |name: &str| plan.tensors.iter().position(|tensor| tensor.layer == name);
        let Some(end) = place(layer).filter(|_| layer != "input" && layer != "softmax") else {
            let mut known: Vec<&str> = plan.tensors.iter().map(|tensor| tensor.layer.as_str()).collect();
            known.dedup();
            known.retain(|name| !matches!(*name, "input" | "softmax"));
            return Err(Error::Step(format!("no layer {layer} gives features; expected one of {}", known.join(", "))));
        };
        let up_to = |planned: &&Planned| place(&planned.layer).is_some_and(|own| own <= end);
        let operations: Vec<&Planned> = plan.forward.iter().take_while(up_to).collect();
        self.device.begin(step)?;
        self.images = images;
        operations.iter().try_for_each(|planned| self.device.run(&planned.op))?;
        let values = plan.tensors.iter().filter(|tensor| tensor.layer == layer);
        values.map(|tensor| self.read(Span { len: images * tensor.extent.tower_len(), ..tensor.value })).collect()
    }

    /// The probabilities `[images, classes]` of the last [`Network::infer`].
    ///
    /// # Errors
    /// Those of the device.
    pub fn probabilities(&self, images: usize) -> Result<Vec<f32>, Error> {
        let span = self.inference.results.probabilities;
        let len = span.len / self.inference.images * images;
        self.read(Span { len, ..span })
    }

    /// Where the first number that is not finite stands: a parameter, or the output of a layer in a forward pass of
    /// the step that is still on the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn find_not_finite(&mut self) -> Result<Option<String>, Error> {
        for parameter in &self.inference.parameters {
            if self.read(parameter.value)?.iter().any(|value| !value.is_finite()) {
                return Ok(Some(format!("parameter {}", parameter.name)));
            }
        }
        let mut found = None;
        self.watch_forward(|layer, values, _| {
            if found.is_none() && values.iter().any(|value| !value.is_finite()) {
                found = Some(format!("output of layer {layer}"));
            }
        })?;
        Ok(found)
    }

    /// The strength of each layer's signal in a forward pass of the step that is still on the device. That of an input in
    /// blocks of pixels counts the zeros around images, too.
    ///
    /// # Errors
    /// Those of the device.
    pub fn signals(&mut self) -> Result<Vec<Signal>, Error> {
        let mut signals: Vec<Signal> = Vec::new();
        self.watch_forward(|layer, values, images| {
            let len = values.len() / images;
            let square = |value: f64| value * value;
            let mut total = 0.0;
            let mut between = 0.0;
            for unit in 0..len {
                let image = |i: usize| f64::from(values[i * len + unit]);
                let mean = (0..images).map(image).sum::<f64>() / images as f64;
                total += (0..images).map(|i| square(image(i))).sum::<f64>();
                between += (0..images).map(|i| square(image(i) - mean)).sum::<f64>();
            }
            let root = |sum: f64| (sum / values.len() as f64).sqrt();
            // Towers follow one another; the first stands for the layer.
            if signals.last().is_none_or(|last| last.layer != layer) {
                signals.push(Signal { layer: layer.to_string(), rms: root(total), between_images: root(between) });
            }
        })?;
        Ok(signals)
    }

    /// Runs the forward pass and shows `see` what each operation wrote: layer, values, images.
    fn watch_forward(&mut self, mut see: impl FnMut(&str, &[f32], usize)) -> Result<(), Error> {
        let plan = self.training.as_ref().unwrap_or(&self.inference);
        let images = self.images;
        for Planned { layer, op, .. } in &plan.forward {
            self.device.run(op)?;
            if matches!(op, Op::SoftmaxForward(_) | Op::Exchange(_)) {
                continue;
            }
            for span in written(op) {
                let mut values = vec![0.0; span.len / plan.images * images];
                self.device.read(span, &mut values)?;
                see(layer, &values, images);
            }
        }
        Ok(())
    }
}

/// What an operation writes besides results.
fn written(op: &Op) -> impl Iterator<Item = Span> {
    let is_written = |&(access, span): &(Access, Span)| access == Access::Write && span.region == Region::Work;
    op.operands().into_iter().filter(is_written).map(|(_, span)| span)
}

fn check(plan: &Plan, step: &Step) -> Result<usize, Error> {
    let images = step.images();
    if images == 0 || images > plan.images {
        return Err(Error::Step(format!("{images} images, expected 1 to {}", plan.images)));
    }
    let classes = plan.results.probabilities.len / plan.images;
    if let Some(label) = step.labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::Step(format!("label {label}, expected one below {classes}")));
    }
    if !plan.update.is_empty() && step.rates.len() != plan.parameters.len() {
        let (got, expected) = (step.rates.len(), plan.parameters.len());
        return Err(Error::Step(format!("{got} learning rates, expected {expected}")));
    }
    Ok(images)
}

impl Results {
    /// What the step on the device gave.
    fn read<D: Device>(&mut self, device: &D, plan: &Plan, images: usize) -> Result<Outcome, Error> {
        let Results { losses, ranks } = self;
        losses.resize(images, 0.0);
        ranks.resize(images, 0.0);
        device.read(plan.results.losses, losses)?;
        device.read(plan.results.ranks, ranks)?;
        Ok(Outcome {
            images,
            loss: losses.iter().map(|&loss| f64::from(loss)).sum(),
            top1: ranks.iter().filter(|&&rank| rank < 1.0).count(),
            top5: ranks.iter().filter(|&&rank| rank < 5.0).count(),
        })
    }
}
