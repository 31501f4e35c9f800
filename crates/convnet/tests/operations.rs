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

    #[test]
    fn alexnet() -> proptest::test_runner::TestCaseResult {
        shapes_of_alexnet(bf16, false)
    }
}
