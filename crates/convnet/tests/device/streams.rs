//! Streams, events, and copies of pinned memory.

use std::time::{Duration, Instant};

use convnet::device::{Argument, Buffer, Event, Pinned, Stream};
use kernels_gpu::fill;

use crate::card::{Bench, Guarded, card};

const LEN: usize = 5000;

/// `LEN` numbers, pinned.
fn pinned(context: &convnet::device::Context, number: impl Fn(usize) -> u32) -> Pinned<u32> {
    let mut pinned = Pinned::zeroed(context, LEN).unwrap();
    assert!(pinned.as_slice().iter().all(|&number| number == 0));
    for (i, place) in pinned.as_mut_slice().iter_mut().enumerate() {
        *place = number(i);
    }
    pinned
}

#[test]
fn numbers_go_there_and_back() {
    let context = card(0);
    let stream = Stream::new(&context).unwrap();
    let (there, copy) = (Guarded::poisoned::<u32>(&context, LEN), Guarded::poisoned::<u32>(&context, LEN));
    let up = stream.upload(pinned(&context, |i| 3 * i as u32), there.part()).unwrap();
    stream.copy(there.part(), copy.part()).unwrap();
    let down = stream.download(copy.part(), Pinned::<u32>::zeroed(&context, LEN).unwrap()).unwrap();
    let expected: Vec<u32> = (0..LEN as u32).map(|i| 3 * i).collect();
    assert_eq!(down.wait().unwrap().as_slice(), expected);
    // The host's side is as it was, and can be used again.
    let mut up = up.wait().unwrap();
    assert_eq!(up.as_slice(), expected);
    up.as_mut_slice().fill(7);
    stream.upload(up, there.part()).unwrap().wait().unwrap();
    assert_eq!(there.read::<u32>(), [7; LEN]);
    assert_eq!(copy.read::<u32>(), expected);
}

#[test]
fn a_dropped_copy_is_made_all_the_same() {
    let context = card(0);
    let stream = Stream::new(&context).unwrap();
    let there = Guarded::poisoned::<u32>(&context, LEN);
    for round in 0..20 {
        drop(stream.upload(pinned(&context, |i| i as u32 ^ round), there.part()).unwrap());
        let expected: Vec<u32> = (0..LEN as u32).map(|i| i ^ round).collect();
        assert_eq!(there.read::<u32>(), expected);
    }
}

#[test]
fn an_event_orders_two_streams_again_and_again() {
    let context = card(0);
    let (copies, work) = (Stream::new(&context).unwrap(), Stream::new(&context).unwrap());
    let (copied, used) = (Event::new(&context).unwrap(), Event::new(&context).unwrap());
    let (batch, result) = (Guarded::poisoned::<u32>(&context, LEN), Guarded::poisoned::<u32>(&context, LEN));
    let mut down = None;
    for round in 0..4 {
        // The batch is overwritten when the last round's work has used it. `used` is not recorded at first.
        copies.wait(&used).unwrap();
        let up = copies.upload(pinned(&context, |i| i as u32 + round), batch.part()).unwrap();
        copies.record(&copied).unwrap();
        work.wait(&copied).unwrap();
        work.copy(batch.part(), result.part()).unwrap();
        work.record(&used).unwrap();
        down = Some(work.download(result.part(), Pinned::<u32>::zeroed(&context, LEN).unwrap()).unwrap());
        drop(up);
    }
    let last: Vec<u32> = (3..LEN as u32 + 3).collect();
    assert_eq!(down.unwrap().wait().unwrap().as_slice(), last);
}

#[test]
fn events_know_whether_they_are_done() {
    let context = card(0);
    let stream = Stream::new(&context).unwrap();
    let buffer = Buffer::zeroed(&context, 4 * LEN).unwrap();
    let event = Event::new(&context).unwrap();
    assert!(event.is_done().unwrap(), "nothing was recorded");
    let up = stream.upload(pinned(&context, |_| 1), buffer.part(0..4 * LEN)).unwrap();
    stream.record(&event).unwrap();
    event.synchronize().unwrap();
    assert!(event.is_done().unwrap());
    assert!(up.is_done().unwrap(), "it is before the event");

    // Asking alone gets there, too.
    stream.upload(up.wait().unwrap(), buffer.part(0..4 * LEN)).unwrap().wait().unwrap();
    stream.record(&event).unwrap();
    let start = Instant::now();
    while !event.is_done().unwrap() {
        assert!(start.elapsed() < Duration::from_secs(60), "the event is never done");
    }
}

#[test]
fn time_passes_between_events() {
    let Some(bench) = Bench::new(card(0)) else { return };
    let [start, middle, end] = [(); 3].map(|()| Event::timed(&bench.context).unwrap());
    let n = 1_000_000_u32;
    let out = Guarded::poisoned::<f32>(&bench.context, n as usize);
    let address = out.address();
    bench.stream.record(&start).unwrap();
    for event in [&middle, &end] {
        let arguments = [Argument::address(&address), Argument::value(&1.0_f32), Argument::value(&n)];
        // SAFETY: `out` has room for `n` floats and lives until the end.
        unsafe { bench.start(&fill::FILL, fill::grid(n), &arguments) };
        bench.stream.record(event).unwrap();
    }
    end.synchronize().unwrap();
    let half = middle.elapsed_since(&start).unwrap();
    let whole = end.elapsed_since(&start).unwrap();
    assert!(Duration::ZERO < half && half < whole && whole < Duration::from_secs(600), "{half:?}, {whole:?}");
}

#[test]
fn pinned_memory_takes_any_size() {
    let context = card(0);
    let stream = Stream::new(&context).unwrap();
    let buffer = Buffer::zeroed(&context, 0).unwrap();
    assert!(buffer.is_empty());
    let none = Pinned::<u64>::zeroed(&context, 0).unwrap();
    assert!(none.as_slice().is_empty());
    let pairs = Pinned::<[f32; 2]>::zeroed(&context, 3).unwrap();
    assert_eq!(pairs.as_slice(), [[0.0; 2]; 3]);
    let room = Buffer::zeroed(&context, 24).unwrap();
    stream.upload(pairs, room.part(0..24)).unwrap().wait().unwrap();
}

#[test]
fn work_goes_on_in_other_threads() {
    let context = card(0);
    let threads: Vec<_> = (0..4_u32)
        .map(|thread| {
            let context = context.clone();
            std::thread::spawn(move || {
                let stream = Stream::new(&context).unwrap();
                let there = Guarded::poisoned::<u32>(&context, LEN);
                stream.upload(pinned(&context, |i| i as u32 * thread), there.part()).unwrap().wait().unwrap();
                there.read::<u32>().iter().enumerate().all(|(i, &number)| number == i as u32 * thread)
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}
