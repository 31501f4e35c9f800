//! A step in the steady state allocates nothing, and so starts no thread, which would. This program counts what all of
//! its threads ask the allocator for, so it has one test.

use alexnet::benchmark::trained;
use alexnet::nets;
use convnet::cpu::Cpu;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Steps that are watched. They go to the threads thirty times, and rayon's queue takes a block of memory for every 63.
const STEPS: usize = 10;

#[test]
fn steps_of_training_and_inference_allocate_nothing() {
    let net = nets::load("mini", None).unwrap();
    // One group of images in the weight gradient, and several.
    for batch in [1, 40] {
        let (mut network, mut step) = trained(&net, batch, Cpu::new(2).unwrap()).unwrap();
        let mut steps = |count: usize| {
            for _ in 0..count {
                network.train(&mut step).unwrap();
                network.infer(&mut step).unwrap();
            }
        };
        steps(3);
        let region = Region::new(ALLOCATOR);
        steps(STEPS);
        let seen = region.change();
        assert!(seen.allocations + seen.reallocations <= 1, "batch {batch}, {STEPS} steps: {seen:?}");
    }
}
