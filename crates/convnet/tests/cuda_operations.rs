//! Every operation on a GPU against the naive device; simulated, unless `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use common::gpu;
use convnet::cuda::Precision;
use convnet::ops::{Forward, ForwardTower, Span, UnaryTower};
use suite::*;

/// On a simulated GPU conv1 to conv5 take minutes: `ALEXNET_LONG_TESTS` asks for them.
fn patient() -> bool {
    ["ALEXNET_LONG_TESTS", "ALEXNET_TEST_GPU"].iter().any(|variable| std::env::var_os(variable).is_some())
}

/// The number of threads is the CPU's affair.
mod f32 {
    use super::*;

    operations!(|_| gpu(Precision::F32), 0.1, patient());
}

mod bf16 {
    use super::*;

    operations!(|_| gpu(Precision::Bf16), 0.05, patient());

    /// A weight gradient reads the blocks that the forward pass has made, but no longer than they are those of its input.
    #[test]
    fn blocks_are_read_again_until_the_input_changes() {
        let shape = ConvShape {
            in_height: 23,
            in_width: 23,
            channels: 3,
            out_height: 5,
            out_width: 5,
            filters: 16,
            size: 11,
            stride: 4,
            pad: 2,
        };
        let layer = weighted(shape, Setup::default());
        let [forward, gradient] = [Op::ConvForward(layer.forward), Op::ConvWeightGrad(layer.weight_grad)];
        let input = gradient.operands()[0].1;
        let run = |ops: &[&Op], changed: bool, images: usize| {
            let mut device = gpu(Precision::Bf16);
            layer.memory.load(&mut device);
            device.begin(&mut step(1, 2, 2)).unwrap();
            ops[..ops.len() - 1].iter().for_each(|op| device.run(op).unwrap());
            device.begin(&mut step(1, images, 2)).unwrap();
            if changed {
                device.write(Span { len: 40, ..input }, &[0.5; 40]).unwrap();
            }
            device.run(ops[ops.len() - 1]).unwrap();
            let read = |output: Span| {
                let mut values = vec![0.0; output.len];
                device.read(output, &mut values).unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            layer.memory.outputs(&gradient).into_iter().map(read).collect::<Vec<_>>()
        };
        for (changed, images) in [(false, 2), (true, 2), (false, 1)] {
            let (after, alone) = (run(&[&forward, &gradient], changed, images), run(&[&gradient], changed, images));
            assert!(after == alone, "changed {changed}, {images} images");
        }
        assert!(run(&[&gradient], false, 2) != run(&[&gradient], true, 2), "the input matters");
    }

    /// Kernels that read bf16 are given none of what is f32, and the other way round.
    #[test]
    fn operands_of_the_wrong_type_are_refused() {
        let refused = |op: Op| {
            let mut device = gpu(Precision::Bf16);
            Region::ALL.into_iter().for_each(|region| device.reserve(Span::new(region, 0, 64)).unwrap());
            device.begin(&mut step(1, 1, 2)).unwrap();
            device.run(&op).unwrap_err().to_string()
        };
        let span = |region, start| Span::new(region, start, 8);
        let shape = FcShape { inputs: 1, outputs: 8 };
        let fc = |input, weight, bias, output| {
            let tower = ForwardTower { inputs: vec![Span { len: 1, ..input }], weights: vec![weight], bias, output };
            refused(Op::FcForward(Forward { shape, activation: None, towers: vec![tower] }))
        };
        let work = |start| span(Region::Work, start);
        let (weight, bias) = (span(Region::Weights, 0), span(Region::Weights, 8));
        assert_eq!(
            fc(span(Region::Results, 0), weight, bias, work(0)),
            "fc_forward on a GPU: an operand in Results, which is not kept in bf16"
        );
        assert_eq!(fc(work(0), weight, work(8), work(16)), "fc_forward on a GPU: an operand is bf16, expected f32");
        assert_eq!(
            fc(work(0), weight, bias, span(Region::Results, 0)),
            "fc_forward on a GPU: an operand is f32, expected bf16"
        );
        let tower = UnaryTower { input: work(0), output: span(Region::Results, 0) };
        let shape = ActivationShape { activation: Activation::Relu, len: 8 };
        assert_eq!(
            refused(Op::ActivationForward(UnaryForward { shape, towers: vec![tower] })),
            "activation_forward on a GPU: an operand is f32, expected bf16"
        );
    }
}

/// Around the edges of tiles: up to 32 rows are in short ones, more in tall ones; columns fill the widest but for a chunk.
#[test]
fn small_batches() {
    for (precision, chunk) in [(Precision::F32, 4), (Precision::Bf16, 8)] {
        for images in [1, 2, 31, 32, 33] {
            let setup = Setup { images, towers: 2, all: images % 2 == 1, seed: 1, ..Setup::default() };
            let shape = FcShape { inputs: 88, outputs: 128 - chunk };
            check_fc(|_| gpu(precision), shape, setup).unwrap();
        }
    }
}

/// Tall tiles of 48, 96 and 128 columns, forward and back, with three steps of terms, and a short one with two: the stage
/// that was read last, or the copy under way behind it, lies where the tile's output is gathered.
#[test]
fn the_pool_is_free_before_outputs_are_gathered_there() {
    let tall = [(88, 120), (120, 88), (88, 88), (88, 40), (40, 88)].map(|(inputs, outputs)| (33, inputs, outputs));
    for (images, inputs, outputs) in tall.into_iter().chain([(31, 120, 64)]) {
        let setup = Setup { images, seed: 1, ..Setup::default() };
        check_fc(|_| gpu(Precision::Bf16), FcShape { inputs, outputs }, setup).unwrap();
    }
}

/// Each kernel of products chooses among the operands of as many towers as a launch has: short tiles, tall ones of every
/// width, and those for any number of columns.
#[test]
fn products_of_four_towers() {
    let tall = [48, 64, 96, 128, 5].map(|columns| (33, columns));
    for (images, columns) in tall.into_iter().chain([(9, 40)]) {
        for precision in [Precision::F32, Precision::Bf16] {
            let setup = Setup { images, towers: 4, all: true, seed: 1, ..Setup::default() };
            check_fc(|_| gpu(precision), FcShape { inputs: columns, outputs: columns }, setup).unwrap();
        }
    }
}

/// What tiles of 32 rows give are the bits that tiles of 128 rows give: an image has the same sums in any batch.
#[test]
fn a_small_batch_has_the_bits_of_a_large_one() {
    let layer =
        weighted(FcShape { inputs: 264, outputs: 136 }, Setup { images: 70, towers: 2, all: true, ..Setup::default() });
    let (forward, input_grad) = (Op::FcForward(layer.forward.clone()), Op::FcInputGrad(layer.input_grad.clone()));
    for (precision, op) in [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| [(p, &forward), (p, &input_grad)])
    {
        let run = |images| {
            let mut device = gpu(precision);
            layer.memory.load(&mut device);
            device.begin(&mut step(1, images, 2)).unwrap();
            device.run(op).unwrap();
            let outputs = layer.memory.outputs(op).into_iter().map(|output| {
                let mut values = vec![0.0; output.len / 70 * 20];
                device.read(output, &mut values).unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            outputs.collect::<Vec<_>>()
        };
        assert!(run(20) == run(70), "{precision}: {}", op.name());
    }
}

#[test]
fn what_the_kernels_do_not_do_is_said() {
    let shape = LrnShape { pixels: 2, channels: 200, joined: 5, size: 5, k: 1.0, alpha: 0.1, beta: 0.75 };
    let layer = unary(shape, Setup { towers: 5, ..Setup::default() });
    let mut device = gpu(Precision::F32);
    layer.memory.load(&mut device);
    device.begin(&mut step(1, 2, 2)).unwrap();
    let joined = device.run(&Op::LrnForward(layer.forward)).unwrap_err().to_string();
    assert!(joined.contains("over 5 joined towers, at most 4"), "{joined}");
}
