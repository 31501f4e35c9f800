//! Predicted time between events, and the timeline.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cuda_sim::driver::abi::*;
use cuda_sim::driver::{Engine, Schedule, record_timeline, take_timeline};
use cuda_sim::model::H100;

use super::machine::{machine, one};

const INVALID_HANDLE: u32 = 400;
const NOT_READY: u32 = 600;

/// An event with a time.
fn timed() -> *mut c_void {
    let mut event = null_mut();
    assert_eq!(unsafe { cuEventCreate(&raw mut event, 0) }, 0);
    event
}

fn record(event: *mut c_void, stream: *mut c_void) {
    assert_eq!(unsafe { cuEventRecord(event, stream) }, 0);
}

/// Microseconds between events, when the second is waited for.
fn elapsed(start: *mut c_void, end: *mut c_void) -> f64 {
    let mut milliseconds = 0.0_f32;
    assert_eq!(unsafe { cuEventSynchronize(start) }, 0);
    assert_eq!(unsafe { cuEventSynchronize(end) }, 0);
    assert_eq!(unsafe { cuEventElapsedTime(&raw mut milliseconds, start, end) }, 0);
    f64::from(milliseconds) * 1e3
}

fn near(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 0.01, "{got} for {expected}");
}

/// What a kernel of one thread takes: starting it.
const LAUNCH: f64 = H100.launch_cost * 1e6;

#[test]
fn a_stream_takes_the_sum_and_two_engines_the_longer() {
    let machine = one();
    let (a, b, x) = (machine.stream(), machine.stream(), machine.word(1));
    let [start, middle, end, joined] = [(); 4].map(|()| timed());
    record(start, a);
    machine.put(x, 1, a);
    record(middle, a);
    machine.put(x, 2, a);
    record(end, a);
    near(elapsed(start, middle), LAUNCH);
    near(elapsed(start, end), 2.0 * LAUNCH);
    // A long copy in one stream, a short kernel in the other: together they take as long as the copy.
    let bytes = 6_300_000;
    let (mut host, mut device) = (null_mut(), 0);
    assert_eq!(unsafe { cuMemAllocHost_v2(&raw mut host, bytes) }, 0);
    assert_eq!(unsafe { cuMemAlloc_v2(&raw mut device, bytes) }, 0);
    record(start, a);
    assert_eq!(unsafe { cuStreamWaitEvent(b, start, 0) }, 0);
    assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(device, host, bytes, b) }, 0);
    machine.put(x, 3, a);
    machine.join(b, a);
    record(joined, a);
    near(elapsed(start, joined), LAUNCH + bytes as f64 / H100.host_bandwidth * 1e6);
    unsafe { cuMemFreeHost(host) };
}

#[test]
fn kernels_of_two_streams_share_a_device_and_not_two() {
    let machine = machine(2, Schedule::Late, 0);
    let (start, end) = (timed(), timed());
    let streams = [machine.stream(), machine.stream()];
    let x = [machine.word(1), machine.word(2)];
    record(start, streams[0]);
    assert_eq!(unsafe { cuStreamWaitEvent(streams[1], start, 0) }, 0);
    machine.put(x[0], 1, streams[0]);
    machine.put(x[1], 1, streams[1]);
    machine.join(streams[1], streams[0]);
    record(end, streams[0]);
    near(elapsed(start, end), 2.0 * LAUNCH);
    // On another device they run beside each other.
    machine.on(1);
    let (other, y) = (machine.stream(), machine.word(3));
    machine.on(0);
    record(start, streams[0]);
    machine.put(x[0], 1, streams[0]);
    machine.on(1);
    assert_eq!(unsafe { cuStreamWaitEvent(other, start, 0) }, 0);
    let (mut to, mut value) = (y, 5_u32);
    machine.launch(1, "put", [1; 3], 1, 0, &mut [(&raw mut to).cast(), (&raw mut value).cast()], other);
    machine.join(other, streams[0]);
    machine.on(0);
    record(end, streams[0]);
    near(elapsed(start, end), LAUNCH);
}

#[test]
fn what_has_no_time_is_said() {
    let machine = one();
    let (stream, x) = (machine.stream(), machine.word(1));
    let (start, end) = (timed(), timed());
    let between = |start, end| unsafe { cuEventElapsedTime(&raw mut { 0.0_f32 }, start, end) };
    assert_eq!(between(start, end), INVALID_HANDLE);
    record(start, stream);
    machine.put(x, 1, stream);
    record(end, stream);
    assert_eq!(between(start, end), NOT_READY);
    assert_eq!(unsafe { cuStreamSynchronize(stream) }, 0);
    assert_eq!(between(start, end), 0);
    let untimed = machine.event();
    record(untimed, stream);
    assert_eq!(unsafe { cuStreamSynchronize(stream) }, 0);
    assert_eq!(between(start, untimed), INVALID_HANDLE);
}

#[test]
fn the_timeline_has_every_operation_once_and_none_before_its_time() {
    let machine = one();
    let (a, b, x) = (machine.stream(), machine.stream(), machine.word(1));
    record_timeline();
    machine.put(x, 1, a);
    machine.join(a, b);
    machine.put(x, 2, b);
    assert_eq!(machine.get(x, b), 2);
    let spans = take_timeline();
    let found: Vec<_> = spans.iter().map(|span| (span.device, span.engine, &*span.name, span.stream)).collect();
    let [a, b] = [a, b].map(|stream| stream.addr() as u64);
    assert_eq!(found, [(0, Engine::Kernels, "put", a), (0, Engine::Kernels, "put", b)]);
    assert!(spans[1].start >= spans[0].start + spans[0].seconds, "{spans:?}");
    assert!(take_timeline().is_empty());
}
