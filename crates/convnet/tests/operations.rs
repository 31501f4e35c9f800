//! Every operation on the CPU against the naive device.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use common::bf16;
use convnet::cpu::Cpu;
use suite::*;

operations!(|threads| Cpu::new(threads).unwrap(), 1.0, true);

/// Products in bf16; nothing else differs.
mod products_in_bf16 {
    use super::*;

    proptest! {
        #![proptest_config(config(1.0, 60))]

        #[test]
        fn conv((shape, setup) in convs()) {
            check_conv(bf16, shape, setup)?;
        }

        #[test]
        fn fc(inputs in 1_usize..=300, outputs in 1_usize..=300, setup in setups()) {
            check_fc(bf16, FcShape { inputs, outputs }, setup)?;
        }

        #[test]
        fn fc_with_many_images(inputs in 1_usize..9, outputs in 1_usize..40, images in 200_usize..700, setup in setups()) {
            check_fc(bf16, FcShape { inputs, outputs }, Setup { images, ..setup })?;
        }
    }

    proptest! {
        #![proptest_config(config(1.0, 60))]

        /// Weights that few images read in place are rounded, and their products summed, as packed ones are.
        #[test]
        fn few_images_have_the_bits_of_many(
            inputs in 1_usize..=700, outputs in 1_usize..=300, images in 1_usize..=4, setup in setups(),
        ) {
            let layer = weighted(FcShape { inputs, outputs }, Setup { images: 9, ..setup });
            let op = Op::FcForward(layer.forward.clone());
            let outputs_of = |images| {
                let mut device = bf16(2);
                layer.memory.load(&mut device);
                device.begin(&mut step(setup.seed, images, 2)).unwrap();
                device.run(&op).unwrap();
                layer.forward.towers.iter().map(|tower| {
                    let mut output = vec![0.0; outputs * 9];
                    device.read(tower.output, &mut output).unwrap();
                    output[..outputs * images.min(4)].iter().map(|x| x.to_bits()).collect::<Vec<_>>()
                }).collect::<Vec<_>>()
            };
            for (few, many) in outputs_of(images).iter().zip(outputs_of(9)) {
                prop_assert_eq!(&few[..], &many[..few.len()]);
            }
        }
    }

    #[test]
    fn alexnet() -> proptest::test_runner::TestCaseResult {
        shapes_of_alexnet(bf16, false)
    }
}
