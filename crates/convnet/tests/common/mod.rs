//! What the tests of operations share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

pub mod check;
pub mod layers;
pub mod memory;
pub mod placed;

use convnet::cpu::Cpu;
use convnet::cuda::{self, Cuda, Precision};
use convnet::ops::{Device, Step};
use convnet::philox;

/// A step of `images` images with random ids and labels below `classes`, and three learning rates.
pub fn step(seed: u64, images: usize, classes: usize) -> Step {
    let random = |i: usize| philox::words(seed, 9, i as u32, 99, 0);
    Step {
        labels: (0..images).map(|i| philox::below(random(i)[0], classes as u32)).collect(),
        ids: (0..images).map(|i| random(i)[1]).collect(),
        seed: seed ^ 0x1234_5678_9abc_def0,
        epoch: 3,
        rates: vec![0.1, 0.01, 0.7],
        ..Step::default()
    }
}

/// A device under test, and the type of its activations.
pub trait Tested: Device {
    /// What [`Cpu::precision`] or [`Cuda::precision`] says.
    fn precision(&self) -> Precision;
}

impl Tested for Cpu {
    fn precision(&self) -> Precision {
        Cpu::precision(self)
    }
}

impl Tested for Cuda {
    fn precision(&self) -> Precision {
        Cuda::precision(self)
    }
}

/// The processor with products in bf16; where it has no instructions for them, as it is.
pub fn bf16(threads: usize) -> Cpu {
    Cpu::new(threads).unwrap().bf16().unwrap_or_else(|_| Cpu::new(threads).unwrap())
}

/// The first GPU, simulated unless `ALEXNET_TEST_GPU` is set.
pub fn gpu(precision: Precision) -> Cuda {
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(1).unwrap();
    }
    Cuda::new(0, precision).unwrap()
}
