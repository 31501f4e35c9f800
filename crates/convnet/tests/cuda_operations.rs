//! Every operation on a GPU, simulated, against the naive device.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use convnet::cuda::Cuda;
use suite::*;

/// A device; the number of threads is the CPU's affair.
fn gpu(_threads: usize) -> Cuda {
    cuda_driver::choose(cuda_driver::Backend::Simulator { devices: 1 }).unwrap();
    Cuda::new(0).unwrap()
}

operations!(gpu, 0.2);
