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
