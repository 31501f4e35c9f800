//! Graphs by capture.

use std::sync::Mutex;

use convnet::device::{Argument, DriverError, Event, Stream};
use kernels_gpu::vector_add;

use crate::card::{Bench, Guarded, card};

const LEN: usize = 3000;

/// One test at a time: nobody may wait for a card while another thread records a graph on it. For the same reason these
/// tests have a program of their own.
pub(crate) static CARD: Mutex<()> = Mutex::new(());

#[test]
fn a_graph_runs_what_was_captured_with_the_numbers_of_its_launch() {
    let _card = CARD.lock();
    let Some(bench) = Bench::new(card(0)) else { return };
    let mut input = Guarded::of(&bench.context, &[1.0_f32; LEN]);
    let sum = Guarded::of(&bench.context, &[0.0_f32; LEN]);
    let copy = Guarded::poisoned::<f32>(&bench.context, LEN);
    let add = bench.function(&vector_add::VECTOR_ADD);
    let (other, begun, copied) = (
        Stream::new(&bench.context).unwrap(),
        Event::new(&bench.context).unwrap(),
        Event::new(&bench.context).unwrap(),
    );

    // sum += input; another stream copies the sum.
    let mut graph = bench
        .stream
        .capture(|| -> Result<(), DriverError> {
            let (n, addresses) = (LEN as u32, [input.address(), sum.address()]);
            let [x, y] = addresses.each_ref().map(Argument::address);
            // SAFETY: both have `n` floats, `out` is `b`, and they live as long as the graph.
            unsafe { bench.stream.launch(add, vector_add::grid(n), &[x, y, y, Argument::value(&n)]) }?;
            bench.stream.record(&begun)?;
            other.wait(&begun)?;
            other.copy(sum.part(), copy.part())?;
            other.record(&copied)?;
            bench.stream.wait(&copied)
        })
        .unwrap();
    assert_eq!(sum.read::<f32>(), [0.0; LEN], "capturing runs nothing");

    for (number, expected) in [(1.0_f32, 1.0), (10.0, 11.0), (0.5, 11.5)] {
        input.write(&[number; LEN]);
        // SAFETY: buffers and module live until the sums are read.
        unsafe { bench.stream.launch_graph(&mut graph) }.unwrap();
        bench.stream.synchronize().unwrap();
        assert_eq!(sum.read::<f32>(), [expected; LEN]);
        assert_eq!(copy.read::<f32>(), [expected; LEN]);
    }
}

#[test]
fn a_capture_that_fails_leaves_the_stream_usable() {
    let _card = CARD.lock();
    let context = card(0);
    let stream = Stream::new(&context).unwrap();
    #[derive(Debug)]
    struct Mine;
    impl From<DriverError> for Mine {
        fn from(error: DriverError) -> Mine {
            panic!("{error}")
        }
    }
    stream.capture(|| Err(Mine)).unwrap_err();
    let buffer = Guarded::poisoned::<u32>(&context, 4);
    let copy = Guarded::poisoned::<u32>(&context, 4);
    stream.copy(buffer.part(), copy.part()).unwrap();
    stream.synchronize().unwrap();
}
