//! A step in the steady state allocates nothing, and so starts no thread, which would. This program counts what all of
//! its threads ask the allocator for, so it has one test.

use alexnet::benchmark::trained;
use alexnet::nets;
use convnet::Error;
use convnet::cpu::Cpu;
use convnet::ops::Device;
use convnet::shards::Shards;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Steps that are watched.
const STEPS: usize = 10;
/// Rayon's queue takes a block of memory for so many lists that go to the threads.
const LISTS_IN_A_BLOCK: usize = 63;

#[test]
fn steps_of_training_and_inference_allocate_nothing() {
    // One group of images in the weight gradient, and several; few images in fully connected layers, and many.
    for batch in [1, 40] {
        for precision in ["f32", "bf16"] {
            let device = || match precision {
                "f32" => Cpu::new(2),
                _ => Cpu::new(2)?.bf16(),
            };
            match device() {
                Ok(one) => {
                    let two = Shards::new(vec![device().unwrap(), device().unwrap()]);
                    watch(batch, precision, one, 3);
                    // Forward, backward and inference, in parts between exchanges.
                    watch(batch, precision, two, 9 + 18 + 11);
                }
                Err(Error::NoBf16) => eprintln!("skipped: bf16 with batch {batch}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Watches `mini`, which has a normalisation that is one operation with its pooling, and one that is not. In a training
/// step and a pass of inference, so many lists go to the threads.
fn watch(batch: usize, precision: &str, device: impl Device, lists: usize) {
    let devices = device.shards();
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
    // Each device has a queue. This is less than one in a step.
    let blocks = lists * STEPS / LISTS_IN_A_BLOCK + devices;
    let what = format!("{precision}, batch {batch}, {devices} devices, {STEPS} steps");
    assert!(blocks < STEPS && seen.allocations + seen.reallocations <= blocks, "{what}: {seen:?}");
}
