//! End-to-end and parity tests; see `tests/`. This library has what they share.
#![forbid(unsafe_code)]

use convnet::cuda::{self, Cuda, Precision};

/// The first GPU, simulated unless `ALEXNET_TEST_GPU` is set.
///
/// # Panics
/// When there is none.
#[allow(clippy::expect_used, reason = "this is how a test fails")]
pub fn gpu(precision: Precision) -> Cuda {
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(1).expect("no other driver was asked for");
    }
    Cuda::new(0, precision).expect("there is a device")
}
