//! Every operation on a GPU against the naive device; simulated, unless `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use common::gpu;
use convnet::Error;
use convnet::cuda::Precision;
use convnet::ops::{Access, Forward, ForwardTower, Span, UnaryTower};
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

    /// A convolution with a stride that is computed over blocks, whatever its input is in.
    fn strided() -> impl Strategy<Value = (ConvShape, Setup)> {
        let maps = (prop_oneof![Just((4, 3)), (1_usize..8).prop_map(|maps| (4, maps)), Just((2, 6))], 1_usize..8);
        let window = (1_usize..=11, 0_usize..5, any::<bool>(), 0_usize..2);
        let strided = (1_usize..30, 1_usize..30, maps, window, setups());
        strided.prop_map(|(in_height, in_width, ((stride, channels), eights), (size, pad, ceil, overhang), setup)| {
            let (extents, maps, window) = ([in_height, in_width], [channels, 8 * eights], [size, stride, pad]);
            let shape = conv_shape(extents, maps, window, ceil, overhang);
            (ConvShape { in_blocks: true, ..shape }, Setup { all: false, ..setup })
        })
    }

    /// The layer with one input for all towers.
    fn of_one_input(shape: ConvShape, setup: Setup) -> (Memory, [Op; 2]) {
        let mut layer = weighted(shape, setup);
        let inputs = layer.forward.towers[0].inputs.clone();
        layer.forward.towers.iter_mut().for_each(|tower| tower.inputs.clone_from(&inputs));
        layer.weight_grad.towers.iter_mut().for_each(|tower| tower.inputs.clone_from(&inputs));
        (layer.memory, [Op::ConvForward(layer.forward), Op::ConvWeightGrad(layer.weight_grad)])
    }

    proptest! {
        #![proptest_config(config(0.05, 200))]

        #[test]
        fn convolutions_over_blocks((shape, setup) in strided()) {
            let (memory, [forward, gradient]) = of_one_input(shape, setup);
            let step = step(setup.seed, setup.images, 2);
            let slope = match setup.activation {
                Some(Activation::Tanh { a, b }) => f64::from(a * b),
                Some(Activation::Relu) | None => 1.0,
            };
            let terms = (shape.size * shape.size * shape.channels, setup.images * shape.out_height * shape.out_width);
            check_op(|_| gpu(Precision::Bf16), &memory, &forward, &step, &[slope * (terms.0 as f64).sqrt()])?;
            check_op(|_| gpu(Precision::Bf16), &memory, &gradient, &step, &[(terms.1 as f64).sqrt()])?;
        }

        /// An input in blocks gives the bits of the same as pixels.
        #[test]
        fn blocks_are_pixels((shape, setup) in strided()) {
            let shape = ConvShape { in_blocks: false, ..shape };
            let (memory, ops) = of_one_input(shape, setup);
            let memory = memory.rounded(Precision::Bf16);
            let run = |in_blocks: bool| {
                let mut device = gpu(Precision::Bf16);
                memory.load(&mut device);
                device.begin(&mut step(setup.seed, setup.images, 2)).unwrap();
                let mut bits = Vec::new();
                for mut op in ops.clone() {
                    if in_blocks {
                        let input = memory.live(op.operands()[0].1);
                        let mut pixels = vec![0.0; input.len];
                        device.read(input, &mut pixels).unwrap();
                        let blocks = shape.blocks().of_pixels(&pixels, [shape.in_height, shape.in_width, shape.channels]);
                        let end = memory.lens()[Region::Work as usize].next_multiple_of(16);
                        let place = Span::new(Region::Work, end, blocks.len());
                        device.reserve(place).unwrap();
                        device.write(place, &blocks).unwrap();
                        match &mut op {
                            Op::ConvForward(op) => {
                                op.shape.in_blocks = true;
                                op.towers.iter_mut().for_each(|tower| tower.inputs = vec![place]);
                            }
                            Op::ConvWeightGrad(op) => {
                                op.shape.in_blocks = true;
                                op.towers.iter_mut().for_each(|tower| tower.inputs = vec![place]);
                            }
                            _ => unreachable!("the two operations that read the input"),
                        }
                    }
                    device.run(&op).unwrap();
                    for (_, output) in op.operands().into_iter().filter(|(access, _)| *access == Access::Write) {
                        let mut values = vec![0.0; memory.live(output).len];
                        device.read(output, &mut values).unwrap();
                        bits.extend(values.into_iter().map(f32::to_bits));
                    }
                }
                bits
            };
            prop_assert!(run(true) == run(false));
        }
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

proptest! {
    #![proptest_config(config(0.1, 120))]

    /// Blocks have the bits of the pixels in them, and zeros beyond the border.
    #[test]
    fn augment_in_blocks(
        crop in maps(1, 24), margin in 0_usize..5, side in prop_oneof![Just(4_usize), 1_usize..6],
        pad in prop_oneof![Just(0_usize), 0_usize..6, Just(4)], (rows, columns) in (1_usize..8, 1_usize..8),
        half in any::<bool>(), setup in setups(),
    ) {
        let precision = if half { Precision::Bf16 } else { Precision::F32 };
        let (sides, blocks) = ((crop + margin, crop), Blocks { side, pad, rows, columns });
        check_augment(|_| gpu(precision), sides, Some(blocks), setup)?;
        let run = |blocks: Option<Blocks>, image_len: usize| {
            let output = Span::new(Region::Work, 0, setup.images * image_len);
            let mean = Span::new(Region::Constants, 0, crop * crop * 3);
            let mut device = gpu(precision);
            device.reserve(output).unwrap();
            device.reserve(mean).unwrap();
            device.write(mean, &(0..mean.len).map(|i| 100.0 + (i % 50) as f32).collect::<Vec<_>>()).unwrap();
            device.begin(&mut pixels(sides, setup.images, setup.seed)).unwrap();
            device.augment(&Augment { side: sides.0, crop, mean, blocks, output }).unwrap();
            let mut values = vec![0.0; output.len];
            device.read(output, &mut values).unwrap();
            values
        };
        let (pixels, in_blocks) = (run(None, crop * crop * 3), run(Some(blocks), blocks.image_len(3)));
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        prop_assert!(bits(blocks.of_pixels(&pixels, [crop, crop, 3])) == bits(in_blocks));
    }
}

/// Blocks are for convolutions in bf16 whose maps they make chunks of.
#[test]
fn blocks_that_nothing_reads_are_refused() {
    let conv = |stride, channels, filters| {
        let (in_height, in_width, out_height, out_width, size, pad, in_blocks) = (8, 8, 2, 2, 4, 0, true);
        ConvShape { in_height, in_width, channels, out_height, out_width, filters, size, stride, pad, in_blocks }
    };
    let refused = |precision, shape: ConvShape, setup: Setup| {
        assert!(!gpu(precision).prefers_blocks(&shape) || setup.towers > 1);
        let layer = weighted(shape, setup);
        for op in [Op::ConvForward(layer.forward), Op::ConvWeightGrad(layer.weight_grad)] {
            let mut device = gpu(precision);
            layer.memory.load(&mut device);
            device.begin(&mut step(1, 2, 2)).unwrap();
            let refusal = device.run(&op);
            assert!(matches!(refusal, Err(Error::Blocks { .. })), "{refusal:?}");
        }
    };
    let one = Setup { images: 2, ..Setup::default() };
    refused(Precision::F32, conv(4, 3, 16), one);
    refused(Precision::Bf16, conv(1, 3, 16), one);
    refused(Precision::Bf16, conv(3, 3, 16), one);
    refused(Precision::Bf16, conv(4, 3, 12), one);
    // Two towers, each with an input of its own.
    refused(Precision::Bf16, conv(4, 3, 16), Setup { towers: 2, ..one });
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

/// Without an activation, by the kernels for any number of inputs, outputs go four at a time: in every row and column of
/// a tile. With an odd number of outputs they go one by one; with many inputs, sums in parts, which have no bias.
#[test]
fn whole_tiles() {
    for (inputs, outputs) in [(5, 72), (131, 87), (2048, 48)] {
        for precision in [Precision::F32, Precision::Bf16] {
            let setup = Setup { images: 131, seed: 1, ..Setup::default() };
            check_fc(|_| gpu(precision), FcShape { inputs, outputs }, setup).unwrap();
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
