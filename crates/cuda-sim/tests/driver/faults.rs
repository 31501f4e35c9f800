//! Faults, leaks, limits, peers.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cuda_sim::driver::abi::*;
use cuda_sim::driver::{Counts, Faults, Schedule, counts};

use super::machine::{faulty, machine, one};

#[test]
fn a_fault_stays_until_the_primary_context_is_reset() {
    let machine = one();
    let stream = machine.stream();
    assert_eq!(machine.launch(0, "trapped", [1; 3], 1, 0, &mut [], stream), 0);
    assert_eq!(unsafe { cuStreamSynchronize(stream) }, 715);
    assert!(machine.report().contains("trapped, PTX line"), "kernel and line are named");
    let mut x = 0;
    assert_eq!(unsafe { cuMemAlloc_v2(&raw mut x, 4) }, 715);
    assert_eq!(unsafe { cuCtxSynchronize() }, 715);
    assert_eq!(unsafe { cuDevicePrimaryCtxReset_v2(0) }, 0);
    assert_eq!(unsafe { cuCtxSynchronize() }, 709);
    let mut context = null_mut();
    assert_eq!(unsafe { cuDevicePrimaryCtxRetain(&raw mut context, 0) }, 0);
    assert_eq!(unsafe { cuMemAlloc_v2(&raw mut x, 4) }, 0);
}

#[test]
fn memory_that_nobody_wrote_or_that_is_gone_is_a_fault() {
    for (is_written, is_freed, code, text) in
        [(true, false, 0, ""), (false, false, 719, "nobody wrote"), (true, true, 700, "freed")]
    {
        let machine = one();
        let (x, stream) = (machine.word(1), machine.stream());
        let y = if is_written { machine.word(2) } else { machine.unwritten() };
        assert_eq!(machine.add(0, x, y, stream), 0);
        if is_freed {
            assert_eq!(unsafe { cuMemFree_v2(y) }, 0);
        }
        assert_eq!(unsafe { cuStreamSynchronize(stream) }, code);
        assert!(machine.report().contains(text));
    }
}

#[test]
fn kernels_need_peer_access_and_copies_do_not() {
    for is_enabled in [false, true] {
        let machine = machine(2, Schedule::Late, 0);
        machine.on(1);
        let y = machine.word(5);
        machine.on(0);
        let (x, stream) = (machine.word(1), machine.stream());
        assert_eq!(unsafe { cuMemcpyPeer(x, machine.context(0), y, machine.context(1), 4) }, 0);
        assert_eq!(machine.get(x, null_mut()), 5);
        if is_enabled {
            assert_eq!(unsafe { cuCtxEnablePeerAccess(machine.context(1), 0) }, 0);
            assert_eq!(unsafe { cuCtxEnablePeerAccess(machine.context(1), 0) }, 704);
        }
        assert_eq!(machine.add(0, x, y, stream), 0);
        assert_eq!(unsafe { cuStreamSynchronize(stream) }, if is_enabled { 0 } else { 700 });
        assert_eq!(machine.report().contains("without peer access"), !is_enabled);
    }
}

#[test]
fn leaks_are_reported_when_a_context_ends() {
    for is_freed in [true, false] {
        let machine = one();
        let x = machine.word(1);
        if is_freed {
            assert_eq!(unsafe { cuMemFree_v2(x) }, 0);
        }
        machine.report();
        assert_eq!(unsafe { cuDevicePrimaryCtxRelease_v2(0) }, 0);
        let report = machine.report();
        assert_eq!(report.contains("1 allocations were never freed: 4 bytes (4)"), !is_freed, "{report}");
    }
}

#[test]
fn a_launch_has_the_limits_of_the_card_and_is_no_fault() {
    let machine = one();
    let launch = |grid, threads, shared| machine.launch(0, "trapped", grid, threads, shared, &mut [], null_mut());
    for (grid, threads, shared) in
        [([1, 65536, 1], 1, 0), ([0, 1, 1], 1, 0), ([1, 1, 1], 1025, 0), ([1, 1, 1], 0, 0), ([1, 1, 1], 1, 49153)]
    {
        assert_eq!(launch(grid, threads, shared), 1);
        assert!(machine.report().contains("limit"));
    }
    let function = machine.function(0, "trapped");
    assert_eq!(unsafe { cuFuncSetAttribute(function, 8, 163 * 1024 + 1) }, 1);
    assert_eq!(unsafe { cuFuncSetAttribute(function, 8, 163 * 1024) }, 0);
    assert_eq!(unsafe { cuCtxSynchronize() }, 0);
    assert_eq!(launch([1; 3], 1, 163 * 1024), 0);
}

#[test]
fn memory_is_as_large_as_the_cards_and_costs_what_is_used() {
    let machine = one();
    let (mut x, mut y, mut free, mut total) = (0, 0, 0, 0);
    for _ in 0..30 {
        assert_eq!(unsafe { cuMemAlloc_v2(&raw mut x, 1 << 30) }, 0);
    }
    assert_eq!(unsafe { cuMemGetInfo_v2(&raw mut free, &raw mut total) }, 0);
    assert_eq!((free, total), (10 << 30, 40 << 30));
    assert_eq!(unsafe { cuMemAlloc_v2(&raw mut y, 11 << 30) }, 2);
    assert!(machine.report().contains("do not fit"));
    assert_eq!(unsafe { cuMemFree_v2(x) }, 0);
    assert_eq!(unsafe { cuMemFree_v2(x) }, 1);
}

#[test]
fn bad_handles_are_refused() {
    let _machine = one();
    let bad = std::ptr::without_provenance_mut::<c_void>(12345);
    assert_eq!(unsafe { cuStreamSynchronize(bad) }, 400);
    assert_eq!(unsafe { cuEventSynchronize(bad) }, 400);
    assert_eq!(unsafe { cuCtxSetCurrent(bad) }, 201);
    assert_eq!(unsafe { cuDeviceGetCount(null_mut()) }, 1);
}

#[test]
fn ptx_is_refused_with_a_reason() {
    let _machine = one();
    let load = |text: &str| {
        let image = std::ffi::CString::new(text).unwrap();
        let (mut module, mut log) = (null_mut(), [0_u8; 200]);
        let mut options = [5, 6];
        let mut values = [log.as_mut_ptr().cast(), std::ptr::without_provenance_mut(log.len())];
        let (count, options) = (options.len() as u32, options.as_mut_ptr());
        let code =
            unsafe { cuModuleLoadDataEx(&raw mut module, image.as_ptr().cast(), count, options, values.as_mut_ptr()) };
        (code, String::from_utf8_lossy(&log).into_owned())
    };
    for (text, code, reason) in [
        (".version 99.0 .target sm_80 .address_size 64", 222, "99.0"),
        (".version 7.8 .target sm_90 .address_size 64", 209, "sm_90"),
        (".version 7.0 .target sm_80 .address_size 64 .nonsense", 218, ".nonsense"),
    ] {
        let (found, log) = load(text);
        assert_eq!(found, code, "{log}");
        assert!(log.contains(reason), "{log}");
    }
}

#[test]
fn a_lost_device_says_so_and_the_other_one_goes_on() {
    // The upload is a piece of work, too.
    let machine = faulty(Faults { lost: Some((1, 2)), ..Faults::default() });
    let started = [0, 1].map(|device| {
        machine.on(device);
        let (stream, x) = (machine.stream(), machine.word(1));
        assert_eq!([0; 2].map(|_| machine.add(device, x, x, stream)), [0; 2]);
        (x, stream)
    });
    machine.on(0);
    assert_eq!(machine.get(started[0].0, started[0].1), 4);
    machine.on(1);
    assert_eq!(unsafe { cuStreamSynchronize(started[1].1) }, 214);
    assert_eq!(machine.add(1, started[1].0, started[1].0, started[1].1), 214);
    assert_eq!(machine.report(), "device 1 is lost, as planted");
}

#[test]
fn a_silent_device_is_never_done_and_a_call_that_would_wait_for_ever_is_reported() {
    let machine = faulty(Faults { silent: Some((0, 1)), ..Faults::default() });
    let (stream, x, event) = (machine.stream(), machine.unwritten(), machine.event());
    assert_eq!([machine.put(x, 1, stream), machine.put(x, 2, stream)], [0; 2]);
    assert_eq!(unsafe { cuEventRecord(event, stream) }, 0);
    machine.on(1);
    let other = machine.stream();
    assert_eq!(unsafe { cuStreamWaitEvent(other, event, 0) }, 0);
    for _ in 0..20 {
        assert_eq!(unsafe { cuStreamQuery(other) }, 600);
    }
    assert_eq!(machine.report(), "");
    machine.on(0);
    assert_eq!(unsafe { cuStreamSynchronize(stream) }, 702);
    assert_eq!(machine.report(), "a call waits for device 0, which has fallen silent: it would never return");
}

#[test]
fn a_wait_is_ignored_and_a_copy_goes_the_wrong_way_where_that_is_planted() {
    let machine = faulty(Faults { ignored_wait: Some(1), reversed_copy: Some(1), ..Faults::default() });
    let (stream, other, x) = (machine.stream(), machine.stream(), machine.word(0));
    assert_eq!(machine.put(x, 1, stream), 0);
    machine.join(stream, other);
    assert_eq!(machine.get(x, other), 1);
    assert_eq!(machine.put(x, 2, stream), 0);
    machine.join(stream, other);
    assert_eq!(machine.get(x, other), 1, "the second wait");

    let here = machine.word(5);
    machine.on(1);
    let there = machine.word(6);
    let copy = |to, from| {
        let (first, second) = (machine.context(1), machine.context(0));
        assert_eq!(unsafe { cuMemcpyPeerAsync(to, first, from, second, 4, std::ptr::null_mut()) }, 0);
        assert_eq!(unsafe { cuCtxSynchronize() }, 0);
    };
    copy(there, here);
    assert_eq!(machine.get(there, std::ptr::null_mut()), 5);
    let there = machine.word(7);
    copy(there, here);
    assert_eq!(machine.get(there, std::ptr::null_mut()), 7, "the second copy");
    assert_eq!(counts(), Counts { waits: 2, peer_copies: 2, peer_bytes: 8 });
}
