//! Every operation of a device against the naive one: random shapes, memory around the operands, repetition, threads.
//!
//! Long: one list, a check for each operation.
#![allow(unreachable_pub, reason = "two test binaries include it as a module")]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use convnet::ops::Span;

use crate::common::check::check;
pub use crate::common::layers::{Setup, Unary, Weighted, conv_shape, unary, updates, weighted};
pub use crate::common::memory::{Fill, Memory};
pub use crate::common::{Tested, step};
pub use convnet::ops::{
    Activation, ActivationShape, Add, AddTower, Augment, Blocks, ConvShape, Device, Draw, DropoutShape, FcShape,
    LrnShape, MapNormShape, Op, PoolShape, Region, Scaling, SoftmaxBackward, SoftmaxForward, Step, UnaryBackward,
    UnaryForward, UnaryShape, Update, WeightedShape, window_count,
};
pub use convnet::philox::words;
pub use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// As many cases as fit into an ordinary test run, or a share of them where each takes longer; `PROPTEST_CASES` asks
/// for more.
pub fn config(share: f64, cases: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: (share * f64::from(cases)).ceil() as u32, ..default }
    }
}

pub fn check_op<D: Tested>(
    device: impl Fn(usize) -> D,
    memory: &Memory,
    op: &Op,
    step: &Step,
    scales: &[f64],
) -> TestCaseResult {
    check(device, memory, op, step, scales).map_err(TestCaseError::fail)
}

fn root(terms: usize) -> f64 {
    (terms as f64).sqrt()
}

/// Checks the three operations of a layer with weights. `terms` are those of one source in a forward sum, an input
/// gradient and a weight gradient.
fn check_weighted<S: WeightedShape, D: Tested>(
    device: impl Fn(usize) -> D + Copy,
    layer: Weighted<S>,
    setup: Setup,
    terms: [usize; 3],
    wrap: impl Fn(Weighted<S>) -> [Op; 3],
) -> TestCaseResult {
    let (memory, step) = (layer.memory.clone(), step(setup.seed, setup.images, 2));
    let sources = layer.forward.towers[0].inputs.len();
    let slope = match setup.activation {
        Some(Activation::Tanh { a, b }) => f64::from(a * b),
        Some(Activation::Relu) | None => 1.0,
    };
    let [forward, input_grad, weight_grad] = wrap(layer);
    check_op(device, &memory, &forward, &step, &[slope * root(terms[0] * sources)])?;
    check_op(device, &memory, &input_grad, &step, &[root(terms[1] * sources)])?;
    check_op(device, &memory, &weight_grad, &step, &[root(terms[2])])
}

pub fn check_conv<D: Tested>(device: impl Fn(usize) -> D + Copy, shape: ConvShape, setup: Setup) -> TestCaseResult {
    let ConvShape { channels, filters, size, stride, .. } = shape;
    let reached = size.div_ceil(stride).pow(2);
    let terms = [size * size * channels, reached * filters, setup.images * shape.out_height * shape.out_width];
    check_weighted(device, weighted(shape, setup), setup, terms, |layer| {
        [Op::ConvForward(layer.forward), Op::ConvInputGrad(layer.input_grad), Op::ConvWeightGrad(layer.weight_grad)]
    })
}

pub fn check_fc<D: Tested>(device: impl Fn(usize) -> D + Copy, shape: FcShape, setup: Setup) -> TestCaseResult {
    let terms = [shape.inputs, shape.outputs, setup.images];
    check_fc_update(device, weighted(shape, setup), setup)?;
    check_weighted(device, weighted(shape, setup), setup, terms, |layer| {
        [Op::FcForward(layer.forward), Op::FcInputGrad(layer.input_grad), Op::FcWeightGrad(layer.weight_grad)]
    })
}

/// Weights that are updated as their gradient is computed have the bits of those that are updated afterwards, and so
/// does what a forward pass makes of them.
fn check_fc_update<D: Tested>(
    device: impl Fn(usize) -> D + Copy,
    mut layer: Weighted<FcShape>,
    setup: Setup,
) -> TestCaseResult {
    let (update, apart) = updates(&mut layer);
    let Weighted { memory, forward, weight_grad, .. } = layer;
    let forward = Op::FcForward(forward);
    let run = |threads: usize, ops: &[Op]| {
        let mut device = device(threads);
        memory.load(&mut device);
        device.begin(&mut step(setup.seed, setup.images, 2)).unwrap();
        ops.iter().chain([&forward]).for_each(|op| device.run(op).unwrap());
        let whole = |region: Region| Span::new(region, 0, memory.lens()[region as usize]);
        let spans = [Region::Weights, Region::Momenta, Region::Work].map(whole);
        let spans = spans.into_iter().chain(weight_grad.towers.iter().map(|tower| tower.d_bias));
        let bits = spans.map(|span| {
            let mut values = vec![0.0; span.len];
            device.read(span, &mut values).unwrap();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        });
        bits.collect::<Vec<_>>()
    };
    prop_assert!(run(3, &[update]) == run(1, &apart), "the update with the gradient has other bits");
    Ok(())
}

pub fn check_unary<S: UnaryShape, D: Tested>(
    device: impl Fn(usize) -> D + Copy,
    shape: S,
    setup: Setup,
    forward: impl Fn(UnaryForward<S>) -> Op,
    backward: impl Fn(UnaryBackward<S>) -> Op,
) -> TestCaseResult {
    let setup = Setup { in_place: setup.in_place && S::IN_PLACE, ..setup };
    let layer: Unary<S> = unary(shape, setup);
    let step = step(setup.seed, setup.images, 2);
    check_op(device, &layer.memory, &forward(layer.forward), &step, &[1.0])?;
    check_op(device, &layer.memory, &backward(layer.backward), &step, &[1.0])
}

pub fn activations() -> impl Strategy<Value = Activation> {
    let tanh = (0.1_f32..2.0, 0.1_f32..2.0).prop_map(|(a, b)| Activation::Tanh { a, b });
    prop_oneof![Just(Activation::Relu), tanh]
}

/// Maps or units: any number, or a multiple of four, which devices may take four at a time.
pub fn maps(least: usize, most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![least..most, (least.div_ceil(4)..=most / 4).prop_map(|quarter| 4 * quarter)]
}

/// Mostly few images, sometimes more than one group of a weight gradient's sum.
pub fn images() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1_usize..4, 1 => 7_usize..20]
}

pub fn setups() -> impl Strategy<Value = Setup> {
    let fill = prop_oneof![Just(Fill::Signed), Just(Fill::Relu), Just(Fill::Halves)];
    let activation = proptest::option::of(activations());
    (images(), 1_usize..4, any::<bool>(), activation, any::<bool>(), fill, any::<u64>()).prop_map(
        |(images, towers, all, activation, in_place, fill, seed)| Setup {
            images,
            towers,
            all,
            activation,
            in_place,
            fill,
            seed,
        },
    )
}

/// Any convolution that the naive device does in a blink. `overhang` adds windows beyond the right and bottom edge.
pub fn convs() -> impl Strategy<Value = (ConvShape, Setup)> {
    // Mostly small images; some outputs, and some of their rows, are longer than a block of a weight gradient's sum.
    let height = prop_oneof![6 => 1_usize..15, 1 => 15_usize..30];
    let width = prop_oneof![6 => 1_usize..15, 2 => 15_usize..30, 1 => 250_usize..600];
    let extents = (height, width, any::<bool>(), prop_oneof![7 => Just(0), 1 => 1_usize..3]);
    let maps = (prop_oneof![1_usize..=20, Just(3), Just(16)], prop_oneof![1_usize..=70, Just(16), Just(48)]);
    let window = prop_oneof![4 => 1_usize..=5, 1 => 6_usize..=11];
    let window = window.prop_flat_map(|size| (Just(size), 1..=size + 1, 0..=size + 1));
    (extents, maps, window, setups())
        .prop_map(|((in_height, in_width, ceil, overhang), (channels, filters), (size, stride, pad), setup)| {
            let (extents, maps, window) = ([in_height, in_width], [channels, filters], [size, stride, pad]);
            (conv_shape(extents, maps, window, ceil, overhang), setup)
        })
        .prop_filter("too much work", |(shape, setup)| {
            let pairs = if setup.all { setup.towers * setup.towers } else { setup.towers };
            setup.images * pairs * shape.out_height * shape.out_width * shape.weight_len() < 10_000_000
        })
}

pub fn pools() -> impl Strategy<Value = PoolShape> {
    (1_usize..14, 1_usize..14, maps(1, 20), 1_usize..5, 1_usize..5, any::<bool>()).prop_map(
        |(in_height, in_width, channels, size, stride, ceil)| {
            let out_height = window_count(in_height, 0, size, stride, ceil);
            let out_width = window_count(in_width, 0, size, stride, ceil);
            PoolShape { in_height, in_width, channels, out_height, out_width, size, stride }
        },
    )
}

/// `k`, `alpha` and `beta` of a normalisation.
pub fn brackets() -> impl Strategy<Value = (f32, f32, f32)> {
    let beta = prop_oneof![Just(0.75_f32), Just(0.5_f32), Just(1.0_f32), 0.1_f32..1.5];
    (prop_oneof![Just(1.0_f32), Just(2.0_f32)], prop_oneof![Just(1e-4_f32), 1e-3_f32..1.0], beta)
}

pub fn draw(words: [u32; 4], margin: usize) -> Draw {
    let number = |word: u32| word as f32 / 4e9;
    Draw {
        top: words[0] % (margin as u32 + 1),
        left: words[1] % (margin as u32 + 1),
        flip: words[2] % 2 == 1,
        scale: 0.5 + number(words[3]),
        shift: [number(words[0]), -number(words[1]), number(words[2])],
    }
}

/// The layers of AlexNet: long sums, and enough outputs for the limits of parity to hold as they are.
pub fn shapes_of_alexnet<D: Tested>(device: impl Fn(usize) -> D + Copy, every: bool) -> TestCaseResult {
    let own = Setup { images: 1, towers: 2, activation: Some(Activation::Relu), fill: Fill::Relu, ..Setup::default() };
    let all = Setup { all: true, ..own };
    let conv = |in_side, channels, out_side, filters, size, stride, pad| {
        let (in_height, in_width, out_height, out_width) = (in_side, in_side, out_side, out_side);
        ConvShape { in_height, in_width, channels, out_height, out_width, filters, size, stride, pad, in_blocks: false }
    };
    if every {
        check_conv(device, conv(224, 3, 55, 48, 11, 4, 0), Setup { fill: Fill::Signed, ..own })?;
        check_conv(device, conv(27, 48, 27, 128, 5, 1, 2), own)?;
        check_conv(device, conv(13, 192, 13, 192, 3, 1, 1), own)?;
        check_conv(device, conv(13, 192, 13, 128, 3, 1, 1), own)?;
    }
    // The first layer of a small image: over blocks of pixels in bf16.
    check_conv(device, conv(23, 3, 5, 48, 11, 4, 2), Setup { images: 2, towers: 1, fill: Fill::Signed, ..own })?;
    check_conv(device, conv(13, 128, 13, 192, 3, 1, 1), all)?;
    check_fc(device, FcShape { inputs: 4608, outputs: 512 }, Setup { images: 3, ..all })?;
    check_fc(device, FcShape { inputs: 2048, outputs: 1000 }, Setup { images: 9, towers: 1, ..all })
}

/// The other layers of AlexNet, at their own sizes.
pub fn layers_of_alexnet<D: Tested>(device: impl Fn(usize) -> D + Copy) -> TestCaseResult {
    let setup = Setup { images: 1, towers: 2, fill: Fill::Relu, ..Setup::default() };
    for (side, channels) in [(55, 48), (27, 128)] {
        for joined in [1, 2] {
            let pixels = side * side;
            let shape = LrnShape { pixels, channels, joined, size: 5, k: 2.0, alpha: 1e-4, beta: 0.75 };
            check_unary(device, shape, setup, Op::LrnForward, Op::LrnBackward)?;
        }
    }
    let (height, width, channels) = (13, 13, 128);
    let shape = MapNormShape { height, width, channels, size: 5, k: 1.0, alpha: 0.001, beta: 0.75 };
    check_unary(device, shape, setup, Op::MapNormForward, Op::MapNormBackward)?;
    for (in_side, channels, out_side) in [(55, 48, 27), (27, 128, 13), (13, 128, 6)] {
        let (in_height, in_width, out_height, out_width) = (in_side, in_side, out_side, out_side);
        let shape = PoolShape { in_height, in_width, channels, out_height, out_width, size: 3, stride: 2 };
        check_unary(device, shape, setup, Op::PoolForward, Op::PoolBackward)?;
    }
    let shape =
        DropoutShape { units: 2048, first_tower: 0, layer: 1, keep: 0.5, scaling: Scaling::Test, training: true };
    check_unary(device, shape, setup, Op::DropoutForward, Op::DropoutBackward)?;
    check_softmax(device, 1000, Setup { images: 3, fill: Fill::Signed, ..setup })?;
    check_augment(device, (256, 224), None, setup)
}

/// More towers than a GPU takes in one launch, and windows over more maps than it takes at once.
pub fn many_towers_and_maps<D: Tested>(device: impl Fn(usize) -> D + Copy) -> TestCaseResult {
    [1, 2].into_iter().try_for_each(|seed| many_towers_and_maps_of(device, seed))
}

fn many_towers_and_maps_of<D: Tested>(device: impl Fn(usize) -> D + Copy, seed: u64) -> TestCaseResult {
    let setup = |towers| Setup { towers, seed, ..Setup::default() };
    for activation in [Activation::Relu, Activation::Tanh { a: 1.7, b: 0.6 }] {
        let shape = ActivationShape { activation, len: 60 };
        check_unary(device, shape, setup(9), Op::ActivationForward, Op::ActivationBackward)?;
    }
    let (in_height, in_width, out_height, out_width) = (5, 7, 2, 3);
    let shape = PoolShape { in_height, in_width, channels: 12, out_height, out_width, size: 3, stride: 2 };
    check_unary(device, shape, setup(5), Op::PoolForward, Op::PoolBackward)?;
    let shape =
        DropoutShape { units: 12, first_tower: 1, layer: 0, keep: 0.5, scaling: Scaling::Train, training: true };
    check_unary(device, shape, setup(6), Op::DropoutForward, Op::DropoutBackward)?;
    let shape = MapNormShape { height: 3, width: 4, channels: 8, size: 3, k: 1.0, alpha: 0.1, beta: 0.75 };
    check_unary(device, shape, setup(5), Op::MapNormForward, Op::MapNormBackward)?;
    for (channels, joined, size, towers) in [(7, 2, 5, 6), (3, 3, 5, 6), (5, 4, 9, 8), (700, 1, 5, 1), (400, 2, 145, 2)]
    {
        let shape = LrnShape { pixels: 9, channels, joined, size, k: 1.0, alpha: 0.01, beta: 0.75 };
        check_unary(device, shape, setup(towers), Op::LrnForward, Op::LrnBackward)?;
    }
    check_add(device, 12, 2, setup(5))
}

pub fn check_softmax<D: Tested>(device: impl Fn(usize) -> D + Copy, classes: usize, setup: Setup) -> TestCaseResult {
    let (images, step) = (setup.images, step(setup.seed, setup.images, classes));
    let mut memory = Memory::new(setup.seed);
    let mut place = |region, len| memory.images_in(region, images, len, setup.fill);
    let (logits, d_logits) = (place(Region::Work, classes), place(Region::Work, classes));
    let mut result = |len| place(Region::Results, len);
    let (probabilities, losses, ranks) = (result(classes), result(1), result(1));
    let forward = SoftmaxForward { classes, logits, probabilities, losses, ranks };
    check_op(device, &memory, &Op::SoftmaxForward(forward), &step, &[1.0 / classes as f64, 1.0, 1.0])?;
    let backward = SoftmaxBackward { classes, probabilities, d_logits };
    check_op(device, &memory, &Op::SoftmaxBackward(backward), &step, &[1.0 / images as f64])
}

/// An image with a logit that is no number is no hit, wherever that stands; the others are what they are.
pub fn check_broken_logits<D: Tested>(device: impl Fn(usize) -> D) {
    const CLASSES: usize = 40;
    let step = step(1, 3, CLASSES);
    let mut memory = Memory::new(1);
    let logits = memory.images(3, CLASSES, Fill::Signed);
    let [probabilities, losses, ranks] =
        [CLASSES, 1, 1].map(|len| memory.images_in(Region::Results, 3, len, Fill::Signed));
    let op = Op::SoftmaxForward(SoftmaxForward { classes: CLASSES, logits, probabilities, losses, ranks });
    let mut device = device(2);
    for class in 0..CLASSES {
        memory.load(&mut device);
        device.write(Span::new(Region::Work, logits.start + CLASSES + class, 1), &[f32::NAN]).unwrap();
        device.begin(&mut step.clone()).unwrap();
        device.run(&op).unwrap();
        let mut found = [0.0; 3];
        device.read(Span { len: 3, ..ranks }, &mut found).unwrap();
        assert!(found[1] == CLASSES as f32 && found[0] < found[1] && found[2] < found[1], "{class}: {found:?}");
    }
}

/// Sums of partials, more towers than a GPU takes in one launch among them.
pub fn check_add<D: Tested>(
    device: impl Fn(usize) -> D + Copy,
    len: usize,
    addends: usize,
    setup: Setup,
) -> TestCaseResult {
    let Setup { images, towers, seed, fill, .. } = setup;
    let mut memory = Memory::new(seed);
    let mut place = || memory.images(images, len, fill);
    let towers = (0..towers).map(|_| AddTower { target: place(), addends: (0..addends).map(|_| place()).collect() });
    let op = Op::Add(Add { len, towers: towers.collect() });
    check_op(device, &memory, &op, &step(seed, images, 2), &[1.0])
}

/// A step with random pixels and draws.
pub fn pixels((side, crop): (usize, usize), images: usize, seed: u64) -> Step {
    Step {
        rgb: (0..images * side * side * 3).map(|i| words(seed, 1, i as u32, 99, 0)[0] as u8).collect(),
        draws: (0..images).map(|i| draw(words(seed, 2, i as u32, 99, 0), side - crop)).collect(),
        ..step(seed, images, 2)
    }
}

pub fn check_augment<D: Tested>(
    device: impl Fn(usize) -> D + Copy,
    (side, crop): (usize, usize),
    blocks: Option<Blocks>,
    setup: Setup,
) -> TestCaseResult {
    let Setup { images, seed, .. } = setup;
    let mut memory = Memory::new(seed);
    let mean = memory.exact(Region::Constants, crop * crop * 3, Fill::Signed);
    let image_len = blocks.map_or(crop * crop * 3, |blocks| blocks.image_len(3));
    let output = memory.images(images, image_len, Fill::Signed);
    let step = pixels((side, crop), images, seed);
    check_op(device, &memory, &Op::Augment(Augment { side, crop, mean, blocks, output }), &step, &[1.0])
}

/// The tests for `$device`, a function from a number of threads to a device, with `$cases` times as many cases as the
/// CPU gets, and at the sizes of every layer of AlexNet or, where that takes too long, of some.
macro_rules! operations {
    ($device:expr, $cases:expr, $every:expr) => {
        proptest! {
            #![proptest_config(config($cases, 150))]

            #[test]
            fn conv((shape, setup) in convs()) {
                check_conv($device, shape, setup)?;
            }
        }

        proptest! {
            #![proptest_config(config($cases, 60))]

            #[test]
            fn fc(inputs in 1_usize..=300, outputs in 1_usize..=300, setup in setups()) {
                check_fc($device, FcShape { inputs, outputs }, setup)?;
            }

            #[test]
            fn fc_with_many_images(inputs in 1_usize..9, outputs in 1_usize..40, images in 200_usize..700, setup in setups()) {
                check_fc($device, FcShape { inputs, outputs }, Setup { images, ..setup })?;
            }

            #[test]
            fn activation(len in maps(1, 400), activation in activations(), setup in setups()) {
                check_unary($device, ActivationShape { activation, len }, setup, Op::ActivationForward, Op::ActivationBackward)?;
            }

            #[test]
            fn lrn(
                pixels in 1_usize..40, channels in 1_usize..40, all in any::<bool>(), half in 0_usize..5,
                (k, alpha, beta) in brackets(), setup in setups(),
            ) {
                let joined = if all { setup.towers } else { 1 };
                let shape = LrnShape { pixels, channels, joined, size: 2 * half + 1, k, alpha, beta };
                check_unary($device, shape, setup, Op::LrnForward, Op::LrnBackward)?;
            }

            #[test]
            fn map_norm(
                height in 1_usize..14, width in 1_usize..14, channels in maps(1, 20), half in 0_usize..4,
                (k, alpha, beta) in brackets(), setup in setups(),
            ) {
                let shape = MapNormShape { height, width, channels, size: 2 * half + 1, k, alpha, beta };
                check_unary($device, shape, setup, Op::MapNormForward, Op::MapNormBackward)?;
            }

            #[test]
            fn pool(shape in pools(), setup in setups()) {
                check_unary($device, shape, setup, Op::PoolForward, Op::PoolBackward)?;
            }

            #[test]
            fn dropout(
                units in maps(1, 500), first_tower in 0_usize..3, layer in 0_u32..3, keep in prop_oneof![Just(0.5_f32), 0.05_f32..=1.0],
                divide in any::<bool>(), training in any::<bool>(), setup in setups(),
            ) {
                let scaling = if divide { Scaling::Train } else { Scaling::Test };
                let shape = DropoutShape { units, first_tower, layer, keep, scaling, training };
                check_unary($device, shape, setup, Op::DropoutForward, Op::DropoutBackward)?;
            }

            #[test]
            fn softmax(classes in prop_oneof![1_usize..=300, 500_usize..1100], setup in setups()) {
                check_softmax($device, classes, setup)?;
            }

            #[test]
            fn update(len in maps(1, 1500), parameter in 0_usize..3, momentum in 0.0_f32..1.0, decay in 0.0_f32..0.1,
                seed in any::<u64>(),
            ) {
                let mut memory = Memory::new(seed);
                let mut place = |region| memory.exact(region, len, Fill::Signed);
                let (weights, velocity) = (place(Region::Weights), place(Region::Momenta));
                let gradient = place(Region::Gradients);
                let op = Op::Update(Update { parameter, momentum, decay, weights, velocity, gradient });
                check_op($device, &memory, &op, &step(seed, 1, 2), &[1.0])?;
            }

            #[test]
            fn add(len in maps(1, 300), addends in 1_usize..4, setup in setups()) {
                check_add($device, len, addends, setup)?;
            }

            #[test]
            fn augment(side in 1_usize..20, margin in 0_usize..5, setup in setups()) {
                check_augment($device, (side, side.saturating_sub(margin).max(1)), None, setup)?;
            }
        }

        #[test]
        fn alexnet() -> proptest::test_runner::TestCaseResult {
            shapes_of_alexnet($device, $every)
        }

        #[test]
        fn other_layers_of_alexnet() -> proptest::test_runner::TestCaseResult {
            layers_of_alexnet($device)
        }

        #[test]
        fn logits_that_are_no_numbers() {
            check_broken_logits($device);
        }

        #[test]
        fn many_towers() -> proptest::test_runner::TestCaseResult {
            many_towers_and_maps($device)
        }
    };
}
