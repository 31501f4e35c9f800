//! Normalisation and pooling as one operation of the CPU give the bits of the two, in any cut into strips and tasks.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::placed::{STEPS, joined, mini, steps};
use common::step;
use convnet::cpu::Cpu;
use convnet::ops::{
    Activation, ActivationShape, Device, LrnPoolShape, LrnShape, Op, PoolShape, Region, Span, UnaryBackward,
    UnaryForward, UnaryGradTower, UnaryShape, UnaryTower, window_count,
};
use convnet::philox::words;
use convnet::run::Network;
use proptest::prelude::*;

#[test]
fn training_gives_the_bits_of_a_plan_that_keeps_every_tensor() {
    for net in [mini(), joined()] {
        let mut fused = Network::for_training(&net, 3, Cpu::new(2).unwrap()).unwrap();
        let mut plain = Network::for_inspection(&net, 3, Cpu::new(1).unwrap()).unwrap();
        let is_pooled = |network: &Network<Cpu>| {
            network.training_plan().unwrap().backward.iter().any(|planned| planned.op.name() == "lrn_pool_backward")
        };
        assert!(is_pooled(&fused) && !is_pooled(&plain));
        fused.initialise(3).unwrap();
        plain.initialise(3).unwrap();
        for step in steps(&net, &fused, &STEPS) {
            let losses =
                [&mut fused, &mut plain].map(|network| network.train(&mut step.clone()).unwrap().loss.to_bits());
            assert_eq!(losses[0], losses[1], "{}", net.name);
        }
        for parameter in fused.parameters() {
            let bits = |network: &Network<Cpu>| {
                network.read(parameter.value).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert!(bits(&fused) == bits(&plain), "{}: {}", net.name, parameter.name);
        }
    }
}

fn shapes() -> impl Strategy<Value = LrnPoolShape> {
    let extents = (1_usize..14, 1_usize..14, 1_usize..40, any::<bool>());
    let window = (1_usize..5, 1_usize..5);
    (extents, window, (1_usize..4, 0_usize..4), any::<bool>(), prop_oneof![Just(0.75_f32), 0.1_f32..1.5]).prop_map(
        |((in_height, in_width, channels, ceil), (size, stride), (joined, half), rectified, beta)| {
            let count = |extent| window_count(extent, 0, size, stride, ceil);
            let (out_height, out_width) = (count(in_height), count(in_width));
            let pool = PoolShape { in_height, in_width, channels, out_height, out_width, size, stride };
            let pixels = in_height * in_width;
            let lrn = LrnShape { pixels, channels, joined, size: 2 * half + 1, k: 2.0, alpha: 0.1, beta };
            LrnPoolShape { lrn, pool, rectified }
        },
    )
}

fn unary<S: UnaryShape>(shape: S, inputs: &[Span], outputs: &[Span]) -> UnaryForward<S> {
    let tower = |(&input, &output)| UnaryTower { input, output };
    UnaryForward { shape, towers: inputs.iter().zip(outputs).map(tower).collect() }
}

fn gradient<S: UnaryShape>(shape: S, saved: &[Span], d_outputs: &[Span], d_inputs: &[Span]) -> UnaryBackward<S> {
    let tower = |((&saved, &d_output), &d_input)| UnaryGradTower { saved: Some(saved), d_output, d_input };
    UnaryBackward { shape, towers: saved.iter().zip(d_outputs).zip(d_inputs).map(tower).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_operation_gives_the_bits_of_two(
        shape in shapes(), images in 1_usize..11, groups in 1_usize..3, seed in any::<u64>(),
    ) {
        let LrnPoolShape { lrn, pool, rectified } = shape;
        let (towers, mut end) = (lrn.joined * groups, 0);
        let mut place = |len: usize| {
            (0..towers).map(|_| {
                let span = Span::new(Region::Work, end, images * len);
                end = span.end();
                span
            }).collect::<Vec<_>>()
        };
        let [x, y, dy, dx, dx_of_one] = [lrn.input_len(); 5].map(&mut place);
        let [z, dz, z_of_one] = [pool.output_len(); 3].map(&mut place);
        let mut cpu = Cpu::new(2).unwrap();
        cpu.reserve(Span::new(Region::Work, 0, end)).unwrap();
        // Few values, so that maxima are met several times.
        let value = |i: usize| (words(seed, 0, i as u32, 99, 0)[0] % 7) as f32 - 2.0;
        for span in &x {
            let relu: Vec<f32> = (0..span.len).map(|i| value(span.start + i).max(0.0)).collect();
            cpu.write(*span, &relu).unwrap();
        }
        for span in &dz {
            cpu.write(*span, &(0..span.len).map(|i| value(span.start + i)).collect::<Vec<_>>()).unwrap();
        }
        cpu.begin(&mut step(seed, images, 2)).unwrap();
        let mut two = vec![
            Op::LrnForward(unary(lrn, &x, &y)),
            Op::PoolForward(unary(pool, &y, &z)),
            Op::PoolBackward(gradient(pool, &y, &dz, &dy)),
            Op::LrnBackward(gradient(lrn, &x, &dy, &dx)),
        ];
        let relu = ActivationShape { activation: Activation::Relu, len: lrn.input_len() };
        if rectified {
            two.push(Op::ActivationBackward(gradient(relu, &x, &dx, &dx)));
        }
        let one = [
            Op::LrnPoolForward(unary(shape, &x, &z_of_one)),
            Op::LrnPoolBackward(gradient(shape, &x, &dz, &dx_of_one)),
        ];
        two.iter().chain(&one).for_each(|op| cpu.run(op).unwrap());
        for (two, one) in z.iter().chain(&dx).zip(z_of_one.iter().chain(&dx_of_one)) {
            let bits = |span: &Span| {
                let mut values = vec![f32::NAN; span.len];
                cpu.read(*span, &mut values).unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            prop_assert_eq!(bits(two), bits(one));
        }
    }
}
