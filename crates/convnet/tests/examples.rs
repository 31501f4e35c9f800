//! Operations on numbers that were worked out by hand.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use convnet::cpu::Cpu;
use convnet::cuda::{self, Precision};
use convnet::naive::Naive;
use convnet::ops::{
    Activation, ActivationShape, Augment, ConvShape, Device, Draw, DropoutShape, FcShape, FcWeightUpdate,
    FcWeightUpdateTower, Forward, ForwardTower, LrnShape, MapNormShape, Op, PoolShape, Region, Scaling, SoftmaxForward,
    Span, Step, UnaryBackward, UnaryForward, UnaryGradTower, UnaryShape, UnaryTower, Update, UpdatedWeights,
};
use convnet::philox::dropout_word;

/// The devices under test; a GPU, simulated unless `ALEXNET_TEST_GPU` is set, where there are kernels for it.
fn devices() -> Vec<Box<dyn Device>> {
    let mut devices: Vec<Box<dyn Device>> = vec![Box::new(Naive::new()), Box::new(Cpu::new(2).unwrap())];
    if !cuda::has_kernels() {
        eprintln!("SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return devices;
    }
    devices.push(Box::new(common::gpu(Precision::F32)));
    devices
}

/// A place of `len` floats; places with other numbers do not overlap.
fn place(number: usize, len: usize) -> Span {
    Span::new(Region::Work, number * 16, len)
}

/// Fills places, runs an operation and returns what it left in `outputs`, for each device.
fn run(op: &Op, step: &Step, inputs: &[(Span, &[f32])], outputs: &[Span]) -> Vec<Vec<Vec<f32>>> {
    let on_device = |mut device: Box<dyn Device>| {
        Region::ALL.iter().for_each(|&region| device.reserve(Span::new(region, 0, 256)).unwrap());
        inputs.iter().for_each(|(span, data)| device.write(*span, data).unwrap());
        device.begin(&mut step.clone()).unwrap();
        device.run(op).unwrap();
        let read = |&span: &Span| {
            let mut data = vec![0.0; span.len];
            device.read(span, &mut data).unwrap();
            data
        };
        outputs.iter().map(read).collect()
    };
    devices().into_iter().map(on_device).collect()
}

fn one_image() -> Step {
    Step { labels: vec![0], ids: vec![0], ..Step::default() }
}

/// Runs a layer without weights on towers of one image.
fn forward<S: UnaryShape>(shape: S, wrap: impl Fn(UnaryForward<S>) -> Op, inputs: &[&[f32]]) -> Vec<Vec<Vec<f32>>> {
    let (input_len, output_len) = (shape.input_len(), shape.output_len());
    let tower = |i| UnaryTower { input: place(2 * i, input_len), output: place(2 * i + 1, output_len) };
    let towers: Vec<_> = (0..inputs.len()).map(tower).collect();
    let outputs: Vec<_> = towers.iter().map(|tower| tower.output).collect();
    let data: Vec<_> = towers.iter().zip(inputs).map(|(tower, &data)| (tower.input, data)).collect();
    run(&wrap(UnaryForward { shape, towers }), &one_image(), &data, &outputs)
}

/// Compares the outputs of each device.
fn assert_close(got: &[Vec<Vec<f32>>], expected: &[&[f64]]) {
    let close = |(x, y): (&f32, &f64)| (f64::from(*x) - y).abs() < 1e-6 * (1.0 + y.abs());
    for got in got {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            let equal = got.len() == expected.len() && got.iter().zip(*expected).all(close);
            assert!(equal, "{got:?}, expected {expected:?}");
        }
    }
}

#[test]
fn convolution_pads_and_reads_the_window_row_by_row() {
    let shape = ConvShape {
        in_height: 2,
        in_width: 2,
        channels: 1,
        out_height: 2,
        out_width: 2,
        filters: 1,
        size: 2,
        stride: 2,
        pad: 1,
        in_blocks: false,
    };
    let (input, weight, bias, output) = (place(0, 4), place(1, 4), place(2, 1), place(3, 4));
    let towers = vec![ForwardTower { inputs: vec![input], weights: vec![weight], bias, output }];
    let data: [(Span, &[f32]); 3] =
        [(input, &[1.0, 2.0, 3.0, 4.0]), (weight, &[1.0, 10.0, 100.0, 1000.0]), (bias, &[-5.0])];
    let with = |activation, towers| {
        run(&Op::ConvForward(Forward { shape, activation, towers }), &one_image(), &data, &[output])
    };
    assert_close(&with(None, towers.clone()), &[&[995.0, 195.0, 25.0, -1.0]]);
    assert_close(&with(Some(Activation::Relu), towers), &[&[995.0, 195.0, 25.0, 0.0]]);
}

#[test]
fn convolution_hangs_over_to_the_right_and_below() {
    let shape = ConvShape {
        in_height: 1,
        in_width: 3,
        channels: 2,
        out_height: 1,
        out_width: 2,
        filters: 2,
        size: 2,
        stride: 2,
        pad: 0,
        in_blocks: false,
    };
    let (input, weight, bias, output) = (place(0, 6), place(1, 16), place(2, 2), place(3, 4));
    let towers = vec![ForwardTower { inputs: vec![input], weights: vec![weight], bias, output }];
    // weight[ky, kx, c, f] = 10^(2 kx + c) for f = 0 and its double for f = 1; the lower row sees nothing.
    let row = [1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 1000.0, 2000.0];
    let weights = [row, [7.0; 8]].concat();
    let data: [(Span, &[f32]); 2] = [(input, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), (weight, &weights)];
    let op = Op::ConvForward(Forward { shape, activation: None, towers });
    assert_close(&run(&op, &one_image(), &data, &[output]), &[&[4321.0, 8642.0, 65.0, 130.0]]);
}

#[test]
fn lrn_windows_stop_at_a_tower_or_run_on() {
    let shape = LrnShape { pixels: 1, channels: 3, joined: 1, size: 3, k: 1.0, alpha: 1.0, beta: 1.0 };
    let inputs: [&[f32]; 2] = [&[1.0, 2.0, 3.0], &[4.0, 0.0, 5.0]];
    let apart = forward(shape, Op::LrnForward, &inputs);
    assert_close(&apart, &[&[1.0 / 6.0, 2.0 / 15.0, 3.0 / 14.0], &[4.0 / 17.0, 0.0, 5.0 / 26.0]]);
    let joined = forward(LrnShape { joined: 2, ..shape }, Op::LrnForward, &inputs);
    assert_close(&joined, &[&[1.0 / 6.0, 2.0 / 15.0, 3.0 / 30.0], &[4.0 / 26.0, 0.0, 5.0 / 26.0]]);
}

#[test]
fn map_norm_windows_are_clipped_at_the_border() {
    let shape = MapNormShape { height: 2, width: 3, channels: 1, size: 3, k: 2.0, alpha: 0.5, beta: 1.0 };
    let output = forward(shape, Op::MapNormForward, &[&[1.0, 2.0, 3.0, 0.0, 1.0, 2.0]]);
    // Sums of squares: left columns 1 + 4 + 0 + 1, all 19, right columns 4 + 9 + 1 + 4.
    assert_close(&output, &[&[1.0 / 5.0, 2.0 / 11.5, 3.0 / 11.0, 0.0, 1.0 / 11.5, 2.0 / 11.0]]);
}

#[test]
fn pooling_takes_the_first_maximum_of_clipped_windows() {
    let shape = PoolShape { in_height: 1, in_width: 6, channels: 1, out_height: 1, out_width: 3, size: 3, stride: 2 };
    let input: &[f32] = &[3.0, 1.0, 3.0, 3.0, 2.0, -5.0];
    assert_close(&forward(shape, Op::PoolForward, &[input]), &[&[3.0, 3.0, 2.0]]);
    let negative = forward(shape, Op::PoolForward, &[&[-3.0, -2.0, -4.0, -9.0, -5.0, -1.0]]);
    assert_close(&negative, &[&[-2.0, -4.0, -1.0]]);
    let (saved, d_output, d_input) = (place(0, 6), place(1, 3), place(2, 6));
    let towers = vec![UnaryGradTower { saved: Some(saved), d_output, d_input }];
    let op = Op::PoolBackward(UnaryBackward { shape, towers });
    let d_inputs = run(&op, &one_image(), &[(saved, input), (d_output, &[1.0, 10.0, 100.0])], &[d_input]);
    assert_close(&d_inputs, &[&[1.0, 0.0, 10.0, 0.0, 100.0, 0.0]]);
}

#[test]
fn activations_are_what_they_are_called() {
    let relu = ActivationShape { activation: Activation::Relu, len: 3 };
    assert_close(&forward(relu, Op::ActivationForward, &[&[-1.0, 0.0, 2.0]]), &[&[0.0, 0.0, 2.0]]);
    let tanh = ActivationShape { activation: Activation::Tanh { a: 2.0, b: 0.5 }, len: 2 };
    let output = forward(tanh, Op::ActivationForward, &[&[1.0, -3.0]]);
    assert_close(&output, &[&[0.924_234_314_5, -1.810_296_507_3]]);
}

#[test]
fn dropout_numbers_units_over_the_towers() {
    let keep = 0.5;
    let shape = DropoutShape { units: 5, first_tower: 0, layer: 2, keep, scaling: Scaling::Train, training: true };
    let (inputs, outputs) = ([place(0, 10), place(1, 10)], [place(2, 10), place(3, 10)]);
    let towers = (0..2).map(|i| UnaryTower { input: inputs[i], output: outputs[i] }).collect();
    let step = Step { labels: vec![0; 2], ids: vec![70, 9], seed: 1 << 40 | 3, epoch: 8, ..Step::default() };
    let op = Op::DropoutForward(UnaryForward { shape, towers });
    let got = run(&op, &step, &[(inputs[0], &[1.0; 10]), (inputs[1], &[1.0; 10])], &outputs);
    let expected = |tower: usize| -> Vec<f64> {
        let unit = |i: usize| dropout_word(step.seed, step.epoch, step.ids[i / 5], 2, (tower * 5 + i % 5) as u32);
        (0..10).map(|i| if unit(i) < 1 << 31 { 2.0 } else { 0.0 }).collect()
    };
    assert_close(&got, &[&expected(0), &expected(1)]);
}

#[test]
fn softmax_ranks_equal_logits_by_class_and_nan_last() {
    let (logits, probabilities, losses, ranks) = (place(0, 15), place(1, 15), place(2, 5), place(3, 5));
    let op = Op::SoftmaxForward(SoftmaxForward { classes: 3, logits, probabilities, losses, ranks });
    let step = Step { labels: vec![2, 0, 1, 2, 1], ids: vec![0; 5], ..Step::default() };
    let ln = f32::ln;
    let rows = [[0.0, ln(2.0), ln(5.0)], [500.0, 500.0, 0.0], [1.0; 3], [1.0; 3], [0.0, 1.0, f32::NAN]].concat();
    let finite = |span: Span| Span { len: span.len / 5 * 4, ..span };
    let last_loss = Span::new(losses.region, losses.start + 4, 1);
    let outputs = [finite(probabilities), finite(losses), ranks, last_loss];
    let mut got = run(&op, &step, &[(logits, &rows)], &outputs);
    assert!(got.iter_mut().all(|outputs| outputs.pop().is_some_and(|loss| loss[0].is_nan())));
    let third = 1.0 / 3.0;
    let probabilities = [0.125, 0.25, 0.625, 0.5, 0.5, 0.0, third, third, third, third, third, third];
    let losses = [1.6_f64, 2.0, 3.0, 3.0].map(f64::ln);
    assert_close(&got, &[&probabilities, &losses, &[0.0, 0.0, 1.0, 2.0, 3.0]]);
}

#[test]
fn update_decays_with_the_rate() {
    let [weights, velocity, gradient] =
        [Region::Weights, Region::Momenta, Region::Gradients].map(|region| Span::new(region, 3, 1));
    let op = Op::Update(Update { parameter: 1, momentum: 0.9, decay: 0.1, weights, velocity, gradient });
    let step = Step { rates: vec![9.0, 0.1], ..one_image() };
    let got = run(&op, &step, &[(weights, &[1.0]), (velocity, &[0.5]), (gradient, &[2.0])], &[weights, velocity]);
    assert_close(&got, &[&[1.24], &[0.24]]);
}

#[test]
fn fc_weights_are_updated_by_their_gradient() {
    let (input, d_output) = (place(0, 1), place(1, 1));
    let [weights, velocity, d_bias] =
        [Region::Weights, Region::Momenta, Region::Gradients].map(|region| Span::new(region, 3, 1));
    let source = UpdatedWeights { input, parameter: 1, weights, velocity };
    let towers = vec![FcWeightUpdateTower { d_output, sources: vec![source], d_bias }];
    let shape = FcShape { inputs: 1, outputs: 1 };
    let op = Op::FcWeightUpdate(FcWeightUpdate { shape, momentum: 0.9, decay: 0.1, towers });
    let step = Step { rates: vec![9.0, 0.1], ..one_image() };
    let operands: [(Span, &[f32]); 4] = [(input, &[2.0]), (d_output, &[3.0]), (weights, &[1.0]), (velocity, &[0.5])];
    // v = 0.9 * 0.5 - 0.1 * 0.1 * 1 - 0.1 * 2 * 3
    assert_close(&run(&op, &step, &operands, &[weights, velocity, d_bias]), &[&[0.84], &[-0.16], &[3.0]]);
}

#[test]
fn augment_flips_pixels_but_not_the_mean() {
    let (mean, output) = (place(0, 12), place(1, 12));
    let op = Op::Augment(Augment { side: 3, crop: 2, mean, blocks: None, output });
    let draw = Draw { top: 1, left: 0, flip: true, scale: 0.5, shift: [0.0, 1.0, 2.0] };
    // Pixel (y, x) of colour c is 100 y + 10 x + c.
    let rgb = (0..27).map(|i| (100 * (i / 9) + 10 * (i / 3 % 3) + i % 3) as u8).collect();
    let step = Step { rgb, draws: vec![draw], ..one_image() };
    let means: [f32; 12] = [10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0];
    let got = run(&op, &step, &[(mean, &means)], &[output]);
    let rows = [[50.0, 56.5, 58.0, 50.0, 51.5, 53.0], [105.0, 106.5, 108.0, 100.0, 101.5, 53.0]];
    assert_close(&got, &[&rows.concat()]);
}
