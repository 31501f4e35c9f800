//! Every operation on a GPU against the naive device; simulated, unless `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use common::gpu;
use suite::*;

/// On a simulated GPU conv1 to conv5 take minutes: `ALEXNET_LONG_TESTS` asks for them.
fn patient() -> bool {
    ["ALEXNET_LONG_TESTS", "ALEXNET_TEST_GPU"].iter().any(|variable| std::env::var_os(variable).is_some())
}

// The number of threads is the CPU's affair.
operations!(|_| gpu(), 0.1, patient());

#[test]
fn what_the_kernels_do_not_do_is_said() {
    let refused = |joined, size| {
        let shape = LrnShape { pixels: 2, channels: 200, joined, size, k: 1.0, alpha: 0.1, beta: 0.75 };
        let layer = unary(shape, Setup { towers: joined, ..Setup::default() });
        let mut device = gpu();
        layer.memory.load(&mut device);
        device.begin(&mut step(1, 2, 2)).unwrap();
        device.run(&Op::LrnForward(layer.forward)).unwrap_err().to_string()
    };
    let joined = refused(5, 5);
    assert!(joined.contains("over 5 joined towers, at most 4"), "{joined}");
    let wide = refused(1, 147);
    assert!(wide.contains("windows of 147 maps, at most 145"), "{wide}");
}
