//! Batches, threads, failing images, and stopping.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::{Error, ImageFault, permutation};

const SIDE: usize = 2;
const BYTES: usize = SIDE * SIDE * 3;

/// Images whose bytes tell their index; some fail, one may panic; reading takes a varying time.
#[derive(Default)]
struct Fake {
    n: usize,
    broken: Vec<usize>,
    panics_at: Option<usize>,
    n_reads: AtomicUsize,
}

impl Fake {
    fn new(n: usize, broken: &[usize]) -> Arc<Fake> {
        Arc::new(Fake { n, broken: broken.to_vec(), ..Fake::default() })
    }
}

impl Images for Fake {
    fn len(&self) -> usize {
        self.n
    }

    fn label(&self, index: usize) -> u32 {
        index as u32 % 10
    }

    fn name(&self, index: usize) -> String {
        format!("fake {index}")
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        self.n_reads.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_micros(index as u64 * 37 % 200));
        assert!(self.panics_at != Some(index), "image {index} is cursed");
        rgb.fill(if self.broken.contains(&index) { 255 } else { index as u8 });
        if self.broken.contains(&index) {
            return Err(Error::Image { path: self.name(index).into(), fault: ImageFault::Empty });
        }
        Ok(())
    }
}

/// What the loader should give: read one after the other.
fn expected(images: &Fake, order: &[u32], batch: usize) -> Vec<Batch> {
    let one = |ids: &[u32]| {
        let mut batch = Batch::default();
        for &id in ids {
            if images.broken.contains(&(id as usize)) {
                let reason = "the file is empty".to_owned();
                batch.skipped.push(Skipped { name: images.name(id as usize), reason });
            } else {
                batch.rgb.extend([id as u8; BYTES]);
                batch.labels.push(id % 10);
                batch.ids.push(id);
            }
        }
        batch
    };
    order.chunks(batch).map(one).collect()
}

fn all(mut loader: Loader) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = loader.next() {
        batches.push(batch.clone());
        loader.recycle(batch);
    }
    assert!(loader.next().is_none(), "the end stays the end");
    batches
}

#[test]
fn batches_are_the_same_for_any_number_of_threads() {
    // Failing images: alone, in a row, a whole batch of 6 (order 12..18), and the last one.
    let order = permutation(1, 0, 100);
    let mut broken: Vec<usize> = order[12..18].iter().map(|&id| id as usize).collect();
    broken.extend([order[3], order[40], order[41], order[99]].map(|id| id as usize));
    let images = Fake::new(100, &broken);
    for batch in [1, 6, 33, 100, 1_000] {
        let expected = expected(&images, &order, batch);
        for (threads, ahead) in [(1, 1), (2, 2), (5, 3), (5, 1), (0, 0), (40, 9)] {
            let loader = Loader::start(images.clone(), SIDE, order.clone(), batch, threads, ahead);
            assert_eq!(all(loader), expected, "batch {batch}, {threads} threads, {ahead} ahead");
        }
    }
    let sixes = expected(&images, &order, 6);
    assert!(sixes[2].is_empty() && sixes[2].skipped.len() == 6);
}

#[test]
fn the_rest_of_an_order_resumes_it() {
    let images = Fake::new(50, &[7]);
    let order = permutation(2, 3, 50);
    let whole = all(Loader::start(images.clone(), SIDE, order.clone(), 8, 2, 2));
    let rest = all(Loader::start(images, SIDE, order[24..].to_vec(), 8, 3, 2));
    assert_eq!(whole[3..], rest);
}

#[test]
fn no_images_no_batches() {
    assert!(all(Loader::start(Fake::new(0, &[]), SIDE, Vec::new(), 8, 2, 2)).is_empty());
}

#[test]
fn buffers_are_recycled_and_reading_ahead_is_bounded() {
    let images = Fake::new(200, &[]);
    let mut loader = Loader::start(images.clone(), SIDE, (0..200).collect(), 10, 3, 2);
    let mut buffers = HashSet::new();
    for taken in 0..20 {
        let n_reads = images.n_reads.load(Ordering::SeqCst);
        assert!(n_reads <= (taken + 2) * 10, "{n_reads} reads for {taken} batches");
        let batch = loader.next().unwrap();
        buffers.insert(batch.rgb.as_ptr());
        thread::sleep(Duration::from_millis(2));
        loader.recycle(batch);
    }
    assert!(buffers.len() <= 3, "{} buffers for 2 ahead", buffers.len());
}

#[test]
fn batches_need_not_come_back() {
    let mut loader = Loader::start(Fake::new(100, &[]), SIDE, (0..100).collect(), 10, 2, 2);
    let mut kept = Vec::new();
    while let Some(batch) = loader.next() {
        kept.push(batch);
    }
    assert_eq!(kept.len(), 10);
}

#[test]
fn dropping_stops_and_joins_the_threads() {
    for n_taken in [0, 1, 7] {
        let images = Fake::new(1_000, &[5]);
        let mut loader = Loader::start(images.clone(), SIDE, (0..1_000).collect(), 10, 4, 3);
        for _ in 0..n_taken {
            loader.next().unwrap();
        }
        if n_taken == 7 {
            thread::sleep(Duration::from_millis(20)); // the threads now wait for room
        }
        drop(loader);
        assert_eq!(Arc::strong_count(&images), 1, "a thread still has the images");
        assert!(images.n_reads.load(Ordering::SeqCst) <= (n_taken + 3) * 10);
    }
}

#[test]
fn a_panic_while_reading_reaches_the_caller() {
    let images = Arc::new(Fake { n: 100, panics_at: Some(33), ..Fake::default() });
    let mut loader = Loader::start(images.clone(), SIDE, (0..100).collect(), 10, 3, 2);
    let panic = catch_unwind(AssertUnwindSafe(|| while loader.next().is_some() {})).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "image 33 is cursed");
    drop(loader);
    assert_eq!(Arc::strong_count(&images), 1);
}
