//! Two cards.

use convnet::device::{Argument, Event, Stream};
use kernels_gpu::vector_add;

use crate::card::{Bench, Guarded, skip, two_cards};

const LEN: usize = 3000;

#[test]
fn access_is_enabled_once_or_more() {
    let Some((first, second)) = two_cards() else { return };
    assert!(!first.can_access(&first).unwrap(), "a card is not its own peer");
    if !first.can_access(&second).unwrap() {
        skip("these devices have no peer access");
        return;
    }
    first.enable_access(&second).unwrap();
    first.enable_access(&second).unwrap();

    // A kernel of the first card reads the second one's memory.
    let Some(bench) = Bench::new(first.clone()) else { return };
    let (near, far) = (Guarded::of(&first, &[1.0_f32; LEN]), Guarded::of(&second, &[2.0_f32; LEN]));
    let out = Guarded::poisoned::<f32>(&first, LEN);
    let (n, addresses) = (LEN as u32, [near.address(), far.address(), out.address()]);
    let [x, y, z] = addresses.each_ref().map(Argument::address);
    // SAFETY: all have `n` floats, do not overlap, and live until `out` is read.
    unsafe { bench.start(&vector_add::VECTOR_ADD, vector_add::grid(n), &[x, y, z, Argument::value(&n)]) };
    assert_eq!(out.read::<f32>(), [3.0; LEN]);
}

#[test]
fn copies_between_cards_are_ordered_by_events() {
    let Some((first, second)) = two_cards() else { return };
    let (here, there) = (Stream::new(&first).unwrap(), Stream::new(&second).unwrap());
    let numbers: Vec<u32> = (0..LEN as u32).collect();
    let from = Guarded::of(&first, &numbers);
    let (to, back) = (Guarded::poisoned::<u32>(&second, LEN), Guarded::poisoned::<u32>(&first, LEN));
    let arrived = Event::new(&first).unwrap();
    // SAFETY: all buffers live until the end, after both streams are done.
    unsafe { here.copy_peer(from.part(), to.part()) }.unwrap();
    here.record(&arrived).unwrap();
    there.wait(&arrived).unwrap();
    // SAFETY: as above.
    unsafe { there.copy_peer(to.part(), back.part()) }.unwrap();
    there.synchronize().unwrap();
    assert_eq!(to.read::<u32>(), numbers);
    assert_eq!(back.read::<u32>(), numbers);
}
