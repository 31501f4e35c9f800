//! Graphs, and what a capture forbids.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cuda_sim::driver::Schedule;
use cuda_sim::driver::abi::*;

use super::machine::{Machine, machine, one};

const RELAXED: u32 = 2;

fn begin(stream: *mut c_void) {
    assert_eq!(unsafe { cuStreamBeginCapture_v2(stream, 0) }, 0);
}

fn end(stream: *mut c_void) -> (u32, *mut c_void) {
    let mut graph = null_mut();
    (unsafe { cuStreamEndCapture(stream, &raw mut graph) }, graph)
}

/// Adds `y` to `x` twice, and then on two streams at once to words that are then added to `x`.
fn work(machine: &Machine, words: [u64; 3], a: *mut c_void, b: *mut c_void) {
    let [x, y, z] = words;
    machine.add(0, x, y, a);
    machine.join(a, b);
    machine.add(0, z, y, b);
    machine.add(0, x, y, a);
    machine.join(b, a);
    machine.add(0, x, z, a);
}

#[test]
fn a_replay_gives_what_the_calls_give() {
    for seed in 0..8 {
        let mut found = Vec::new();
        for is_graph in [false, true] {
            let machine = machine(1, Schedule::Late, seed);
            let words = [machine.word(1), machine.word(10), machine.word(100)];
            let (a, b) = (machine.stream(), machine.stream());
            if is_graph {
                begin(a);
                work(&machine, words, a, b);
                let (code, graph) = end(a);
                assert_eq!(code, 0);
                let (mut count, mut executable) = (0, null_mut());
                assert_eq!(unsafe { cuGraphGetNodes(graph, null_mut(), &raw mut count) }, 0);
                assert_eq!(count, 4);
                assert_eq!(unsafe { cuGraphInstantiateWithFlags(&raw mut executable, graph, 0) }, 0);
                assert_eq!(unsafe { cuGraphDestroy(graph) }, 0);
                assert_eq!(machine.get(words[0], a), 1, "a capture runs nothing");
                // Two streams, one executable: its launches do not overlap.
                assert_eq!(unsafe { cuGraphLaunch(executable, a) }, 0);
                assert_eq!(unsafe { cuGraphLaunch(executable, b) }, 0);
                assert_eq!(unsafe { cuGraphExecDestroy(executable) }, 0);
            } else {
                work(&machine, words, a, b);
                work(&machine, words, a, b);
            }
            assert_eq!(unsafe { cuCtxSynchronize() }, 0);
            found.push(words.map(|word| machine.get(word, a)));
        }
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0], [271, 10, 120]);
    }
}

#[test]
fn waiting_invalidates_a_capture() {
    let machine = one();
    let (stream, event) = (machine.stream(), machine.event());
    for wait in 0..4 {
        begin(stream);
        let code = match wait {
            0 => unsafe { cuStreamSynchronize(stream) },
            1 => unsafe { cuCtxSynchronize() },
            2 => unsafe { cuMemFree_v2(0) },
            _ => {
                assert_eq!(unsafe { cuEventRecord(event, stream) }, 0);
                unsafe { cuEventSynchronize(event) }
            }
        };
        assert_eq!(code, if wait == 3 { 907 } else { 900 });
        assert_eq!(unsafe { cuEventRecord(event, stream) }, 901);
        assert_eq!(end(stream), (901, null_mut()));
    }
    begin(stream);
    assert_eq!(end(stream).0, 0);
    assert_eq!(end(stream).0, 401);
}

#[test]
fn forks_are_joined_in_the_stream_that_began() {
    let machine = one();
    let (a, b, c, x) = (machine.stream(), machine.stream(), machine.stream(), machine.word(0));
    begin(a);
    machine.join(a, b);
    machine.put(x, 1, b);
    assert_eq!(end(b).0, 903);
    assert_eq!(end(a).0, 901);
    begin(a);
    machine.join(a, b);
    machine.put(x, 1, b);
    assert_eq!(end(a).0, 904);

    let event = machine.event();
    assert_eq!(unsafe { cuEventRecord(event, c) }, 0);
    begin(a);
    assert_eq!(unsafe { cuStreamWaitEvent(a, event, 0) }, 905);
    assert_eq!(end(a).0, 901);

    assert_eq!(unsafe { cuStreamBeginCapture_v2(a, RELAXED) }, 0);
    assert_eq!(unsafe { cuStreamBeginCapture_v2(b, RELAXED) }, 0);
    assert_eq!(unsafe { cuEventRecord(event, a) }, 0);
    assert_eq!(unsafe { cuStreamWaitEvent(b, event, 0) }, 902);
    assert_eq!((end(a).0, end(b).0), (901, 901));
}

#[test]
fn the_legacy_stream_cannot_wait_for_a_captured_one() {
    let machine = one();
    let (blocking, other, x) = (machine.blocking_stream(), machine.stream(), machine.word(0));
    for (stream, code) in [(blocking, 906), (other, 0)] {
        begin(stream);
        assert_eq!(machine.put(x, 1, null_mut()), code);
        assert_eq!(end(stream).0, if code == 0 { 0 } else { 901 });
    }
    assert_eq!(unsafe { cuStreamBeginCapture_v2(null_mut(), 0) }, 900);
}
