//! Every operation on a GPU against the naive device; simulated, unless `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use convnet::cuda::{self, Cuda};
use suite::*;

/// A device; the number of threads is the CPU's affair.
fn gpu(_threads: usize) -> Cuda {
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(1).unwrap();
    }
    Cuda::new(0).unwrap()
}

operations!(gpu, 0.2);
