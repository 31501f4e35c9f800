//! Layers laid out in memory, with the operations of their forward pass and gradients.

use convnet::ops::{
    Activation, ConvShape, FcShape, FcWeightUpdate, FcWeightUpdateTower, Forward, ForwardTower, InputGrad,
    InputGradSource, Op, Region, Saved, Span, UnaryBackward, UnaryForward, UnaryGradTower, UnaryShape, UnaryTower,
    Update, UpdatedWeights, WeightGrad, WeightGradTower, WeightedShape, window_count,
};

use super::memory::{Fill, Memory};

/// How a layer is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Images of the step.
    pub images: usize,
    /// Towers of the layer.
    pub towers: usize,
    /// Whether every tower reads all towers, or its own only.
    pub all: bool,
    /// Fused behind a layer with weights.
    pub activation: Option<Activation>,
    /// Whether a layer without weights writes over its input, its gradient over the output's.
    pub in_place: bool,
    /// The inputs.
    pub fill: Fill,
    /// Selects the random numbers.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Setup {
        let (activation, fill) = (None, Fill::Signed);
        Setup { images: 2, towers: 1, all: false, activation, in_place: false, fill, seed: 1 }
    }
}

/// A convolution over pixels with as many windows as fit, counted down or up, and `overhang` more in each row and column.
pub fn conv_shape(
    [in_height, in_width]: [usize; 2],
    [channels, filters]: [usize; 2],
    [size, stride, pad]: [usize; 3],
    ceil: bool,
    overhang: usize,
) -> ConvShape {
    let [out_height, out_width] =
        [in_height, in_width].map(|extent| window_count(extent, pad, size, stride, ceil) + overhang);
    let in_blocks = false;
    ConvShape { in_height, in_width, channels, out_height, out_width, filters, size, stride, pad, in_blocks }
}

/// A layer with weights.
pub struct Weighted<S> {
    pub memory: Memory,
    pub forward: Forward<S>,
    pub input_grad: InputGrad<S>,
    pub weight_grad: WeightGrad<S>,
}

/// A layer without weights.
pub struct Unary<S> {
    pub memory: Memory,
    pub forward: UnaryForward<S>,
    pub backward: UnaryBackward<S>,
}

/// Lays out a layer with weights.
pub fn weighted<S: WeightedShape>(shape: S, setup: Setup) -> Weighted<S> {
    let mut memory = Memory::new(setup.seed);
    let Setup { images, towers, activation, fill, .. } = setup;
    let reads = if setup.all { towers } else { 1 };
    let cyclic = |first: usize| (0..reads).map(move |i| (first + i) % towers);
    let images_of = |len: usize, fill: Fill, memory: &mut Memory| -> Vec<Span> {
        (0..towers).map(|_| memory.images(images, len, fill)).collect()
    };
    let inputs = images_of(shape.input_len(), fill, &mut memory);
    let d_inputs = images_of(shape.input_len(), Fill::Signed, &mut memory);
    let outputs = images_of(shape.output_len(), Fill::Signed, &mut memory);
    let d_outputs = images_of(shape.output_len(), Fill::Signed, &mut memory);
    let mut parameters = |region: Region, len: usize| -> Vec<Vec<Span>> {
        (0..towers).map(|_| (0..towers).map(|_| memory.exact(region, len, Fill::Signed)).collect()).collect()
    };
    let weights = parameters(Region::Weights, shape.weight_len());
    let biases = parameters(Region::Weights, shape.bias_len());
    let d_weights = parameters(Region::Gradients, shape.weight_len());
    let d_biases = parameters(Region::Gradients, shape.bias_len());

    let forward = |t: usize| ForwardTower {
        inputs: cyclic(t).map(|s| inputs[s]).collect(),
        weights: cyclic(t).map(|s| weights[t][s]).collect(),
        bias: biases[t][0],
        output: outputs[t],
    };
    let input_grad = |s: usize| InputGradSource {
        d_outputs: cyclic(s).map(|t| d_outputs[t]).collect(),
        weights: cyclic(s).map(|t| weights[t][s]).collect(),
        d_input: d_inputs[s],
    };
    let weight_grad = |t: usize| WeightGradTower {
        inputs: cyclic(t).map(|s| inputs[s]).collect(),
        d_output: d_outputs[t],
        d_weights: cyclic(t).map(|s| d_weights[t][s]).collect(),
        d_bias: d_biases[t][0],
    };
    Weighted {
        forward: Forward { shape, activation, towers: (0..towers).map(forward).collect() },
        input_grad: InputGrad { shape, sources: (0..towers).map(input_grad).collect() },
        weight_grad: WeightGrad { shape, towers: (0..towers).map(weight_grad).collect() },
        memory,
    }
}

/// The update of a fully connected layer's weights by their gradient, with velocities that it lays out: as one
/// operation, and as several that do the same.
pub fn updates(layer: &mut Weighted<FcShape>) -> (Op, Vec<Op>) {
    let (shape, momentum, decay) = (layer.weight_grad.shape, 0.9, 0.02);
    let (mut towers, mut apart) = (Vec::new(), vec![Op::FcWeightGrad(layer.weight_grad.clone())]);
    for (tower, forward) in layer.weight_grad.towers.iter().zip(&layer.forward.towers) {
        let mut sources = Vec::new();
        for ((&input, &gradient), &weights) in tower.inputs.iter().zip(&tower.d_weights).zip(&forward.weights) {
            let parameter = apart.len() % 3;
            let velocity = layer.memory.exact(Region::Momenta, weights.len, Fill::Signed);
            sources.push(UpdatedWeights { input, parameter, weights, velocity });
            apart.push(Op::Update(Update { parameter, momentum, decay, weights, velocity, gradient }));
        }
        towers.push(FcWeightUpdateTower { d_output: tower.d_output, sources, d_bias: tower.d_bias });
    }
    (Op::FcWeightUpdate(FcWeightUpdate { shape, momentum, decay, towers }), apart)
}

/// Lays out a layer without weights.
pub fn unary<S: UnaryShape>(shape: S, setup: Setup) -> Unary<S> {
    let mut memory = Memory::new(setup.seed);
    let Setup { images, towers, in_place, fill, .. } = setup;
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for _ in 0..towers {
        let input = memory.images(images, shape.input_len(), fill);
        let output = if in_place { input } else { memory.images(images, shape.output_len(), fill) };
        let d_output = memory.images(images, shape.output_len(), Fill::Signed);
        let d_input = if in_place { d_output } else { memory.images(images, shape.input_len(), Fill::Signed) };
        let saved = match S::SAVED {
            Saved::Input => Some(input),
            Saved::Output => Some(output),
            Saved::Nothing => None,
        };
        forward.push(UnaryTower { input, output });
        backward.push(UnaryGradTower { saved, d_output, d_input });
    }
    let (forward, backward) = (UnaryForward { shape, towers: forward }, UnaryBackward { shape, towers: backward });
    Unary { memory, forward, backward }
}
