//! The gradients of a net, last layer first.
//!
//! A layer that reads towers of several shards has its input gradient in three steps: each shard computes the partials
//! of its own towers, an exchange brings each to the shard of the input, and `Add` sums them there in the order in which
//! one device does. Gradients of weights stand between exchange and sum: they do not need what is under way. Where they
//! are updates, too, they stand behind all that reads the old weights.

use super::build::Builder;
use super::placement::Value;
use super::shape::Shape;
use super::{Mode, Planned, Results};
use crate::ops::{
    Add, AddTower, Exchange, FcShape, FcWeightUpdate, FcWeightUpdateTower, InputGrad, InputGradSource, Op, Saved,
    SoftmaxBackward, Span, Transfer, UnaryBackward, UnaryGradTower, UnaryShape, UpdatedWeights, WeightGrad,
    WeightGradTower, WeightedShape,
};

impl Builder<'_> {
    /// The gradients. `gradients[i]` becomes the gradients of the `i`-th layer's inputs.
    pub(super) fn backward(&mut self, results: &Results, gradients: &mut [Option<Vec<Value>>]) -> Vec<Planned> {
        let mut list = Vec::new();
        let mut d_outputs = Vec::new();
        for (index, layer) in self.net.layers.iter().enumerate().rev() {
            let wanted = index > 0 || self.mode == Mode::Inspect;
            let built = &self.layers[index];
            // A fused or in-place activation changes the gradient in place.
            let in_place = built.inputs[0].own == built.outputs[0].own;
            let d_inputs = match (in_place, wanted) {
                (true, _) => d_outputs.iter().map(|value: &Value| Value::new(value.own)).collect(),
                (false, false) => Vec::new(),
                (false, true) if self.is_joined(index) => self.everywhere(self.net.input_of(index)),
                (false, true) => self.values(self.net.input_of(index)),
            };
            let operations = match self.shape(index) {
                Shape::Conv(shape) => {
                    let weight_grads = self.weight_grads(index, shape, &d_outputs, Op::ConvWeightGrad);
                    self.weighted(index, shape, (&d_outputs, &d_inputs), Op::ConvInputGrad, weight_grads)
                }
                Shape::Fc(shape) => {
                    let weight_grads = if self.fuses_update(index) {
                        self.weight_updates(index, shape, &d_outputs)
                    } else {
                        self.weight_grads(index, shape, &d_outputs, Op::FcWeightGrad)
                    };
                    self.weighted(index, shape, (&d_outputs, &d_inputs), Op::FcInputGrad, weight_grads)
                }
                _ if !wanted || self.is_pooled(index) || self.is_rectifier_of_pooled(index) => Vec::new(),
                shape => self.unary(index, shape, &mut d_outputs, &d_inputs, results),
            };
            list.extend(operations.into_iter().map(|op| Planned::new(&layer.name, op)));
            gradients[index] = Some(d_inputs.clone()).filter(|values| !values.is_empty());
            d_outputs = d_inputs;
        }
        list
    }

    /// The gradients of a layer with weights; those of the weights are given.
    fn weighted<S: WeightedShape>(
        &mut self,
        index: usize,
        shape: S,
        (d_outputs, d_inputs): (&[Value], &[Value]),
        input_grad: fn(InputGrad<S>) -> Op,
        weight_grads: Vec<Op>,
    ) -> Vec<Op> {
        let partials = self.partials(index, d_outputs, d_inputs);
        let input_grads = partials.sources.into_iter().filter(|sources| !sources.is_empty());
        let mut list: Vec<Op> = input_grads.map(|sources| input_grad(InputGrad { shape, sources })).collect();
        let len = self.net.input_of(index).tower_len();
        if !partials.transfers.is_empty() {
            list.push(Op::Exchange(Exchange { len, transfers: partials.transfers }));
        }
        list.extend(weight_grads);
        let sums = partials.sums.into_iter().filter(|towers| !towers.is_empty());
        list.extend(sums.map(|towers| Op::Add(Add { len, towers })));
        list
    }

    /// The gradients of the weights on each shard.
    fn weight_grads<S: WeightedShape>(
        &self,
        index: usize,
        shape: S,
        d_outputs: &[Value],
        weight_grad: fn(WeightGrad<S>) -> Op,
    ) -> Vec<Op> {
        let tower = |tower: usize, shard: usize| {
            let (weights, bias) = &self.layers[index].weights[tower];
            WeightGradTower {
                inputs: self.inputs_of(index, tower, shard),
                d_output: d_outputs[tower].own,
                d_weights: weights.iter().map(|&weight| self.gradient_of(weight)).collect(),
                d_bias: self.gradient_of(*bias),
            }
        };
        self.on_shards(index, tower).map(|towers| weight_grad(WeightGrad { shape, towers })).collect()
    }

    /// As [`Builder::weight_grads`], of weights that are updated at once.
    fn weight_updates(&self, index: usize, shape: FcShape, d_outputs: &[Value]) -> Vec<Op> {
        let tower = |tower: usize, shard: usize| {
            let (weights, bias) = &self.layers[index].weights[tower];
            let sources = self.inputs_of(index, tower, shard).into_iter().zip(weights).map(|(input, &parameter)| {
                let learnt = &self.parameters[parameter].0;
                UpdatedWeights { input, parameter, weights: learnt.value, velocity: learnt.velocity() }
            });
            let (d_output, d_bias) = (d_outputs[tower].own, self.gradient_of(*bias));
            FcWeightUpdateTower { d_output, sources: sources.collect(), d_bias }
        };
        let momentum = self.net.training.momentum as f32;
        let decay = self.parameters[self.layers[index].weights[0].0[0]].1;
        let update = |towers| Op::FcWeightUpdate(FcWeightUpdate { shape, momentum, decay, towers });
        self.on_shards(index, tower).map(update).collect()
    }

    /// What `of` makes of each tower of a layer and its shard, for the shards that have any.
    fn on_shards<T>(&self, index: usize, of: impl Fn(usize, usize) -> T) -> impl Iterator<Item = Vec<T>> {
        let on = move |shard: usize| self.towers_on(index, shard).map(|tower| of(tower, shard)).collect::<Vec<T>>();
        (0..self.placement.shards).map(on).filter(|towers| !towers.is_empty())
    }

    /// The gradient of a parameter that has one.
    fn gradient_of(&self, parameter: usize) -> Span {
        self.parameters[parameter].0.gradient.expect("it is written, so it has a place")
    }

    /// The parts of an input gradient.
    fn partials(&mut self, index: usize, d_outputs: &[Value], d_inputs: &[Value]) -> Partials {
        let (net, shards, towers) = (self.net, self.placement.shards, d_outputs.len());
        let none =
            || Partials { sources: vec![Vec::new(); shards], transfers: Vec::new(), sums: vec![Vec::new(); shards] };
        let mut partials = none();
        for (source, d_input) in d_inputs.iter().enumerate() {
            // Own tower first, then cyclic; towers that do not read this source have no weights for it.
            let consumers = (0..towers).map(|i| (source + i) % towers).filter_map(|tower| {
                let position = net.sources_of(index, tower).iter().position(|&read| read == source)?;
                let weights = self.layers[index].weights[tower].0[position];
                Some((d_outputs[tower].own, self.parameters[weights].0.value))
            });
            let (consumers, weights): (Vec<Span>, Vec<Span>) = consumers.unzip();
            let home = d_input.own.shard;
            if consumers.iter().all(|d_output| d_output.shard == home) {
                let whole = InputGradSource { d_outputs: consumers, weights, d_input: d_input.own };
                partials.sources[home].push(whole);
                continue;
            }
            let mut addends = Vec::new();
            for (order, (d_output, weights)) in consumers.into_iter().zip(weights).enumerate() {
                let mut room = |shard| self.work(shard, net.input_of(index));
                let at_home = if order == 0 { d_input.own } else { room(home) };
                let mut computed = at_home;
                if d_output.shard != home {
                    computed = room(d_output.shard);
                    partials.transfers.push(Transfer { from: computed, to: at_home });
                }
                let part = InputGradSource { d_outputs: vec![d_output], weights: vec![weights], d_input: computed };
                partials.sources[d_output.shard].push(part);
                if order > 0 {
                    addends.push(at_home);
                }
            }
            if !addends.is_empty() {
                partials.sums[home].push(AddTower { target: d_input.own, addends });
            }
        }
        partials
    }

    /// The gradient of a layer without weights.
    fn unary(
        &mut self,
        index: usize,
        shape: Shape,
        d_outputs: &mut [Value],
        d_inputs: &[Value],
        results: &Results,
    ) -> Vec<Op> {
        let mut list = Vec::new();
        if self.is_joined(index) {
            let exchange = self.bring(d_outputs, self.net.layers[index].output, |_, _| true);
            list.extend(exchange.map(Op::Exchange));
        }
        for shard in 0..self.placement.shards {
            let Some(first_tower) = self.towers_on(index, shard).next() else { continue };
            let of = Gradients { builder: self, index, shard, d_outputs, d_inputs };
            list.push(match shape {
                Shape::Conv(_) | Shape::Fc(_) => continue,
                Shape::Activation(shape) => Op::ActivationBackward(of.unary(shape)),
                Shape::Lrn(shape) => Op::LrnBackward(of.unary(shape)),
                Shape::LrnPool(shape) => Op::LrnPoolBackward(of.unary(shape)),
                Shape::MapNorm(shape) => Op::MapNormBackward(of.unary(shape)),
                Shape::Pool(shape) => Op::PoolBackward(of.unary(shape)),
                Shape::Dropout(shape) => Op::DropoutBackward(of.unary(shape.from_tower(first_tower))),
                Shape::Softmax => Op::SoftmaxBackward(SoftmaxBackward {
                    classes: self.net.classes,
                    probabilities: results.probabilities,
                    d_logits: d_inputs[0].own,
                }),
            });
        }
        list
    }
}

/// An input gradient in parts.
struct Partials {
    /// What each shard computes.
    sources: Vec<Vec<InputGradSource>>,
    /// What goes from shard to shard.
    transfers: Vec<Transfer>,
    /// What each shard adds.
    sums: Vec<Vec<AddTower>>,
}

/// The operands of a gradient without weights on one shard.
struct Gradients<'a, 'b> {
    builder: &'a Builder<'b>,
    index: usize,
    shard: usize,
    d_outputs: &'a [Value],
    d_inputs: &'a [Value],
}

impl Gradients<'_, '_> {
    fn unary<S: UnaryShape>(&self, shape: S) -> UnaryBackward<S> {
        let built = &self.builder.layers[self.index];
        let tower = |tower: usize| UnaryGradTower {
            saved: match S::SAVED {
                Saved::Input => Some(built.inputs[tower].on(self.shard)),
                Saved::Output => Some(built.outputs[tower].on(self.shard)),
                Saved::Nothing => None,
            },
            d_output: self.d_outputs[tower].on(self.shard),
            d_input: self.d_inputs[tower].on(self.shard),
        };
        UnaryBackward { shape, towers: self.builder.towers_on(self.index, self.shard).map(tower).collect() }
    }
}
