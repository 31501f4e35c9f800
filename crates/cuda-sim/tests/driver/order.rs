//! When operations run, and what they find.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ptr::null_mut;

use cuda_sim::driver::Schedule;
use cuda_sim::driver::abi::*;
use proptest::prelude::*;

use super::machine::{Machine, machine, one, unchecked};

#[test]
fn a_missing_wait_gives_the_value_of_before_and_a_wait_the_right_one() {
    let machine = unchecked(0);
    let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(10));
    machine.put(x, 5, a);
    machine.add(0, y, x, b);
    assert_eq!(machine.get(y, b), 11);
    assert_eq!(unsafe { cuStreamSynchronize(a) }, 0);
    machine.put(x, 7, a);
    machine.join(a, b);
    machine.add(0, y, x, b);
    assert_eq!(machine.get(y, b), 18);
}

#[test]
fn the_legacy_stream_waits_for_blocking_streams_only() {
    let machine = one();
    let x = machine.word(1);
    machine.put(x, 2, machine.stream());
    assert_eq!(machine.get(x, null_mut()), 1);
    machine.put(x, 3, machine.blocking_stream());
    assert_eq!(machine.get(x, null_mut()), 3);
}

#[test]
fn pinned_memory_is_read_late_and_pageable_memory_at_the_call() {
    let machine = unchecked(0);
    let (x, stream) = (machine.unwritten(), machine.stream());
    let mut host = null_mut();
    assert_eq!(unsafe { cuMemAllocHost_v2(&raw mut host, 4) }, 0);
    unsafe { host.cast::<u32>().write(1) };
    assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(x, host, 4, stream) }, 0);
    unsafe { host.cast::<u32>().write(2) };
    assert_eq!(machine.get(x, stream), 2);
    let mut word = 3_u32;
    assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(x, (&raw const word).cast(), 4, stream) }, 0);
    word += 1;
    assert_eq!((machine.get(x, stream), word), (3, 4));
    assert_eq!(unsafe { cuMemcpyDtoHAsync_v2(host, x, 4, stream) }, 0);
    assert_eq!(unsafe { host.cast::<u32>().read() }, 2);
    assert_eq!(unsafe { cuStreamSynchronize(stream) }, 0);
    assert_eq!(unsafe { host.cast::<u32>().read() }, 3);
}

#[test]
fn pinned_memory_freed_under_a_copy_is_reported() {
    let machine = one();
    let (x, stream) = (machine.unwritten(), machine.stream());
    let mut host = null_mut();
    for (wait, reported) in [(true, false), (false, true)] {
        assert_eq!(unsafe { cuMemAllocHost_v2(&raw mut host, 4) }, 0);
        assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(x, host, 4, stream) }, 0);
        if wait {
            assert_eq!(unsafe { cuStreamSynchronize(stream) }, 0);
        }
        assert_eq!(unsafe { cuMemFreeHost(host) }, 0);
        assert_eq!(machine.report().contains("pinned memory are freed"), reported);
    }
}

#[test]
fn a_program_that_polls_ends() {
    let machine = one();
    let (x, stream, event) = (machine.word(0), machine.stream(), machine.event());
    (1..=5).for_each(|value| assert_eq!(machine.put(x, value, stream), 0));
    assert_eq!(unsafe { cuEventRecord(event, stream) }, 0);
    assert_eq!(unsafe { cuStreamQuery(stream) }, 600);
    let polls = (0..100).take_while(|_| unsafe { cuEventQuery(event) } == 600).count();
    assert_eq!((polls, machine.get(x, stream)), (5, 5));
}

/// Adds and copies along a chain over two devices and four streams, in the order of the calls.
fn chain(machine: &Machine, steps: &[usize]) -> u32 {
    let mut words = Vec::new();
    let mut streams = Vec::new();
    for device in 0..2 {
        machine.on(device);
        words.push(machine.word(device + 1));
        streams.push([machine.stream(), machine.stream()]);
    }
    let mut last = streams[0][0];
    for &step in steps {
        let (device, stream) = (step % 2, streams[step % 2][step / 2 % 2]);
        machine.on(if streams[0].contains(&last) { 0 } else { 1 });
        machine.join(last, stream);
        machine.on(device as u32);
        assert_eq!(machine.add(device as u32, words[device], words[device], stream), 0);
        let (to, from) = (machine.context(1 - device as u32), machine.context(device as u32));
        assert_eq!(unsafe { cuMemcpyPeerAsync(words[1 - device], to, words[device], from, 4, stream) }, 0);
        last = stream;
    }
    machine.on(if streams[0].contains(&last) { 0 } else { 1 });
    machine.get(words[0], last)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_correct_program_gives_the_same_bits_with_every_seed(
        steps in prop::collection::vec(0_usize..4, 1..10),
        seed: u64,
    ) {
        let expected = chain(&machine(2, Schedule::Eager, 0), &steps);
        for schedule in [Schedule::Late, Schedule::Random] {
            prop_assert_eq!(chain(&machine(2, schedule, seed), &steps), expected);
        }
    }
}

#[test]
fn an_incorrect_program_gives_other_bits_with_other_seeds() {
    let result = |seed| {
        let machine = unchecked(seed);
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(3));
        machine.put(x, 2, a);
        machine.add(0, x, y, b);
        assert_eq!(unsafe { cuCtxSynchronize() }, 0);
        machine.get(x, a)
    };
    let found: std::collections::BTreeSet<u32> = (0..16).map(result).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [2, 5]);
    assert_eq!(result(3), result(3));
}
