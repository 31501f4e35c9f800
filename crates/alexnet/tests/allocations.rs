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
    // One group of images in the weight gradient, and several; few images in fully connected layers, and many.
    for batch in [1, 40] {
        watch(batch, "f32", Cpu::new(2).unwrap());
        match Cpu::new(2).unwrap().bf16() {
            Ok(device) => watch(batch, "bf16", device),
            Err(error) => eprintln!("skipped: bf16 with batch {batch}: {error}"),
        }
    }
}

/// Watches `mini`, which has a normalisation that is one operation with its pooling, and one that is not.
fn watch(batch: usize, precision: &str, device: Cpu) {
    let net = nets::load("mini", None).expect("a built-in net");
    let (mut network, mut step) = trained(&net, batch, device).expect("a network");
    let mut steps = |count: usize| {
        for _ in 0..count {
            network.train(&mut step).expect("a step");
            network.infer(&mut step).expect("a pass");
        }
    };
    steps(3);
    let region = Region::new(ALLOCATOR);
    steps(STEPS);
    let seen = region.change();
    assert!(seen.allocations + seen.reallocations <= 1, "{precision}, batch {batch}, {STEPS} steps: {seen:?}");
}
