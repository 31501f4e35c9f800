//! Finite differences: every gradient of the naive device against its own forward pass, in f64.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::layers::{Setup, conv_shape, unary, weighted};
use common::memory::{Fill, Memory, read};
use common::step;
use convnet::naive::Naive;
use convnet::ops::{
    Activation, ActivationShape, ConvShape, Device, DropoutShape, FcShape, LrnShape, MapNormShape, Op, PoolShape,
    Scaling, SoftmaxBackward, SoftmaxForward, Span, UnaryBackward, UnaryForward, UnaryShape, WeightedShape,
    window_count,
};

/// A forward pass whose result is one number: the scalar product of outputs and given factors.
struct Objective {
    device: Naive,
    forward: Op,
    /// Outputs, and where their factors lie.
    outputs: Vec<(Span, Vec<f64>)>,
}

impl Objective {
    /// Loads the memory, runs the forward pass and the gradients.
    fn new(memory: &Memory, images: usize, forward: Op, backward: &[Op], outputs: &[(Span, Span)]) -> Objective {
        let mut device = Naive::new();
        memory.load(&mut device);
        device.begin(&mut step(5, images, 3)).unwrap();
        let factors = |&(output, d_output): &(Span, Span)| (memory.live(output), read(&device, memory.live(d_output)));
        let outputs = outputs.iter().map(factors).collect();
        device.run(&forward).unwrap();
        backward.iter().for_each(|op| device.run(op).unwrap());
        Objective { device, forward, outputs }
    }

    fn value(&mut self) -> f64 {
        self.device.run(&self.forward).unwrap();
        let product = |(output, factors): &(Span, Vec<f64>)| -> f64 {
            read(&self.device, *output).iter().zip(factors).map(|(x, y)| x * y).sum()
        };
        self.outputs.iter().map(product).sum()
    }

    /// Compares the gradient of each float of a span with the central difference.
    fn check(&mut self, what: &str, variable: Span, gradient: Span) {
        const H: f64 = 1e-5;
        let start = read(&self.device, variable);
        let gradient = read(&self.device, gradient);
        for i in 0..variable.len {
            let mut moved = |by: f64| {
                let mut values = start.clone();
                values[i] += by;
                self.device.write_f64(variable, &values).unwrap();
                self.value()
            };
            let expected = (moved(H) - moved(-H)) / (2.0 * H);
            let error = (gradient[i] - expected).abs();
            assert!(error < 1e-7 * (1.0 + expected.abs()), "{what} [{i}]: {} by {expected}", gradient[i]);
        }
        self.device.write_f64(variable, &start).unwrap();
    }
}

/// Checks the gradients of inputs, weights and biases.
fn check_weighted<S: WeightedShape>(shape: S, setup: Setup, wrap: impl Fn(common::layers::Weighted<S>) -> [Op; 3]) {
    let layer = weighted(shape, setup);
    let memory = layer.memory.clone();
    let (towers, sources) = (layer.forward.towers.clone(), layer.input_grad.sources.clone());
    let gradients = layer.weight_grad.towers.clone();
    let outputs: Vec<_> = towers.iter().zip(&gradients).map(|(tower, grad)| (tower.output, grad.d_output)).collect();
    let [forward, input_grad, weight_grad] = wrap(layer);
    let mut objective = Objective::new(&memory, setup.images, forward, &[input_grad, weight_grad], &outputs);
    for (t, (tower, gradient)) in towers.iter().zip(&gradients).enumerate() {
        let what = |part: &str| format!("{shape:?}, {setup:?}: {part} of tower {t}");
        objective.check(&what("input"), memory.live(tower.inputs[0]), memory.live(sources[t].d_input));
        objective.check(&what("bias"), tower.bias, gradient.d_bias);
        for (&weight, &d_weight) in tower.weights.iter().zip(&gradient.d_weights) {
            objective.check(&what("weight"), weight, d_weight);
        }
    }
}

/// Checks the gradient of the input.
fn check_unary<S: UnaryShape>(
    shape: S,
    setup: Setup,
    forward: impl Fn(UnaryForward<S>) -> Op,
    backward: impl Fn(UnaryBackward<S>) -> Op,
) {
    let layer = unary(shape, setup);
    let (memory, towers, gradients) = (layer.memory, layer.forward.towers.clone(), layer.backward.towers.clone());
    let outputs: Vec<_> = towers.iter().zip(&gradients).map(|(tower, grad)| (tower.output, grad.d_output)).collect();
    let (forward, backward) = (forward(layer.forward), backward(layer.backward));
    let mut objective = Objective::new(&memory, setup.images, forward, &[backward], &outputs);
    for (t, (tower, gradient)) in towers.iter().zip(&gradients).enumerate() {
        let what = format!("{shape:?}, {setup:?}: tower {t}");
        objective.check(&what, memory.live(tower.input), memory.live(gradient.d_input));
    }
}

#[test]
fn conv() {
    let own = Setup::default();
    let all = Setup { towers: 2, all: true, ..own };
    let split = Setup { towers: 2, ..own };
    // Height, width, channels, filters, size, stride, pad, ceil.
    for ((in_height, in_width, channels, filters, size, stride, pad, ceil), setup) in [
        ((5, 4, 2, 3, 3, 1, 1, false), own),
        ((6, 7, 1, 2, 3, 2, 0, true), all),
        ((7, 5, 3, 2, 2, 3, 0, true), split),
        ((4, 4, 2, 1, 3, 1, 2, false), all),
        ((1, 1, 3, 4, 1, 1, 0, false), own),
        ((2, 3, 1, 2, 5, 2, 3, true), own),
        ((9, 6, 1, 1, 4, 4, 1, true), split),
    ] {
        let shape = conv_shape([in_height, in_width], [channels, filters], [size, stride, pad], ceil, 0);
        check_weighted(shape, setup, |layer| {
            [Op::ConvForward(layer.forward), Op::ConvInputGrad(layer.input_grad), Op::ConvWeightGrad(layer.weight_grad)]
        });
    }
}

#[test]
fn conv_with_a_window_that_hangs_over_by_more_than_its_stride() {
    let (in_height, in_width, channels, filters, size, stride, pad) = (4, 3, 2, 2, 4, 1, 0);
    let (out_height, out_width) = (3, 3);
    let shape = ConvShape {
        in_height,
        in_width,
        channels,
        out_height,
        out_width,
        filters,
        size,
        stride,
        pad,
        in_blocks: false,
    };
    check_weighted(shape, Setup::default(), |layer| {
        [Op::ConvForward(layer.forward), Op::ConvInputGrad(layer.input_grad), Op::ConvWeightGrad(layer.weight_grad)]
    });
}

#[test]
fn fc() {
    let own = Setup { images: 3, ..Setup::default() };
    let cases = [
        ((7, 5), own),
        ((1, 1), own),
        ((4, 3), Setup { towers: 2, all: true, ..own }),
        ((3, 6), Setup { towers: 3, all: true, images: 1, ..own }),
    ];
    for ((inputs, outputs), setup) in cases {
        check_weighted(FcShape { inputs, outputs }, setup, |layer| {
            [Op::FcForward(layer.forward), Op::FcInputGrad(layer.input_grad), Op::FcWeightGrad(layer.weight_grad)]
        });
    }
}

#[test]
fn activation() {
    let tanh = Activation::Tanh { a: 1.7159, b: 0.6667 };
    for activation in [Activation::Relu, tanh, Activation::Tanh { a: 1.0, b: 1.0 }] {
        let setup = Setup { towers: 2, ..Setup::default() };
        let shape = ActivationShape { activation, len: 21 };
        check_unary(shape, setup, Op::ActivationForward, Op::ActivationBackward);
    }
}

#[test]
fn lrn() {
    // Pixels, channels, joined, size, alpha, towers.
    for (pixels, channels, joined, size, alpha, towers) in
        [(4, 7, 1, 5, 0.2, 2), (3, 4, 2, 5, 0.3, 2), (2, 3, 2, 3, 0.1, 4), (1, 1, 1, 5, 1.0, 1), (2, 2, 3, 9, 0.1, 3)]
    {
        let shape = LrnShape { pixels, channels, joined, size, k: 1.5, alpha, beta: 0.75 };
        check_unary(shape, Setup { towers, ..Setup::default() }, Op::LrnForward, Op::LrnBackward);
    }
}

#[test]
fn map_norm() {
    for (height, width, channels, size, beta) in [(5, 4, 2, 3, 0.75), (2, 7, 3, 5, 0.5), (1, 1, 1, 3, 1.0)] {
        let shape = MapNormShape { height, width, channels, size, k: 1.0, alpha: 0.2, beta };
        check_unary(shape, Setup { towers: 2, ..Setup::default() }, Op::MapNormForward, Op::MapNormBackward);
    }
}

#[test]
fn pool() {
    // Height, width, channels, size, stride.
    for (in_height, in_width, channels, size, stride) in
        [(7, 7, 2, 3, 2), (6, 8, 1, 3, 2), (5, 4, 3, 2, 2), (7, 5, 1, 2, 3), (3, 3, 2, 3, 1), (1, 1, 4, 3, 2)]
    {
        let (out_height, out_width) =
            (window_count(in_height, 0, size, stride, true), window_count(in_width, 0, size, stride, true));
        let shape = PoolShape { in_height, in_width, channels, out_height, out_width, size, stride };
        check_unary(shape, Setup { towers: 2, ..Setup::default() }, Op::PoolForward, Op::PoolBackward);
    }
}

#[test]
fn dropout() {
    for scaling in [Scaling::Test, Scaling::Train] {
        for training in [true, false] {
            let shape = DropoutShape { units: 13, first_tower: 0, layer: 1, keep: 0.6, scaling, training };
            check_unary(shape, Setup { towers: 2, ..Setup::default() }, Op::DropoutForward, Op::DropoutBackward);
        }
    }
}

#[test]
fn softmax() {
    let (images, classes) = (3, 5);
    let mut memory = Memory::new(1);
    let mut place = |len| memory.images(images, len, Fill::Signed);
    let (logits, probabilities, losses, ranks) = (place(classes), place(classes), place(1), place(1));
    let (d_logits, factors) = (place(classes), place(1));
    let forward = Op::SoftmaxForward(SoftmaxForward { classes, logits, probabilities, losses, ranks });
    let backward = Op::SoftmaxBackward(SoftmaxBackward { classes, probabilities, d_logits });
    let mut objective = Objective::new(&memory, images, forward, &[backward], &[(losses, factors)]);
    // The objective is the mean of the losses.
    objective.outputs[0].1.fill(1.0 / images as f64);
    objective.check("logits", memory.live(logits), memory.live(d_logits));
}
