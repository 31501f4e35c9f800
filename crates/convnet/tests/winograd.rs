//! How far Winograd's sums and direct sums are from f64, at the shapes of AlexNet that go through Winograd.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::layers::{Setup, weighted};
use common::memory::read;
use convnet::cpu::Cpu;
use convnet::naive::Naive;
use convnet::ops::{ConvShape, Op};

/// Relative L2 error of what `op` gives on two devices: through Winograd and summed directly.
fn errors(memory: &common::memory::Memory, op: &Op, images: usize) -> [f64; 2] {
    let step = common::step(1, images, 2);
    let mut naive = Naive::new();
    memory.run(&mut naive, op, &step);
    let output = memory.outputs(op)[0];
    let expected = read(&naive, output);
    [Cpu::new(2).unwrap(), Cpu::new(2).unwrap().direct()].map(|mut cpu| {
        let after = memory.run(&mut cpu, op, &step);
        let got = &after[output.region as usize][output.start..output.end()];
        let square = |x: f64| x * x;
        let error: f64 = expected.iter().zip(got).map(|(x, &y)| square(x - f64::from(y))).sum();
        (error / expected.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
    })
}

#[test]
fn winograd_is_as_accurate_as_promised() {
    let conv = |side, channels, filters, size| ConvShape {
        in_height: side,
        in_width: side,
        channels,
        out_height: side,
        out_width: side,
        filters,
        size,
        stride: 1,
        pad: size / 2,
        in_blocks: false,
    };
    for (name, shape, towers) in
        [("conv2", conv(27, 48, 128, 5), 1), ("conv3", conv(13, 128, 192, 3), 2), ("conv4", conv(13, 192, 192, 3), 1)]
    {
        let layer = weighted(shape, Setup { towers, all: towers > 1, ..Setup::default() });
        let ops = [
            Op::ConvForward(layer.forward),
            Op::ConvInputGrad(layer.input_grad),
            Op::ConvWeightGrad(layer.weight_grad),
        ];
        for (op, limit) in ops.iter().zip([2e-6, 1e-5, 1e-5]) {
            let [winograd, direct] = errors(&layer.memory, op, 2);
            println!("{name} {}: {winograd:.2e} through Winograd, {direct:.2e} direct", op.name());
            assert!(winograd < limit, "{name} {}: {winograd:.2e}, limit {limit:.0e}", op.name());
            assert!(winograd != direct, "{name} {} does not go through Winograd", op.name());
            assert!(direct < 5e-7, "{name} {}: {direct:.2e} summed directly", op.name());
        }
    }
}
