//! Races between operations: each fault beside the same program done right, in every schedule.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cuda_sim::driver::Schedule;
use cuda_sim::driver::abi::*;

use super::machine::{Machine, machine};

/// Runs a program as it should be and without what `is_right` guards, on two devices. The second has to be reported
/// with all of `told`, and the first not at all.
fn pair(told: &[&str], program: impl Fn(&Machine, bool)) {
    for schedule in [Schedule::Eager, Schedule::Late, Schedule::Random] {
        for is_right in [true, false] {
            let machine = machine(2, schedule, 3);
            program(&machine, is_right);
            let synchronized = [0, 1].map(|device| {
                machine.on(device);
                unsafe { cuCtxSynchronize() }
            });
            let report = machine.report();
            if is_right {
                assert_eq!((synchronized, report.as_str()), ([0, 0], ""), "{schedule:?}");
            } else {
                assert!(synchronized.contains(&719), "{schedule:?}: {synchronized:?}, {report}");
                told.iter().for_each(|part| assert!(report.contains(part), "{schedule:?}: {part} is not in: {report}"));
            }
        }
    }
}

fn done(code: u32) {
    assert_eq!(code, 0);
}

fn synchronize(stream: *mut c_void) {
    done(unsafe { cuStreamSynchronize(stream) });
}

/// Waits, whatever comes of it.
fn synchronize_any(stream: *mut c_void) {
    unsafe { cuStreamSynchronize(stream) };
}

/// Words in pinned memory.
fn pinned(words: &[u32]) -> *mut u32 {
    let mut host = null_mut();
    done(unsafe { cuMemAllocHost_v2(&raw mut host, words.len() * 4) });
    let host = host.cast::<u32>();
    words.iter().enumerate().for_each(|(index, &word)| unsafe { host.add(index).write(word) });
    host
}

fn upload(to: u64, from: *mut u32, words: usize, stream: *mut c_void) {
    done(unsafe { cuMemcpyHtoDAsync_v2(to, from.cast(), words * 4, stream) });
}

fn download(to: *mut u32, from: u64, words: usize, stream: *mut c_void) {
    done(unsafe { cuMemcpyDtoHAsync_v2(to.cast(), from, words * 4, stream) });
}

/// Room on the device that nobody has touched yet.
fn room(words: usize) -> u64 {
    let mut room = 0;
    done(unsafe { cuMemAlloc_v2(&raw mut room, words * 4) });
    room
}

#[test]
fn two_kernels_on_two_streams_and_both_are_named() {
    let told = ["kernel add in stream", "bytes 0..4 of the 4 of device memory", "kernel put in stream"];
    pair(&told, |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        machine.put(x, 5, a);
        if is_right {
            machine.join(a, b);
        }
        machine.add(0, y, x, b);
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn a_write_after_a_read() {
    pair(&["kernel put", "kernel add"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        let z = machine.word(3);
        // Two readers; the writer has to wait for both.
        machine.add(0, y, x, a);
        machine.add(0, z, x, b);
        let c = machine.stream();
        machine.join(a, c);
        if is_right {
            machine.join(b, c);
        }
        machine.put(x, 5, c);
        [a, b, c].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn copies_and_fills_beside_kernels_and_each_other() {
    pair(&["a copy of 4 bytes from the host", "kernel add"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        upload(x, pinned(&[7]), 1, a);
        if is_right {
            synchronize(a);
        }
        machine.add(0, y, x, b);
        [a, b].into_iter().for_each(synchronize_any);
    });
    pair(&["a fill of 4 bytes", "kernel add"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        machine.add(0, y, x, b);
        if is_right {
            machine.join(b, a);
        }
        done(unsafe { cuMemsetD32Async(x, 9, 1, a) });
        [a, b].into_iter().for_each(synchronize_any);
    });
    pair(&["a copy of 4 bytes to the host", "a copy of 4 bytes between devices or within one"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        done(unsafe { cuMemcpyDtoDAsync_v2(x, y, 4, a) });
        if is_right {
            machine.join(a, b);
        }
        download(pinned(&[0]), x, 1, b);
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn an_event_orders_what_came_before_it_only() {
    pair(&["kernel add", "kernel put"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        if !is_right {
            machine.join(a, b);
        }
        machine.put(x, 5, a);
        if is_right {
            machine.join(a, b);
        }
        machine.add(0, y, x, b);
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn order_goes_through_streams_events_and_the_host() {
    pair(&["kernel add", "kernel put"], |machine, is_right| {
        let [a, b, c, d] = std::array::from_fn(|_| machine.stream());
        let (x, y) = (machine.word(1), machine.word(2));
        machine.put(x, 5, a);
        machine.join(a, b);
        machine.join(b, c);
        // The host learns that `c`, and with it all before, is over.
        let event = machine.event();
        done(unsafe { cuEventRecord(event, c) });
        if is_right {
            while unsafe { cuEventQuery(event) } == 600 {}
        }
        machine.add(0, y, x, d);
        [a, b, c, d].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn the_legacy_stream_orders_blocking_streams_only() {
    pair(&["kernel add", "kernel put"], |machine, is_right| {
        let stream = if is_right { machine.blocking_stream() } else { machine.stream() };
        let (x, y) = (machine.word(1), machine.word(2));
        machine.put(x, 5, stream);
        machine.add(0, y, x, null_mut());
        [stream, null_mut()].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn neighbours_and_common_reads_are_no_race() {
    pair(&["a fill of 1 bytes", "writes bytes 5..6 of the 8"], |machine, is_right| {
        let (a, b, xs) = (machine.stream(), machine.stream(), room(2));
        let (y, z) = (machine.word(1), machine.word(2));
        machine.put(xs, 1, a);
        done(unsafe { cuMemsetD8Async(xs + 4, 1, 1, b) });
        done(unsafe { cuMemsetD8Async(xs + 5, 1, 1, a) });
        machine.add(0, y, z, a);
        machine.add(0, xs, z, a);
        if !is_right {
            done(unsafe { cuMemsetD8Async(xs + 5, 1, 1, b) });
        }
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn branches_of_a_graph() {
    pair(&["kernel add", "kernel put"], |machine, is_right| {
        let (a, b, x, y) = (machine.stream(), machine.stream(), machine.word(1), machine.word(2));
        let (mut graph, mut executable) = (null_mut(), null_mut());
        done(unsafe { cuStreamBeginCapture_v2(a, 0) });
        machine.join(a, b);
        machine.put(x, 5, b);
        if is_right {
            machine.join(b, a);
        }
        machine.add(0, y, x, a);
        machine.join(b, a);
        done(unsafe { cuStreamEndCapture(a, &raw mut graph) });
        done(unsafe { cuGraphInstantiateWithFlags(&raw mut executable, graph, 0) });
        // Launches of one executable are ordered, in whatever streams.
        unsafe { cuGraphLaunch(executable, a) };
        unsafe { cuGraphLaunch(executable, b) };
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn peers() {
    pair(&["a copy of 4 bytes between devices", "kernel put"], |machine, is_right| {
        let (a, x) = (machine.stream(), machine.word(1));
        machine.put(x, 5, a);
        machine.on(1);
        let (b, y) = (machine.stream(), machine.word(2));
        if is_right {
            machine.on(0);
            machine.join(a, b);
            machine.on(1);
        }
        done(unsafe { cuMemcpyPeerAsync(y, machine.context(1), x, machine.context(0), 4, b) });
        [a, b].into_iter().for_each(synchronize_any);
    });
}

#[test]
fn pinned_memory_that_the_host_writes_under_a_copy() {
    pair(&["the host wrote pinned memory", "a copy of 8 bytes from the host in stream"], |machine, is_right| {
        let (stream, x, host) = (machine.stream(), room(2), pinned(&[1, 2]));
        upload(x, host, 2, stream);
        if is_right {
            synchronize(stream);
        }
        unsafe { host.add(1).write(3) };
        upload(x, host, 2, stream);
        synchronize_any(stream);
    });
    pair(&["the host wrote pinned memory", "a copy of 4 bytes to the host"], |machine, is_right| {
        let (stream, x, host) = (machine.stream(), machine.word(5), pinned(&[1]));
        download(host, x, 1, stream);
        if is_right {
            synchronize(stream);
        }
        unsafe { host.write(3) };
        synchronize_any(stream);
    });
}

#[test]
fn pinned_memory_that_two_copies_use() {
    pair(
        &["a copy of 4 bytes from the host", "of pinned memory", "a copy of 4 bytes to the host"],
        |machine, is_right| {
            let (a, b, x, y, host) = (machine.stream(), machine.stream(), machine.word(5), room(1), pinned(&[1]));
            download(host, x, 1, a);
            if is_right {
                machine.join(a, b);
            }
            upload(y, host, 1, b);
            [a, b].into_iter().for_each(synchronize_any);
        },
    );
    pair(&["cuMemcpyHtoD reads pinned memory", "a copy of 4 bytes to the host"], |machine, is_right| {
        let (stream, x, y, host) = (machine.stream(), machine.word(5), room(1), pinned(&[1]));
        download(host, x, 1, stream);
        if is_right {
            synchronize(stream);
        }
        unsafe { cuMemcpyHtoD_v2(y, host.cast(), 4) };
    });
}

#[test]
fn memory_that_is_freed_under_an_operation() {
    pair(&["pinned memory are freed", "1 copies"], |machine, is_right| {
        let (stream, x, host) = (machine.stream(), room(1), pinned(&[1]));
        upload(x, host, 1, stream);
        if is_right {
            synchronize(stream);
        }
        done(unsafe { cuMemFreeHost(host.cast()) });
        synchronize_any(stream);
    });
}

#[test]
fn device_memory_that_is_freed_before_anybody_waited() {
    for is_right in [true, false] {
        let machine = machine(1, Schedule::Eager, 0);
        let (stream, x) = (machine.stream(), machine.word(1));
        machine.put(x, 5, stream);
        if is_right {
            synchronize(stream);
        }
        done(unsafe { cuMemFree_v2(x) });
        let report = machine.report();
        assert_eq!(report.contains("cuMemFree frees bytes 0..4 of the 4"), !is_right, "{report}");
        assert_eq!(unsafe { cuCtxSynchronize() }, if is_right { 0 } else { 719 });
    }
}

/// What of the batches' order may be left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Nothing,
    /// The computation's wait for the batch.
    Arrived,
    /// The copy's wait for what read the batch before.
    Read,
    /// The host's wait for the copy from the pinned memory that it fills.
    Free,
}

/// Batches in two pinned buffers by turns, copied on a stream of their own to one place, which kernels of another
/// stream add up: the way of convnet's steps.
fn batches(machine: &Machine, missing: Missing) {
    let (copies, compute, batch, sum) = (machine.stream(), machine.stream(), machine.word(0), machine.word(0));
    let (arrived, read) = (machine.event(), machine.event());
    let slots = [0; 2].map(|_| (pinned(&[0]), machine.event()));
    for step in 0..6_u32 {
        let (host, copied) = slots[step as usize % 2];
        if missing != Missing::Free {
            unsafe { cuEventSynchronize(copied) };
        }
        unsafe { host.write(step + 1) };
        if missing != Missing::Read {
            unsafe { cuStreamWaitEvent(copies, read, 0) };
        }
        unsafe { cuMemcpyHtoDAsync_v2(batch, host.cast(), 4, copies) };
        unsafe { cuEventRecord(copied, copies) };
        unsafe { cuEventRecord(arrived, copies) };
        if missing != Missing::Arrived {
            unsafe { cuStreamWaitEvent(compute, arrived, 0) };
        }
        machine.add(0, sum, batch, compute);
        unsafe { cuEventRecord(read, compute) };
    }
    synchronize_any(compute);
}

#[test]
fn each_missing_event_of_double_buffered_batches() {
    for (missing, told) in [
        (Missing::Arrived, ["kernel add", "a copy of 4 bytes from the host"]),
        (Missing::Read, ["a copy of 4 bytes from the host", "kernel add"]),
        (Missing::Free, ["the host wrote pinned memory", "a copy of 4 bytes from the host"]),
    ] {
        pair(&told, |machine, is_right| batches(machine, if is_right { Missing::Nothing } else { missing }));
    }
}
