//! Compiles a net: one pass over its layers for the forward operations; `backward` has the one back.
//!
//! Each shard gets an operation for its towers of a layer. Where a layer reads towers of other shards, an exchange
//! brings them first.

use super::memory::ALIGN;
use super::placement::{Placement, Value};
use super::shape::Shape;
use super::{Mode, Parameter, Plan, Planned, Results, Tensor};
use crate::net::{Extent, Kind, Layer, Learning, Net};
use crate::ops::{
    Activation, Augment, Blocks, ConvShape, Device, Exchange, Forward, ForwardTower, LrnPoolShape, Op, Region,
    SoftmaxForward, Span, Transfer, UnaryForward, UnaryShape, UnaryTower, Update, WeightedShape,
};

pub(super) fn plan(net: &Net, placement: Placement, images: usize, mode: Mode, device: Option<&dyn Device>) -> Plan {
    let shards = placement.shards;
    let lens = vec![[0; Region::ALL.len()]; shards];
    let blocks = match Shape::of(net, 0, false) {
        Shape::Conv(shape) if mode != Mode::Inspect && device.is_some_and(|device| device.prefers_blocks(&shape)) => {
            Some(shape.blocks())
        }
        _ => None,
    };
    // A forward pass alone keeps the output of every such layer: `features` reads it.
    let pools_normalised = mode == Mode::Train && device.is_some_and(Device::pools_normalised);
    let (parameters, layers) = (Vec::new(), Vec::new());
    let mut builder = Builder { net, placement, images, mode, blocks, pools_normalised, lens, parameters, layers };
    let crop = net.augment.crop;
    let means = (0..shards).map(|shard| builder.span(shard, Region::Constants, crop * crop * 3)).collect::<Vec<_>>();
    let input = builder.everywhere(builder.input());
    let augment = |output: Span| {
        let augment = Augment { side: net.augment.image, crop, mean: means[output.shard], blocks, output };
        Planned::new("input", Op::Augment(augment))
    };
    let mut forward: Vec<Planned> = input[0].all().map(augment).collect();

    let mut values = input.clone();
    for (index, layer) in net.layers.iter().enumerate() {
        let exchange = builder.bring_inputs(index, &mut values);
        let weights = builder.weights(index, layer);
        let fused = builder.fuses(index) || builder.is_pooled(index);
        let outputs = if fused { values.clone() } else { builder.outputs(index, layer, &values) };
        builder.layers.push(Built { inputs: values, outputs: outputs.clone(), weights, exchange, fused });
        values = outputs;
    }
    let results = Results {
        probabilities: values[0].own,
        losses: builder.span(0, Region::Results, images),
        ranks: builder.span(0, Region::Results, images),
    };
    for (index, layer) in net.layers.iter().enumerate() {
        let built = &builder.layers[index];
        if !built.fused {
            let operations = (0..shards).filter_map(|shard| builder.forward(index, shard, &results));
            let operations = built.exchange.clone().map(Op::Exchange).into_iter().chain(operations);
            forward.extend(operations.map(|op| Planned::new(&layer.name, op)));
        }
    }

    let mut backward = Vec::new();
    let mut update = Vec::new();
    let mut gradients = vec![None; net.layers.len() + 1];
    if mode != Mode::Infer {
        backward = builder.backward(&results, &mut gradients);
        update = (0..builder.parameters.len()).filter_map(|parameter| builder.update(parameter)).collect();
    }
    let tensors = builder.tensors(&input, &gradients);
    let all = |shard: usize| {
        let len = builder.lens[shard];
        Region::ALL.map(|region| Span { region, start: 0, len: len[region as usize], shard })
    };
    let regions = (0..shards).flat_map(all).collect();
    let parameters = builder.parameters.into_iter().map(|(parameter, _)| parameter).collect();
    Plan { images, mode, shards, parameters, tensors, forward, backward, update, regions, mean: means[0], results }
}

/// The spans of one layer.
pub(super) struct Built {
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    /// Per tower, by their index: the weights of each source, then the bias.
    pub(super) weights: Vec<(Vec<usize>, usize)>,
    /// Brings inputs from other shards.
    exchange: Option<Exchange>,
    /// Whether the layer is an activation that was fused into the layer before, or a normalisation that was fused into
    /// the one behind: its outputs are its inputs.
    pub(super) fused: bool,
}

pub(super) struct Builder<'a> {
    pub(super) net: &'a Net,
    pub(super) placement: Placement,
    images: usize,
    pub(super) mode: Mode,
    /// The blocks that the input is in, if any.
    blocks: Option<Blocks>,
    /// Whether a normalisation across maps and the pooling behind it are one operation.
    pools_normalised: bool,
    /// Floats of each region of each shard.
    lens: Vec<[usize; Region::ALL.len()]>,
    /// Each with its weight decay.
    pub(super) parameters: Vec<(Parameter, f32)>,
    pub(super) layers: Vec<Built>,
}

impl Builder<'_> {
    /// The network's input.
    fn input(&self) -> Extent {
        let pixels = self.net.input_of(0);
        let in_blocks = |Blocks { rows, columns, .. }: Blocks, maps| Extent {
            height: rows,
            width: columns,
            channels: maps,
            ..pixels
        };
        self.blocks.map_or(pixels, |blocks| in_blocks(blocks, blocks.maps(pixels.channels)))
    }

    pub(super) fn span(&mut self, shard: usize, region: Region, len: usize) -> Span {
        let end = &mut self.lens[shard][region as usize];
        let start = *end;
        *end += len.next_multiple_of(ALIGN);
        Span { region, start, len, shard }
    }

    /// Room for activations of one tower on a shard.
    pub(super) fn work(&mut self, shard: usize, extent: Extent) -> Span {
        self.span(shard, Region::Work, self.images * extent.tower_len())
    }

    /// Room for each tower on its shard.
    pub(super) fn values(&mut self, extent: Extent) -> Vec<Value> {
        let towers = extent.towers;
        (0..towers).map(|tower| Value::new(self.work(self.placement.shard_of(tower, towers), extent))).collect()
    }

    /// Room for each tower on every shard.
    pub(super) fn everywhere(&mut self, extent: Extent) -> Vec<Value> {
        let mut values = self.values(extent);
        for value in &mut values {
            let others = (0..self.placement.shards).filter(|&shard| shard != value.own.shard);
            value.copies = others.map(|shard| self.work(shard, extent)).collect();
        }
        values
    }

    /// The exchange that brings every value to the shards where `is_read(value, shard)`, unless all are there.
    pub(super) fn bring(
        &mut self,
        values: &mut [Value],
        extent: Extent,
        is_read: impl Fn(usize, usize) -> bool,
    ) -> Option<Exchange> {
        let mut transfers = Vec::new();
        for shard in 0..self.placement.shards {
            for (index, value) in values.iter_mut().enumerate() {
                if is_read(index, shard) && value.find(shard).is_none() {
                    let to = self.work(shard, extent);
                    value.copies.push(to);
                    transfers.push(Transfer { from: value.own, to });
                }
            }
        }
        (!transfers.is_empty()).then_some(Exchange { len: extent.tower_len(), transfers })
    }

    /// Brings a layer's inputs to the shards that read them.
    fn bring_inputs(&mut self, index: usize, inputs: &mut [Value]) -> Option<Exchange> {
        let (net, placement) = (self.net, self.placement);
        let towers = net.layers[index].output.towers;
        let is_read = |source: usize, shard: usize| {
            placement.towers_on(shard, towers).any(|tower| net.sources_of(index, tower).contains(&source))
        };
        self.bring(inputs, net.input_of(index), is_read)
    }

    /// The outputs of a layer: new memory, except for an activation behind a layer whose own gradient does not need
    /// its output.
    fn outputs(&mut self, index: usize, layer: &Layer, inputs: &[Value]) -> Vec<Value> {
        let before = index.checked_sub(1).map(|before| &self.net.layers[before].kind);
        let output_unused = matches!(before, Some(Kind::Pool { .. } | Kind::Lrn { .. } | Kind::MapNorm { .. }));
        let in_place = matches!(layer.kind, Kind::Activation(_)) && output_unused && self.mode != Mode::Inspect;
        match layer.kind {
            _ if in_place => inputs.iter().map(|value| Value::new(value.own)).collect(),
            Kind::Softmax => vec![Value::new(self.span(0, Region::Results, self.images * layer.output.tower_len()))],
            _ if self.is_joined(index) => self.everywhere(layer.output),
            _ => self.values(layer.output),
        }
    }

    /// Whether the layer computes all towers together: then each shard computes all of them.
    pub(super) fn is_joined(&self, index: usize) -> bool {
        matches!(self.shape(index), Shape::Lrn(shape) if shape.joined > 1)
    }

    /// The towers that a shard computes.
    pub(super) fn towers_on(&self, index: usize, shard: usize) -> std::ops::Range<usize> {
        let towers = self.net.layers[index].output.towers;
        if self.is_joined(index) { 0..towers } else { self.placement.towers_on(shard, towers) }
    }

    /// Whether the layer is an activation that the layer before computes with its sum.
    fn fuses(&self, index: usize) -> bool {
        let layers = &self.net.layers;
        index > 0
            && self.mode != Mode::Inspect
            && matches!(layers[index].kind, Kind::Activation(_))
            && matches!(layers[index - 1].kind, Kind::Conv { .. } | Kind::Fc { .. })
    }

    /// Whether the layer is a normalisation that the pooling behind it computes.
    pub(super) fn is_pooled(&self, index: usize) -> bool {
        let layers = &self.net.layers;
        self.pools_normalised
            && matches!(layers[index].kind, Kind::Lrn { .. })
            && layers.get(index + 1).is_some_and(|next| matches!(next.kind, Kind::Pool { .. }))
            // Over towers of several shards, exchanges are those of a normalisation.
            && (self.placement.shards == 1 || !self.is_joined(index))
    }

    /// Whether the gradient of the layer, a ReLU, is taken by the operation of the pooling behind the normalisation
    /// behind it.
    pub(super) fn is_rectifier_of_pooled(&self, index: usize) -> bool {
        let is_relu = matches!(self.net.layers[index].kind, Kind::Activation(Activation::Relu));
        is_relu && self.layers[index].fused && index + 1 < self.net.layers.len() && self.is_pooled(index + 1)
    }

    /// The activation that the layer computes with its sum.
    fn fused_into(&self, index: usize) -> Option<Activation> {
        match self.net.layers.get(index + 1)?.kind {
            Kind::Activation(activation) if self.fuses(index + 1) => Some(activation),
            _ => None,
        }
    }

    /// Whether the weights of the layer are updated as their gradient is computed.
    pub(super) fn fuses_update(&self, index: usize) -> bool {
        self.mode == Mode::Train && matches!(self.net.layers[index].kind, Kind::Fc { .. })
    }

    fn weights(&mut self, index: usize, layer: &Layer) -> Vec<(Vec<usize>, usize)> {
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
            let shard = self.placement.shard_of(tower, layer.output.towers);
            let mut add = |name: String, dims: &[usize], is_bias: bool| {
                let value = self.span(shard, Region::Weights, dims.iter().product());
                let (init, rate, decay) = if is_bias { (bias, bias_rate, bias_decay) } else { (init_std, rate, decay) };
                let written = self.mode != Mode::Infer && (is_bias || !self.fuses_update(index));
                let gradient = written.then(|| self.span(shard, Region::Gradients, value.len));
                let (layer, dims) = (layer.name.clone(), dims.to_vec());
                let parameter = Parameter { name, layer, dims, bias: is_bias, init, rate, value, gradient };
                self.parameters.push((parameter, (net.training.decay * decay) as f32));
                self.parameters.len() - 1
            };
            let prefix = format!("{}.tower{tower}", layer.name);
            let sources = net.sources_of(index, tower);
            let weights = sources.iter().map(|source| add(format!("{prefix}.weight{source}"), &dims, false)).collect();
            towers.push((weights, add(format!("{prefix}.bias"), &[outputs], true)));
        }
        // Velocities mirror the weights, where there is training.
        if self.mode != Mode::Infer {
            for lens in &mut self.lens {
                lens[Region::Momenta as usize] = lens[Region::Weights as usize];
            }
        }
        towers
    }

    pub(super) fn shape(&self, index: usize) -> Shape {
        let of = |index| Shape::of(self.net, index, self.mode != Mode::Infer);
        let before = index.checked_sub(1).filter(|&before| self.is_pooled(before));
        match (of(index), before.map(of)) {
            (Shape::Pool(pool), Some(Shape::Lrn(lrn))) => {
                let rectified = index > 1 && self.is_rectifier_of_pooled(index - 2);
                Shape::LrnPool(LrnPoolShape { lrn, pool, rectified })
            }
            (Shape::Conv(shape), _) if index == 0 => {
                Shape::Conv(ConvShape { in_blocks: self.blocks.is_some(), ..shape })
            }
            (shape, _) => shape,
        }
    }

    /// What a shard does for a layer, if anything.
    fn forward(&self, index: usize, shard: usize, results: &Results) -> Option<Op> {
        let first_tower = self.towers_on(index, shard).next()?;
        let built = &self.layers[index];
        Some(match self.shape(index) {
            Shape::Conv(shape) => Op::ConvForward(self.weighted_forward(index, shard, shape)),
            Shape::Fc(shape) => Op::FcForward(self.weighted_forward(index, shard, shape)),
            Shape::Activation(shape) => Op::ActivationForward(self.unary_forward(index, shard, shape)),
            Shape::Lrn(shape) => Op::LrnForward(self.unary_forward(index, shard, shape)),
            Shape::LrnPool(shape) => Op::LrnPoolForward(self.unary_forward(index, shard, shape)),
            Shape::MapNorm(shape) => Op::MapNormForward(self.unary_forward(index, shard, shape)),
            Shape::Pool(shape) => Op::PoolForward(self.unary_forward(index, shard, shape)),
            Shape::Dropout(shape) => {
                Op::DropoutForward(self.unary_forward(index, shard, shape.from_tower(first_tower)))
            }
            Shape::Softmax => Op::SoftmaxForward(SoftmaxForward {
                classes: self.net.classes,
                logits: built.inputs[0].own,
                probabilities: results.probabilities,
                losses: results.losses,
                ranks: results.ranks,
            }),
        })
    }

    fn weighted_forward<S: WeightedShape>(&self, index: usize, shard: usize, shape: S) -> Forward<S> {
        let built = &self.layers[index];
        let tower = |tower: usize| ForwardTower {
            inputs: self.inputs_of(index, tower, shard),
            weights: built.weights[tower].0.iter().map(|&index| self.parameters[index].0.value).collect(),
            bias: self.parameters[built.weights[tower].1].0.value,
            output: built.outputs[tower].on(shard),
        };
        let towers = self.towers_on(index, shard).map(tower).collect();
        Forward { shape, activation: self.fused_into(index), towers }
    }

    /// What a tower reads, own tower first, then cyclic.
    pub(super) fn inputs_of(&self, index: usize, tower: usize, shard: usize) -> Vec<Span> {
        let inputs = &self.layers[index].inputs;
        self.net.sources_of(index, tower).iter().map(|&source| inputs[source].on(shard)).collect()
    }

    fn unary_forward<S: UnaryShape>(&self, index: usize, shard: usize, shape: S) -> UnaryForward<S> {
        let Built { inputs, outputs, .. } = &self.layers[index];
        let tower = |tower: usize| UnaryTower { input: inputs[tower].on(shard), output: outputs[tower].on(shard) };
        UnaryForward { shape, towers: self.towers_on(index, shard).map(tower).collect() }
    }

    /// The update of a parameter whose gradient is written.
    fn update(&self, index: usize) -> Option<Planned> {
        let (parameter, decay) = &self.parameters[index];
        let op = Op::Update(Update {
            parameter: index,
            momentum: self.net.training.momentum as f32,
            decay: *decay,
            weights: parameter.value,
            velocity: parameter.velocity(),
            gradient: parameter.gradient?,
        });
        Some(Planned::new(&parameter.layer, op))
    }

    fn tensors(&self, input: &[Value], gradients: &[Option<Vec<Value>>]) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        let mut add = |layer: &str, extent: Extent, values: &[Value], gradients: &Option<Vec<Value>>| {
            for (tower, value) in values.iter().enumerate() {
                let gradient = gradients.as_ref().map(|values| values[tower].own);
                tensors.push(Tensor { layer: layer.to_string(), tower, extent, value: value.own, gradient });
            }
        };
        add("input", self.input(), input, &gradients[0]);
        for (index, (layer, built)) in self.net.layers.iter().zip(&self.layers).enumerate() {
            add(&layer.name, layer.output, &built.outputs, &gradients[index + 1]);
        }
        tensors
    }
}
