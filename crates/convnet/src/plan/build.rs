//! Compiles a net: one pass over its layers for the forward operations, one back for the gradients.

use super::memory::ALIGN;
use super::shape::Shape;
use super::{Mode, Parameter, Plan, Planned, Results, Tensor};
use crate::net::{Extent, Kind, Layer, Learning, Net};
use crate::ops::{
    Activation, Augment, Forward, ForwardTower, InputGrad, InputGradSource, Op, Region, Saved, SoftmaxBackward,
    SoftmaxForward, Span, UnaryBackward, UnaryForward, UnaryGradTower, UnaryShape, UnaryTower, Update, WeightGrad,
    WeightGradTower, WeightedShape,
};

pub(super) fn plan(net: &Net, images: usize, mode: Mode) -> Plan {
    let mut builder = Builder { net, images, mode, lens: [0; Region::ALL.len()], layers: Vec::new() };
    let crop = net.augment.crop;
    let mean = builder.span(Region::Constants, crop * crop * 3);
    let input = builder.values(net.input_of(0));
    let mut forward = vec![Planned {
        layer: "input".to_string(),
        op: Op::Augment(Augment { side: net.augment.image, crop, mean, output: input[0] }),
    }];
    let mut parameters = Vec::new();

    let mut values = input.clone();
    for (index, layer) in net.layers.iter().enumerate() {
        let weights = builder.weights(index, layer, &mut parameters);
        let fused = builder.fuses(index);
        let outputs = if fused { values.clone() } else { builder.outputs(index, layer, &values) };
        builder.layers.push(Built { inputs: values, outputs: outputs.clone(), weights, fused });
        values = outputs;
    }
    let results = Results {
        probabilities: values[0],
        losses: builder.span(Region::Results, images),
        ranks: builder.span(Region::Results, images),
    };
    for (index, layer) in net.layers.iter().enumerate() {
        if !builder.layers[index].fused {
            forward.push(Planned { layer: layer.name.clone(), op: builder.forward(index, &results) });
        }
    }

    let mut backward = Vec::new();
    let mut update = Vec::new();
    let mut gradients = vec![None; net.layers.len() + 1];
    if mode != Mode::Infer {
        backward = builder.backward(&results, &mut gradients);
        update = parameters.iter().enumerate().map(|(i, parameter)| builder.update(i, parameter)).collect();
    }
    let tensors = builder.tensors(&input, &gradients);
    let regions = Region::ALL.map(|region| (region, builder.lens[region as usize])).to_vec();
    let parameters = parameters.into_iter().map(|(parameter, _)| parameter).collect();
    Plan { images, mode, parameters, tensors, forward, backward, update, regions, mean, results }
}

/// The spans of one layer.
struct Built {
    inputs: Vec<Span>,
    outputs: Vec<Span>,
    /// Per tower: the weights of each source, then the bias.
    weights: Vec<(Vec<Span>, Span)>,
    /// Whether an activation was fused into the layer before.
    fused: bool,
}

struct Builder<'a> {
    net: &'a Net,
    images: usize,
    mode: Mode,
    lens: [usize; Region::ALL.len()],
    layers: Vec<Built>,
}

impl Builder<'_> {
    fn span(&mut self, region: Region, len: usize) -> Span {
        let start = self.lens[region as usize];
        self.lens[region as usize] = start + len.next_multiple_of(ALIGN);
        Span::new(region, start, len)
    }

    fn values(&mut self, extent: Extent) -> Vec<Span> {
        (0..extent.towers).map(|_| self.span(Region::Work, self.images * extent.tower_len())).collect()
    }

    /// The outputs of a layer: new memory, except for an activation behind a layer whose own gradient does not need
    /// its output.
    fn outputs(&mut self, index: usize, layer: &Layer, inputs: &[Span]) -> Vec<Span> {
        let before = index.checked_sub(1).map(|before| &self.net.layers[before].kind);
        let output_unused = matches!(before, Some(Kind::Pool { .. } | Kind::Lrn { .. } | Kind::MapNorm { .. }));
        let in_place = matches!(layer.kind, Kind::Activation(_)) && output_unused && self.mode != Mode::Inspect;
        match layer.kind {
            _ if in_place => inputs.to_vec(),
            Kind::Softmax => vec![self.span(Region::Results, self.images * layer.output.tower_len())],
            _ => self.values(layer.output),
        }
    }

    /// Whether the layer is an activation that the layer before computes with its sum.
    fn fuses(&self, index: usize) -> bool {
        let layers = &self.net.layers;
        index > 0
            && self.mode != Mode::Inspect
            && matches!(layers[index].kind, Kind::Activation(_))
            && matches!(layers[index - 1].kind, Kind::Conv { .. } | Kind::Fc { .. })
    }

    /// The activation that the layer computes with its sum.
    fn fused_into(&self, index: usize) -> Option<Activation> {
        match self.net.layers.get(index + 1)?.kind {
            Kind::Activation(activation) if self.fuses(index + 1) => Some(activation),
            _ => None,
        }
    }

    fn weights(
        &mut self,
        index: usize,
        layer: &Layer,
        parameters: &mut Vec<(Parameter, f64)>,
    ) -> Vec<(Vec<Span>, Span)> {
        let Some(&learning) = layer.kind.learning() else { return Vec::new() };
        let input = self.net.input_of(index);
        let outputs = layer.output.channels;
        let dims = match layer.kind {
            Kind::Conv { size, .. } => vec![size, size, input.channels, outputs],
            _ => vec![input.tower_len(), outputs],
        };
        let Learning { init_std, bias, rate, bias_rate, decay, bias_decay } = learning;
        let net = self.net;
        let mut towers = Vec::new();
        for tower in 0..layer.output.towers {
            let mut add = |name: String, dims: &[usize], is_bias: bool| {
                let value = self.span(Region::Weights, dims.iter().product());
                let (init, rate, decay) = if is_bias { (bias, bias_rate, bias_decay) } else { (init_std, rate, decay) };
                let layer = layer.name.clone();
                let parameter = Parameter { name, layer, dims: dims.to_vec(), bias: is_bias, init, rate, value };
                parameters.push((parameter, decay));
                value
            };
            let prefix = format!("{}.tower{tower}", layer.name);
            let sources = net.sources_of(index, tower);
            let weights = sources.iter().map(|source| add(format!("{prefix}.weight{source}"), &dims, false)).collect();
            towers.push((weights, add(format!("{prefix}.bias"), &[outputs], true)));
        }
        self.lens[Region::Momenta as usize] = self.training_len();
        self.lens[Region::Gradients as usize] = self.training_len();
        towers
    }

    /// Velocities and gradients mirror the weights, where there is training.
    fn training_len(&self) -> usize {
        if self.mode == Mode::Infer { 0 } else { self.lens[Region::Weights as usize] }
    }

    fn shape(&self, index: usize) -> Shape {
        Shape::of(self.net, index, self.mode != Mode::Infer)
    }

    fn forward(&self, index: usize, results: &Results) -> Op {
        let built = &self.layers[index];
        match self.shape(index) {
            Shape::Conv(shape) => Op::ConvForward(self.weighted_forward(index, shape)),
            Shape::Fc(shape) => Op::FcForward(self.weighted_forward(index, shape)),
            Shape::Activation(shape) => Op::ActivationForward(unary_forward(built, shape)),
            Shape::Lrn(shape) => Op::LrnForward(unary_forward(built, shape)),
            Shape::MapNorm(shape) => Op::MapNormForward(unary_forward(built, shape)),
            Shape::Pool(shape) => Op::PoolForward(unary_forward(built, shape)),
            Shape::Dropout(shape) => Op::DropoutForward(unary_forward(built, shape)),
            Shape::Softmax => Op::SoftmaxForward(SoftmaxForward {
                classes: self.net.classes,
                logits: built.inputs[0],
                probabilities: results.probabilities,
                losses: results.losses,
                ranks: results.ranks,
            }),
        }
    }

    fn weighted_forward<S: WeightedShape>(&self, index: usize, shape: S) -> Forward<S> {
        let built = &self.layers[index];
        let tower = |(tower, &output): (usize, &Span)| ForwardTower {
            inputs: self.net.sources_of(index, tower).iter().map(|&source| built.inputs[source]).collect(),
            weights: built.weights[tower].0.clone(),
            bias: built.weights[tower].1,
            output,
        };
        let towers = built.outputs.iter().enumerate().map(tower).collect();
        Forward { shape, activation: self.fused_into(index), towers }
    }

    /// The gradients, last layer first. `gradients[i]` becomes the gradients of the `i`-th layer's inputs.
    fn backward(&mut self, results: &Results, gradients: &mut [Option<Vec<Span>>]) -> Vec<Planned> {
        let mut list = Vec::new();
        let layers = &self.net.layers;
        let mut d_outputs = Vec::new();
        for (index, layer) in layers.iter().enumerate().rev() {
            let wanted = index > 0 || self.mode == Mode::Inspect;
            // A fused or in-place activation changes the gradient in place.
            let in_place = self.layers[index].inputs == self.layers[index].outputs;
            let d_inputs = match (in_place, wanted) {
                (true, _) => d_outputs.clone(),
                (false, true) => self.values(self.net.input_of(index)),
                (false, false) => Vec::new(),
            };
            let mut add = |op| list.push(Planned { layer: layer.name.clone(), op });
            let (d_out, d_in) = (&d_outputs, &d_inputs);
            match self.shape(index) {
                Shape::Conv(shape) => {
                    add(Op::ConvWeightGrad(self.weight_grad(index, shape, d_out)));
                    if wanted {
                        add(Op::ConvInputGrad(self.input_grad(index, shape, d_out, d_in)));
                    }
                }
                Shape::Fc(shape) => {
                    add(Op::FcWeightGrad(self.weight_grad(index, shape, d_out)));
                    if wanted {
                        add(Op::FcInputGrad(self.input_grad(index, shape, d_out, d_in)));
                    }
                }
                _ if !wanted => {}
                Shape::Activation(shape) => add(Op::ActivationBackward(self.unary_backward(index, shape, d_out, d_in))),
                Shape::Lrn(shape) => add(Op::LrnBackward(self.unary_backward(index, shape, d_out, d_in))),
                Shape::MapNorm(shape) => add(Op::MapNormBackward(self.unary_backward(index, shape, d_out, d_in))),
                Shape::Pool(shape) => add(Op::PoolBackward(self.unary_backward(index, shape, d_out, d_in))),
                Shape::Dropout(shape) => add(Op::DropoutBackward(self.unary_backward(index, shape, d_out, d_in))),
                Shape::Softmax => add(Op::SoftmaxBackward(SoftmaxBackward {
                    classes: self.net.classes,
                    probabilities: results.probabilities,
                    d_logits: d_inputs[0],
                })),
            }
            gradients[index] = Some(d_inputs.clone()).filter(|spans| !spans.is_empty());
            d_outputs = d_inputs;
        }
        list
    }

    fn weight_grad<S: WeightedShape>(&self, index: usize, shape: S, d_outputs: &[Span]) -> WeightGrad<S> {
        let built = &self.layers[index];
        let gradient = |span: &Span| Span { region: Region::Gradients, ..*span };
        let tower = |(tower, &d_output): (usize, &Span)| WeightGradTower {
            inputs: self.net.sources_of(index, tower).iter().map(|&source| built.inputs[source]).collect(),
            d_output,
            d_weights: built.weights[tower].0.iter().map(gradient).collect(),
            d_bias: gradient(&built.weights[tower].1),
        };
        WeightGrad { shape, towers: d_outputs.iter().enumerate().map(tower).collect() }
    }

    fn input_grad<S: WeightedShape>(
        &self,
        index: usize,
        shape: S,
        d_outputs: &[Span],
        d_inputs: &[Span],
    ) -> InputGrad<S> {
        let built = &self.layers[index];
        let towers = d_outputs.len();
        let source = |(source, &d_input): (usize, &Span)| {
            // Own tower first, then cyclic; towers that do not read this source have no weights for it.
            let consumers = (0..towers).map(|i| (source + i) % towers).filter_map(|tower| {
                let position = self.net.sources_of(index, tower).iter().position(|&read| read == source)?;
                Some((d_outputs[tower], built.weights[tower].0[position]))
            });
            let (d_outputs, weights) = consumers.unzip();
            InputGradSource { d_outputs, weights, d_input }
        };
        InputGrad { shape, sources: d_inputs.iter().enumerate().map(source).collect() }
    }

    fn unary_backward<S: UnaryShape>(
        &self,
        index: usize,
        shape: S,
        d_outputs: &[Span],
        d_inputs: &[Span],
    ) -> UnaryBackward<S> {
        let built = &self.layers[index];
        let tower = |tower: usize| UnaryGradTower {
            saved: match S::SAVED {
                Saved::Input => Some(built.inputs[tower]),
                Saved::Output => Some(built.outputs[tower]),
                Saved::Nothing => None,
            },
            d_output: d_outputs[tower],
            d_input: d_inputs[tower],
        };
        UnaryBackward { shape, towers: (0..d_outputs.len()).map(tower).collect() }
    }

    fn update(&self, index: usize, (parameter, decay): &(Parameter, f64)) -> Planned {
        let training = &self.net.training;
        let op = Op::Update(Update {
            parameter: index,
            momentum: training.momentum as f32,
            decay: (training.decay * decay) as f32,
            weights: parameter.value,
            velocity: parameter.velocity(),
            gradient: parameter.gradient(),
        });
        Planned { layer: parameter.layer.clone(), op }
    }

    fn tensors(&self, input: &[Span], gradients: &[Option<Vec<Span>>]) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        let mut add = |layer: &str, extent: Extent, values: &[Span], gradients: &Option<Vec<Span>>| {
            for (tower, &value) in values.iter().enumerate() {
                let gradient = gradients.as_ref().map(|spans| spans[tower]);
                tensors.push(Tensor { layer: layer.to_string(), tower, extent, value, gradient });
            }
        };
        add("input", self.net.input_of(0), input, &gradients[0]);
        for (index, (layer, built)) in self.net.layers.iter().zip(&self.layers).enumerate() {
            add(&layer.name, layer.output, &built.outputs, &gradients[index + 1]);
        }
        tensors
    }
}

fn unary_forward<S: UnaryShape>(built: &Built, shape: S) -> UnaryForward<S> {
    let pairs = built.inputs.iter().zip(&built.outputs);
    UnaryForward { shape, towers: pairs.map(|(&input, &output)| UnaryTower { input, output }).collect() }
}
