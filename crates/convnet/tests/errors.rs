//! What a device refuses, and that a refused operation changes nothing.
//! Long: one list, a case for each thing that is refused.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::layers::{Setup, unary, updates, weighted};
use common::memory::{Fill, Memory};
use common::step;
use convnet::Error;
use convnet::cpu::Cpu;
use convnet::naive::Naive;
use convnet::ops::{
    Access, Activation, ActivationShape, Augment, ConvShape, Device, Draw, DropoutShape, FcShape, LrnShape,
    MapNormShape, Op, PoolShape, Region, Scaling, SoftmaxBackward, SoftmaxForward, Span, Step, Update,
};

const IMAGES: usize = 2;

/// The devices under test.
fn devices() -> [Box<dyn Device>; 2] {
    [Box::new(Naive::new()), Box::new(Cpu::new(2).unwrap())]
}

/// Asserts that a result is an error of this pattern.
macro_rules! refuses {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err($pattern) => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}

/// Runs an operation on every device. All must agree about the result, and where it fails memory must be as before.
fn run(memory: &Memory, op: &Op) -> Result<(), Error> {
    let results = devices().map(|mut device| run_on(&mut *device, memory, op));
    assert_eq!(format!("{:?}", results[0]), format!("{:?}", results[1]));
    results.into_iter().collect()
}

fn run_on(device: &mut dyn Device, memory: &Memory, op: &Op) -> Result<(), Error> {
    memory.load(device);
    let before = contents(device, memory);
    device.begin(&mut step(1, IMAGES, 2)).unwrap();
    let result = device.run(op);
    if result.is_err() {
        assert_eq!(before, contents(device, memory), "{} failed and changed memory", op.name());
    }
    result
}

fn contents(device: &dyn Device, memory: &Memory) -> Vec<Vec<u32>> {
    let lens = memory.lens();
    let read = |&region: &Region| {
        let mut data = vec![0.0; lens[region as usize]];
        device.read(Span::new(region, 0, data.len()), &mut data).unwrap();
        data.into_iter().map(f32::to_bits).collect()
    };
    Region::ALL.iter().map(read).collect()
}

fn conv_shape() -> ConvShape {
    ConvShape {
        in_height: 4,
        in_width: 3,
        channels: 2,
        out_height: 4,
        out_width: 3,
        filters: 5,
        size: 3,
        stride: 1,
        pad: 1,
        in_blocks: false,
    }
}

/// One operation of each kind, in order, each correct.
fn operations() -> Vec<(Memory, Op)> {
    let setup = Setup { images: IMAGES, towers: 2, all: true, ..Setup::default() };
    let mut list = Vec::new();
    let conv = weighted(conv_shape(), setup);
    list.push((conv.memory.clone(), Op::ConvForward(conv.forward)));
    list.push((conv.memory.clone(), Op::ConvInputGrad(conv.input_grad)));
    list.push((conv.memory, Op::ConvWeightGrad(conv.weight_grad)));
    let mut fc = weighted(FcShape { inputs: 6, outputs: 4 }, setup);
    let (update_by_grad, _) = updates(&mut fc);
    list.push((fc.memory.clone(), Op::FcForward(fc.forward)));
    list.push((fc.memory.clone(), Op::FcInputGrad(fc.input_grad)));
    list.push((fc.memory.clone(), Op::FcWeightGrad(fc.weight_grad)));
    list.push((fc.memory, update_by_grad));
    let activation = unary(ActivationShape { activation: Activation::Relu, len: 7 }, setup);
    list.push((activation.memory.clone(), Op::ActivationForward(activation.forward)));
    list.push((activation.memory, Op::ActivationBackward(activation.backward)));
    let shape = LrnShape { pixels: 4, channels: 3, joined: 2, size: 5, k: 2.0, alpha: 0.1, beta: 0.75 };
    let lrn = unary(shape, setup);
    list.push((lrn.memory.clone(), Op::LrnForward(lrn.forward)));
    list.push((lrn.memory, Op::LrnBackward(lrn.backward)));
    let shape = MapNormShape { height: 3, width: 2, channels: 2, size: 3, k: 1.0, alpha: 0.1, beta: 0.75 };
    let map_norm = unary(shape, setup);
    list.push((map_norm.memory.clone(), Op::MapNormForward(map_norm.forward)));
    list.push((map_norm.memory, Op::MapNormBackward(map_norm.backward)));
    let shape = PoolShape { in_height: 5, in_width: 4, channels: 2, out_height: 2, out_width: 2, size: 3, stride: 2 };
    let pool = unary(shape, setup);
    list.push((pool.memory.clone(), Op::PoolForward(pool.forward)));
    list.push((pool.memory, Op::PoolBackward(pool.backward)));
    let shape = DropoutShape { units: 9, first_tower: 0, layer: 0, keep: 0.5, scaling: Scaling::Test, training: true };
    let dropout = unary(shape, setup);
    list.push((dropout.memory.clone(), Op::DropoutForward(dropout.forward)));
    list.push((dropout.memory, Op::DropoutBackward(dropout.backward)));
    let (memory, [forward, backward]) = softmax(3);
    list.extend([(memory.clone(), forward), (memory, backward)]);
    list.push(update(0));
    list
}

fn softmax(classes: usize) -> (Memory, [Op; 2]) {
    let mut memory = Memory::new(1);
    let mut place = |len| memory.images(IMAGES, len, Fill::Signed);
    let (logits, probabilities, losses, ranks) = (place(classes), place(classes), place(1), place(1));
    let backward = SoftmaxBackward { classes, probabilities, d_logits: place(classes) };
    let forward = SoftmaxForward { classes, logits, probabilities, losses, ranks };
    (memory, [Op::SoftmaxForward(forward), Op::SoftmaxBackward(backward)])
}

fn update(parameter: usize) -> (Memory, Op) {
    let mut memory = Memory::new(1);
    let mut place = |region| memory.exact(region, 6, Fill::Signed);
    let (weights, velocity) = (place(Region::Weights), place(Region::Momenta));
    let gradient = place(Region::Gradients);
    (memory, Op::Update(Update { parameter, momentum: 0.9, decay: 0.0, weights, velocity, gradient }))
}

/// Changes the `i`-th span of an operation.
fn change(op: &Op, i: usize, change: impl Fn(&mut Span)) -> Op {
    let mut op = op.clone();
    let mut seen = 0;
    op.visit(&mut |_, span| {
        if seen == i {
            change(span);
        }
        seen += 1;
    });
    op
}

#[test]
fn correct_operations_run() {
    for (memory, op) in operations() {
        run(&memory, &op).unwrap();
    }
}

#[test]
fn every_operand_that_is_too_short_is_refused() {
    for (memory, op) in operations() {
        for (i, (_, span)) in op.operands().into_iter().enumerate() {
            let live = memory.live(span).len;
            match run(&memory, &change(&op, i, |span| span.len = live - 1)) {
                // An update's weights say how long its other operands are.
                Err(Error::Shape { op: "update", expected, got, .. }) if i == 0 => assert_eq!((expected, got), (5, 6)),
                Err(Error::Shape { op: name, expected, got, .. }) => {
                    assert_eq!((name, expected, got), (op.name(), live, live - 1));
                }
                other => panic!("{} with operand {i} too short: {other:?}", op.name()),
            }
        }
    }
}

#[test]
fn every_operand_outside_the_memory_is_refused() {
    for (memory, op) in operations() {
        for (i, (_, span)) in op.operands().into_iter().enumerate() {
            let available = memory.lens()[span.region as usize];
            for start in [available - span.len + 1, available, usize::MAX - 1, usize::MAX] {
                match run(&memory, &change(&op, i, |span| span.start = start)) {
                    Err(Error::OutOfRange { op: name, available: got, .. }) => {
                        assert_eq!((name, got), (op.name(), available));
                    }
                    other => panic!("{} with operand {i} at {start}: {other:?}", op.name()),
                }
            }
        }
    }
}

#[test]
fn every_output_that_overlaps_another_operand_is_refused() {
    for (memory, op) in operations() {
        let spans = op.operands();
        for (i, &(access, output)) in spans.iter().enumerate().filter(|(_, (access, _))| *access != Access::Read) {
            for (j, &(_, other)) in spans.iter().enumerate().filter(|&(j, _)| j != i) {
                // One float in common.
                let start = other.start + other.len - 1;
                let mut memory = memory.clone();
                memory.extend(other.region, output.len);
                let result = run(&memory, &change(&op, i, |span| *span = Span::new(other.region, start, output.len)));
                let Err(Error::Overlap { op: name, first, second }) = result else {
                    panic!("{}: {access:?} {i} over {j}: {result:?}", op.name());
                };
                let pair = [other.to_string(), Span::new(other.region, start, output.len).to_string()];
                assert_eq!(name, op.name());
                assert!(pair.contains(&first) || pair.contains(&second), "{first} and {second}, not {pair:?}");
            }
        }
    }
}

#[test]
fn only_element_wise_operations_work_in_place() {
    for (memory, op) in operations() {
        // Both operands as long as the longer one needs.
        let spans = op.operands();
        let output = spans.iter().position(|(access, _)| *access == Access::Write);
        let Some(output) = output else { continue };
        let mut memory = memory;
        let input = spans[output - 1].1;
        memory.extend(Region::Work, spans[output].1.len);
        let place = Span { len: input.len.max(spans[output].1.len), ..spans[output].1 };
        let op = change(&change(&op, output - 1, |span| *span = place), output, |span| *span = place);
        let result = run(&memory, &op);
        match op {
            Op::ActivationForward(_) | Op::ActivationBackward(_) | Op::DropoutForward(_) | Op::DropoutBackward(_) => {
                result.unwrap()
            }
            // A bias and an output cannot have the same length.
            Op::ConvForward(_) | Op::FcForward(_) => refuses!(result, Error::Shape { .. }),
            _ => assert!(matches!(result, Err(Error::Shape { .. } | Error::Overlap { .. })), "{result:?}"),
        }
    }
}

#[test]
fn the_saved_output_is_never_overwritten_in_place() {
    let shape = ActivationShape { activation: Activation::Relu, len: 7 };
    let layer = unary(shape, Setup { images: IMAGES, ..Setup::default() });
    let mut backward = layer.backward;
    backward.towers[0].d_input = backward.towers[0].saved.unwrap();
    refuses!(run(&layer.memory, &Op::ActivationBackward(backward)), Error::Overlap { op: "activation_backward", .. });
}

#[test]
fn extents_of_zero_and_missing_towers_are_refused() {
    let shape = ActivationShape { activation: Activation::Relu, len: 7 };
    let layer = unary(shape, Setup { images: IMAGES, ..Setup::default() });
    let mut forward = layer.forward.clone();
    forward.shape.len = 0;
    refuses!(run(&layer.memory, &Op::ActivationForward(forward)), Error::Empty { op: "activation_forward" });
    let mut forward = layer.forward;
    forward.towers.clear();
    refuses!(run(&layer.memory, &Op::ActivationForward(forward)), Error::Empty { op: "activation_forward" });
}

#[test]
fn in_place_ends_at_the_border_of_a_tower() {
    let shape = ActivationShape { activation: Activation::Relu, len: 7 };
    let layer = unary(shape, Setup { images: IMAGES, towers: 2, ..Setup::default() });
    let mut forward = layer.forward.clone();
    forward.towers[1].input = forward.towers[0].output;
    refuses!(run(&layer.memory, &Op::ActivationForward(forward)), Error::Overlap { op: "activation_forward", .. });
    let mut forward = layer.forward;
    forward.towers[1].output = forward.towers[0].input;
    refuses!(run(&layer.memory, &Op::ActivationForward(forward)), Error::Overlap { op: "activation_forward", .. });
    let mut backward = layer.backward;
    backward.towers[1].d_input = backward.towers[0].d_output;
    refuses!(run(&layer.memory, &Op::ActivationBackward(backward)), Error::Overlap { op: "activation_backward", .. });
}

#[test]
fn operands_must_go_in_pairs_and_groups() {
    let setup = Setup { images: IMAGES, towers: 2, all: true, ..Setup::default() };
    let layer = weighted(conv_shape(), setup);
    let mut forward = layer.forward.clone();
    forward.towers[1].weights.pop();
    let result = run(&layer.memory, &Op::ConvForward(forward.clone()));
    refuses!(result, Error::Sources { op: "conv_forward", expected: 2, got: 1 });
    forward.towers[1].weights.clear();
    forward.towers[1].inputs.clear();
    let result = run(&layer.memory, &Op::ConvForward(forward));
    refuses!(result, Error::Sources { op: "conv_forward", expected: 0, got: 0 });
    let mut input_grad = layer.input_grad;
    input_grad.sources[0].d_outputs.pop();
    let result = run(&layer.memory, &Op::ConvInputGrad(input_grad));
    refuses!(result, Error::Sources { op: "conv_input_grad", expected: 1, got: 2 });
    let mut weight_grad = layer.weight_grad;
    weight_grad.towers[0].d_weights.pop();
    let result = run(&layer.memory, &Op::ConvWeightGrad(weight_grad));
    refuses!(result, Error::Sources { op: "conv_weight_grad", expected: 2, got: 1 });

    let shape = LrnShape { pixels: 4, channels: 3, joined: 2, size: 5, k: 2.0, alpha: 0.1, beta: 0.75 };
    let layer = unary(shape, Setup { towers: 3, ..setup });
    let result = run(&layer.memory, &Op::LrnForward(layer.forward));
    refuses!(result, Error::Sources { op: "lrn_forward", expected: 4, got: 3 });
    let mut backward = layer.backward;
    backward.towers.pop();
    backward.towers[1].saved = None;
    let result = run(&layer.memory, &Op::LrnBackward(backward));
    refuses!(result, Error::Sources { op: "lrn_backward", expected: 1, got: 0 });
}

#[test]
fn transfers_stay_inside_the_span_and_the_region() {
    for mut device in devices() {
        device.reserve(Span::new(Region::Work, 0, 10)).unwrap();
        device.write(Span::new(Region::Work, 4, 6), &[1.0; 6]).unwrap();
        let mut data = [9.0; 3];
        device.read(Span::new(Region::Work, 3, 7), &mut data).unwrap();
        assert_eq!(data, [0.0, 1.0, 1.0]);

        let outside = Span::new(Region::Work, 5, 6);
        refuses!(device.write(outside, &[0.0]), Error::OutOfRange { available: 10, .. });
        refuses!(device.read(outside, &mut [0.0]), Error::OutOfRange { available: 10, .. });
        refuses!(device.read(Span::new(Region::Weights, 0, 1), &mut [0.0]), Error::OutOfRange { available: 0, .. });
        let inside = Span::new(Region::Work, 5, 2);
        refuses!(device.write(inside, &[0.0; 3]), Error::OutOfRange { .. });
        refuses!(device.read(inside, &mut [0.0; 3]), Error::OutOfRange { .. });
        device.read(Span::new(Region::Work, 3, 7), &mut data).unwrap();
        assert_eq!(data, [0.0, 1.0, 1.0]);
    }
}

#[test]
fn reserving_keeps_contents_and_never_shrinks() {
    for mut device in devices() {
        let span = Span::new(Region::Momenta, 0, 3);
        device.reserve(Span::new(Region::Momenta, 0, 3)).unwrap();
        device.write(span, &[1.0, 2.0, 3.0]).unwrap();
        device.reserve(Span::new(Region::Momenta, 0, 5)).unwrap();
        device.reserve(Span::new(Region::Momenta, 0, 1)).unwrap();
        let mut data = [9.0; 5];
        device.read(Span::new(Region::Momenta, 0, 5), &mut data).unwrap();
        assert_eq!(data, [1.0, 2.0, 3.0, 0.0, 0.0]);
    }
}

#[test]
fn parts_of_a_step_must_agree() {
    for mut device in devices() {
        let first = Step { labels: vec![1, 0], ids: vec![5, 6], ..Step::default() };
        device.begin(&mut first.clone()).unwrap();
        let mut step = Step { ids: vec![5], ..first.clone() };
        let Err(Error::Step(message)) = device.begin(&mut step) else { panic!("a step without an id was taken") };
        assert_eq!(message, "1 ids for 2 labels");
        assert_eq!(step.ids, [5], "a refused step stays with the caller");
        let draw = Draw { top: 0, left: 0, flip: false, scale: 1.0, shift: [0.0; 3] };
        refuses!(device.begin(&mut Step { draws: vec![draw; 3], ..first.clone() }), Error::Step(_));
        let mut next = Step { labels: vec![3], ids: vec![7], ..Step::default() };
        device.begin(&mut next).unwrap();
        assert_eq!((next.labels, next.ids), (first.labels, first.ids), "the step before is handed back");
    }
}

#[test]
fn labels_and_rates_must_fit() {
    let (memory, [forward, _]) = softmax(1);
    for mut device in devices() {
        memory.load(&mut *device);
        device.begin(&mut Step { labels: vec![0, 1], ids: vec![0, 0], ..Step::default() }).unwrap();
        refuses!(device.run(&forward), Error::Step(_));
    }
    let (memory, op) = update(3);
    refuses!(run(&memory, &op), Error::Step(_));
}

#[test]
fn pixels_and_crops_must_fit() {
    let (side, crop) = (5, 3);
    let mut memory = Memory::new(1);
    let mean = memory.exact(Region::Constants, crop * crop * 3, Fill::Signed);
    let output = memory.images(IMAGES, crop * crop * 3, Fill::Signed);
    let draw = Draw { top: 2, left: 2, flip: false, scale: 1.0, shift: [0.0; 3] };
    let good = Step { rgb: vec![7; IMAGES * side * side * 3], draws: vec![draw; IMAGES], ..step(1, IMAGES, 2) };
    let augment = |crop: usize, step: &Step| {
        let results = devices().map(|mut device| {
            memory.load(&mut *device);
            device.begin(&mut step.clone())?;
            let mean = Span { len: crop * crop * 3, ..mean };
            device.augment(&Augment { side, crop, mean, blocks: None, output })
        });
        assert_eq!(format!("{:?}", results[0]), format!("{:?}", results[1]));
        results.into_iter().collect::<Result<(), Error>>()
    };
    augment(crop, &good).unwrap();
    let message = |step: Step| match augment(crop, &step) {
        Err(Error::Step(message)) => message,
        other => panic!("expected a step error, got {other:?}"),
    };
    let draws = |draw| Step { draws: vec![draw; IMAGES], ..good.clone() };
    assert_eq!(message(draws(Draw { top: 3, ..draw })), "crop at (3, 2) is outside 0..=2");
    assert_eq!(message(draws(Draw { left: u32::MAX, ..draw })), "crop at (2, 4294967295) is outside 0..=2");
    assert_eq!(message(Step { draws: Vec::new(), ..good.clone() }), "0 draws for 2 images");
    let pixels = Step { rgb: vec![7; 149], ..good.clone() };
    assert_eq!(message(pixels), "149 bytes of pixels, expected 2 images of 5x5x3");
    refuses!(augment(0, &draws(Draw { top: 6, ..draw })), Error::Step(_));
}

#[test]
fn a_crop_larger_than_the_image_is_refused() {
    let (side, crop) = (2, 3);
    let mut memory = Memory::new(1);
    let mean = memory.exact(Region::Constants, crop * crop * 3, Fill::Signed);
    let output = memory.images(1, crop * crop * 3, Fill::Signed);
    let draw = Draw { top: 0, left: 0, flip: false, scale: 1.0, shift: [0.0; 3] };
    for mut device in devices() {
        memory.load(&mut *device);
        device.begin(&mut Step { rgb: vec![7; 12], draws: vec![draw], ..step(1, 1, 2) }).unwrap();
        refuses!(device.augment(&Augment { side, crop, mean, blocks: None, output }), Error::Step(_));
    }
}

#[test]
fn the_processor_takes_no_blocks_of_pixels() {
    let shape = ConvShape { stride: 2, in_blocks: true, ..conv_shape() };
    let layer = weighted(shape, Setup { images: IMAGES, ..Setup::default() });
    let [mean, output] = [Region::Constants, Region::Work].map(|region| Span::new(region, 0, 12));
    let ops = [
        Op::ConvForward(layer.forward),
        Op::ConvInputGrad(layer.input_grad),
        Op::ConvWeightGrad(layer.weight_grad),
        Op::Augment(Augment { side: 2, crop: 2, mean, blocks: Some(shape.blocks()), output }),
    ];
    for op in ops {
        refuses!(run_on(&mut Cpu::new(2).unwrap(), &layer.memory, &op), Error::Blocks { .. });
    }
}
