//! Host memory that asynchronous copies read and write when they run.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use super::Driver;
use super::error::{Code, Status};

/// A block of host memory. Its bytes belong to the program; the driver touches them when a copy runs.
#[derive(Debug)]
pub(super) struct Pinned {
    start: NonNull<u64>,
    words: usize,
    bytes: usize,
}

// SAFETY: the block is plain memory that this value owns; it is reached under the driver's lock.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    fn new(bytes: usize) -> Pinned {
        let words = bytes.div_ceil(8);
        let start = NonNull::from(Box::leak(vec![0_u64; words].into_boxed_slice())).cast();
        Pinned { start, words, bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn address(&self) -> u64 {
        self.start.addr().get() as u64
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let block = NonNull::slice_from_raw_parts(self.start, self.words);
        // SAFETY: `new` leaked this box, and nothing else frees it.
        drop(unsafe { Box::from_raw(block.as_ptr()) });
    }
}

/// Some bytes of a block; the block lives as long as an operation has them.
#[derive(Debug, Clone)]
pub(super) struct HostBytes {
    block: Arc<Pinned>,
    start: usize,
    bytes: usize,
}

impl HostBytes {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Where the program sees them.
    pub(super) fn range(&self) -> Range<u64> {
        let start = self.block.address() + self.start as u64;
        start..start + self.bytes as u64
    }

    /// The bytes, for as long as `f` runs.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        let start = self.block.start.as_ptr().cast::<u8>();
        // SAFETY: the range is inside the block (`host_bytes`), which lives; a program that asks for an asynchronous
        // copy has to leave its host side alone until the copy is done, and copies run one at a time.
        f(unsafe { std::slice::from_raw_parts_mut(start.add(self.start), self.bytes) })
    }
}

impl Driver {
    pub(super) fn alloc_host(&mut self, bytes: usize) -> Status<u64> {
        self.current()?;
        self.no_capture()?;
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let block = Arc::new(Pinned::new(bytes));
        let address = block.address();
        self.pinned.insert(address, block);
        Ok(address)
    }

    pub(super) fn free_host(&mut self, address: u64) -> Status<()> {
        let context = self.current()?;
        self.no_capture()?;
        let block = self.pinned.remove(&address).ok_or(Code::INVALID_VALUE)?;
        let range = address..address + block.bytes as u64;
        let users = self.races.users(&range);
        if users > 0 {
            // The operations keep the block, so they do no harm here.
            self.fail(
                context,
                format!(
                    "cuMemFreeHost: {} bytes of pinned memory are freed while nobody has waited for {users} copies that \
                     use them",
                    block.bytes
                ),
            );
        }
        self.races.forget(true, range);
        Ok(())
    }

    /// The pinned memory in which a range of host memory lies; none for pageable memory.
    pub(super) fn host_bytes(&self, address: u64, bytes: usize) -> Option<HostBytes> {
        let (base, block) = self.pinned.range(..=address).next_back()?;
        let start = usize::try_from(address - base).ok()?;
        (start <= block.bytes && bytes <= block.bytes - start).then(|| HostBytes { block: block.clone(), start, bytes })
    }
}
