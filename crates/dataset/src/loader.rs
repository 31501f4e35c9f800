//! Threads that decode batches ahead of the one that trains.
//!
//! # How it works
//! The order of the images is cut into batches, and a batch into chunks of a few images. Each thread
//! takes the next chunk, decodes it into a buffer of its own and copies it to its place in the batch,
//! so a batch does not depend on who decoded what. Images that cannot be read leave gaps, which
//! the thread that finishes the batch closes.
//!
//! # Memory
//! At most `ahead` batches are under way or ready. Their buffers come back through
//! [`Loader::recycle`]; a caller that holds one batch at a time therefore makes the loader allocate
//! `ahead + 1` of them in all. Each thread has one chunk besides.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::{Images, Skipped};

/// Images of a chunk, at most: 1.5 MB at 256x256.
const MAX_CHUNK: usize = 8;

/// Some images of a split, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The images, `[n, side, side, 3]`.
    pub rgb: Vec<u8>,
    /// The label of each image.
    pub labels: Vec<u32>,
    /// The index of each image in its split.
    pub ids: Vec<u32>,
    /// Images of this batch that could not be read: they are not in the fields above.
    pub skipped: Vec<Skipped>,
}

impl Batch {
    /// How many images were read. May be zero, if every one of the batch is in `skipped`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no image could be read.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Reads images in a given order, as batches, with threads that work ahead. Dropping it stops them.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    images: Arc<dyn Images>,
    image_bytes: usize,
    order: Vec<u32>,
    batch: usize,
    chunk: usize,
    ahead: usize,
    state: Mutex<State>,
    /// There may be a chunk to take, or the loader stops.
    work: Condvar,
    /// The first batch may be complete, or a thread has panicked.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// The place in `order` where the next chunk starts.
    next: usize,
    /// How many batches have been handed out.
    n_taken: usize,
    /// The batches after those, as far as they are under way.
    slots: VecDeque<Slot>,
    free: Vec<Batch>,
    stop: bool,
    panicked: bool,
}

struct Slot {
    assembly: Arc<Mutex<Assembly>>,
    complete: bool,
}

/// A batch under way.
struct Assembly {
    batch: Batch,
    /// For each of its places, why it is empty.
    gaps: Vec<Option<Skipped>>,
    /// Places that are not filled yet.
    n_missing: usize,
}

/// A chunk for a thread to read.
struct Chunk {
    batch_idx: usize,
    /// Places in `order`.
    from: usize,
    to: usize,
    assembly: Arc<Mutex<Assembly>>,
}

/// Locks, also after a panic in another thread: that panic is reported by [`Loader::next`].
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loader {
    /// Starts `threads` threads that read the images of `order` (indexes into the split) in batches of
    /// `batch`, the last one smaller, and at most `ahead` batches ahead of the caller. To resume in the
    /// middle of an epoch, give the rest of its order.
    ///
    /// `side` is the data set's. `threads` and `ahead` count as one if they are zero.
    ///
    /// # Panics
    /// If `batch` is zero, `order` has an index that the split lacks, or no thread can be started.
    pub fn start(
        images: Arc<dyn Images>,
        side: usize,
        order: Vec<u32>,
        batch: usize,
        threads: usize,
        ahead: usize,
    ) -> Loader {
        assert!(batch > 0, "batches of no images");
        let n_images = images.len();
        let outside = order.iter().find(|&&id| id as usize >= n_images);
        assert!(outside.is_none(), "image {outside:?} of a split of {n_images}");
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            images,
            image_bytes: side * side * 3,
            order,
            batch,
            chunk: (batch / threads).clamp(1, MAX_CHUNK),
            ahead: ahead.max(1),
            state: Mutex::default(),
            work: Condvar::new(),
            ready: Condvar::new(),
        });
        let start = |i| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("loader-{i}"));
            builder.spawn(move || shared.run()).ok()
        };
        let threads: Vec<_> = (0..threads).map_while(start).collect();
        assert!(!threads.is_empty(), "the system refused to start a loader thread");
        Loader { shared, threads }
    }

    /// The next batch, waiting for it if need be; `None` after the last.
    ///
    /// # Panics
    /// If reading an image panicked: with that panic.
    #[expect(clippy::should_implement_trait, reason = "batches are lent and come back by recycle")]
    pub fn next(&mut self) -> Option<Batch> {
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        if state.n_taken * shared.batch >= shared.order.len() {
            return None;
        }
        while !state.panicked && !state.slots.front().is_some_and(|slot| slot.complete) {
            state = shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.panicked {
            drop(state);
            self.stop();
            // All are joined before the panic goes on, so that none is left running.
            let results: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
            if let Some(panic) = results.into_iter().find_map(Result::err) {
                resume_unwind(panic);
            }
            unreachable!("a thread said that it panicked");
        }
        let slot = state.slots.pop_front()?;
        state.n_taken += 1;
        drop(state);
        shared.work.notify_all();
        let batch = std::mem::take(&mut lock(&slot.assembly).batch);
        Some(batch)
    }

    /// Gives the buffers of a batch back, to be used again.
    pub fn recycle(&mut self, batch: Batch) {
        let mut state = lock(&self.shared.state);
        if state.free.len() <= self.shared.ahead {
            state.free.push(batch);
        }
    }

    fn stop(&self) {
        lock(&self.shared.state).stop = true;
        self.shared.work.notify_all();
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic was printed by its thread; no second one from here
        }
    }
}

impl Shared {
    /// What a thread does.
    fn run(&self) {
        let _on_panic = ReportPanic(self);
        let mut rgb = vec![0; self.chunk * self.image_bytes];
        while let Some(chunk) = self.take_chunk() {
            let mut gaps = Vec::with_capacity(self.chunk);
            let ids = &self.order[chunk.from..chunk.to];
            for (&id, rgb) in ids.iter().zip(rgb.chunks_exact_mut(self.image_bytes)) {
                if lock(&self.state).stop {
                    return;
                }
                let index = id as usize;
                let read = self.images.read(index, rgb);
                gaps.push(read.err().map(|error| Skipped::new(self.images.name(index), &error)));
            }
            self.put_chunk(&chunk, &rgb, gaps);
        }
    }

    /// The next chunk, waiting while enough batches are ahead; `None` at the end.
    fn take_chunk(&self) -> Option<Chunk> {
        let mut state = lock(&self.state);
        loop {
            let from = state.next;
            if state.stop || from >= self.order.len() {
                return None;
            }
            let batch_idx = from / self.batch;
            if batch_idx < state.n_taken + self.ahead {
                let end = self.order.len().min((batch_idx + 1) * self.batch);
                let to = end.min(from + self.chunk);
                state.next = to;
                if from == batch_idx * self.batch {
                    let batch = state.free.pop().unwrap_or_default();
                    let assembly = Assembly::new(batch, end - from, self.image_bytes);
                    let assembly = Arc::new(Mutex::new(assembly));
                    state.slots.push_back(Slot { assembly, complete: false });
                }
                let slot = &state.slots[batch_idx - state.n_taken];
                let assembly = Arc::clone(&slot.assembly);
                return Some(Chunk { batch_idx, from, to, assembly });
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Copies a chunk into its batch, and completes the batch if it was the last one missing.
    fn put_chunk(&self, chunk: &Chunk, rgb: &[u8], gaps: Vec<Option<Skipped>>) {
        let place = chunk.from - chunk.batch_idx * self.batch;
        let n = chunk.to - chunk.from;
        let mut assembly = lock(&chunk.assembly);
        let bytes = self.image_bytes;
        assembly.batch.rgb[place * bytes..(place + n) * bytes].copy_from_slice(&rgb[..n * bytes]);
        for (to, gap) in assembly.gaps[place..].iter_mut().zip(gaps) {
            *to = gap;
        }
        assembly.n_missing -= n;
        if assembly.n_missing > 0 {
            return;
        }
        let first = chunk.batch_idx * self.batch;
        assembly.finish(&self.order[first..], bytes, |id| self.images.label(id as usize));
        drop(assembly);
        let mut state = lock(&self.state);
        let slot_idx = chunk.batch_idx - state.n_taken;
        state.slots[slot_idx].complete = true;
        drop(state);
        self.ready.notify_all();
    }
}

impl Assembly {
    fn new(mut batch: Batch, n: usize, image_bytes: usize) -> Assembly {
        batch.rgb.resize(n * image_bytes, 0);
        batch.labels.clear();
        batch.ids.clear();
        batch.skipped.clear();
        Assembly { batch, gaps: vec![None; n], n_missing: n }
    }

    /// Closes the gaps and fills in ids and labels. `order` starts with this batch's ids.
    fn finish(&mut self, order: &[u32], image_bytes: usize, label: impl Fn(u32) -> u32) {
        let batch = &mut self.batch;
        for (place, (gap, &id)) in self.gaps.drain(..).zip(order).enumerate() {
            if let Some(skipped) = gap {
                batch.skipped.push(skipped);
                continue;
            }
            let to = batch.ids.len();
            if to != place {
                let from = place * image_bytes;
                batch.rgb.copy_within(from..from + image_bytes, to * image_bytes);
            }
            batch.ids.push(id);
            batch.labels.push(label(id));
        }
        batch.rgb.truncate(batch.ids.len() * image_bytes);
    }
}

/// Wakes the caller if its thread panics, since a batch will then never be complete.
struct ReportPanic<'a>(&'a Shared);

impl Drop for ReportPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(&self.0.state).panicked = true;
            self.0.ready.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
