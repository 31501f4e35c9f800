//! Device memory: one address space for all devices, allocations that know which of their bytes were written.
//!
//! Addresses are never used twice, so an access after a free is recognised for ever, and allocations do not touch, so
//! that an access beyond one never falls into the next. Words are relaxed atomics: what blocks do at the same time is
//! defined, if not ordered. Atomics of 64 bits are atomic among themselves only.
//!
//! Long: what kernels and what the host do to the same words stand together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// Why a host access to device memory failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum MemoryError {
    #[error("{bytes} bytes at {address:#x} are not inside one allocation")]
    OutOfBounds { address: u64, bytes: usize },
    #[error("{address:#x} was freed")]
    AfterFree { address: u64 },
    #[error("{address:#x} is not the start of an allocation")]
    NotAllocated { address: u64 },
}

/// Where the first device's memory starts; below are the windows of shared, local and parameter memory.
const FIRST: u64 = 0x10_0000_0000;
/// Distance of allocations, and their alignment.
const UNIT: u64 = 512;

/// The memory of all devices.
#[derive(Debug)]
pub struct Memory {
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    /// By address. Shared with the launches that run, which change nothing: a snapshot costs nothing.
    live: Arc<Vec<Arc<Allocation>>>,
    /// Bytes by address.
    freed: Arc<BTreeMap<u64, u64>>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { inner: RwLock::new(Inner { next: FIRST, live: Arc::default(), freed: Arc::default() }) }
    }
}

impl Memory {
    /// No allocation yet.
    pub fn new() -> Self {
        Memory::default()
    }

    /// Allocates `bytes` on `device`; nothing in it counts as written.
    pub fn alloc(&self, device: u32, bytes: usize) -> u64 {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let base = inner.next;
        inner.next += (bytes as u64).next_multiple_of(UNIT) + UNIT;
        // Addresses only grow, so the list stays sorted.
        Arc::make_mut(&mut inner.live).push(Arc::new(Allocation::new(base, bytes, device)));
        base
    }

    /// Frees the allocation that starts at `address`.
    ///
    /// # Errors
    /// When none starts there, or it was freed before.
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match inner.live.binary_search_by_key(&address, |allocation| allocation.base) {
            Ok(index) => {
                let allocation = Arc::make_mut(&mut inner.live).remove(index);
                Arc::make_mut(&mut inner.freed).insert(address, allocation.bytes as u64);
                Ok(())
            }
            Err(_) if inner.freed.contains_key(&address) => Err(MemoryError::AfterFree { address }),
            Err(_) => Err(MemoryError::NotAllocated { address }),
        }
    }

    /// Copies host bytes to the device.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (allocation, start) = self.range(address, bytes.len())?;
        let (head, body) = bytes.split_at(bytes.len().min(start.wrapping_neg() % 4));
        allocation.write_bytes(start, head);
        let words = body.chunks_exact(4);
        let first = (start + head.len()) / 4;
        let tail = words.remainder();
        allocation.write_bytes(start + bytes.len() - tail.len(), tail);
        for (to, word) in allocation.words[first..].iter().zip(words.clone()) {
            to.store(u32::from_le_bytes([word[0], word[1], word[2], word[3]]), Relaxed);
        }
        if !allocation.all_written.load(Relaxed) {
            allocation.written[first..].iter().take(words.len()).for_each(|note| note.store(0xf, Relaxed));
            allocation.all_written.store(bytes.len() == allocation.bytes, Relaxed);
        }
        Ok(())
    }

    /// Copies device bytes to the host; those that nobody wrote are whatever they are.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let (allocation, start) = self.range(address, bytes.len())?;
        let (head, body) = bytes.split_at_mut(bytes.len().min(start.wrapping_neg() % 4));
        allocation.read_bytes(start, head);
        let start = start + head.len();
        let (words, tail) = body.split_at_mut(body.len() / 4 * 4);
        for (word, from) in words.chunks_exact_mut(4).zip(&allocation.words[start / 4..]) {
            word.copy_from_slice(&from.load(Relaxed).to_le_bytes());
        }
        allocation.read_bytes(start + words.len(), tail);
        Ok(())
    }

    /// Copies between allocations; what nobody wrote stays unwritten.
    ///
    /// # Errors
    /// When a range is not inside one allocation.
    pub fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), MemoryError> {
        let (target, to_start) = self.range(to, bytes)?;
        let (source, from_start) = self.range(from, bytes)?;
        if source.is_written(from_start..from_start + bytes) {
            let mut buffer = vec![0; bytes];
            self.read(from, &mut buffer)?;
            return self.write(to, &buffer);
        }
        // Copied before any is written: the ranges may overlap.
        let byte = |at: usize| (source.word(at / 4).load(Relaxed) >> (at % 4 * 8) & 0xff, source.has(at));
        let copied: Vec<_> = (from_start..from_start + bytes).map(byte).collect();
        target.all_written.store(false, Relaxed);
        for (at, (byte, written)) in (to_start..).zip(copied) {
            target.set(at / 4, byte << (at % 4 * 8), 0xff << (at % 4 * 8));
            let bit = 1 << (at % 4);
            if written {
                target.written[at / 4].fetch_or(bit, Relaxed);
            } else {
                target.written[at / 4].fetch_and(!bit, Relaxed);
            }
        }
        Ok(())
    }

    /// Whether a range lies inside one allocation.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, address: u64, bytes: usize) -> Result<(), MemoryError> {
        self.range(address, bytes).map(drop)
    }

    /// Whether every byte of a range was written.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn is_written(&self, address: u64, bytes: usize) -> Result<bool, MemoryError> {
        let (allocation, start) = self.range(address, bytes)?;
        Ok(allocation.is_written(start..start + bytes))
    }

    /// Allocations that are alive: (address, bytes, device).
    pub fn allocations(&self) -> Vec<(u64, usize, u32)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.live.iter().map(|a| (a.base, a.bytes, a.device)).collect()
    }

    fn range(&self, address: u64, bytes: usize) -> Result<(Arc<Allocation>, usize), MemoryError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.live.partition_point(|allocation| allocation.base <= address).checked_sub(1);
        match found.map(|index| &inner.live[index]) {
            Some(a) if address - a.base <= a.bytes as u64 && bytes <= a.bytes - (address - a.base) as usize => {
                Ok((a.clone(), (address - a.base) as usize))
            }
            _ if inner.freed_at(address) => Err(MemoryError::AfterFree { address }),
            _ => Err(MemoryError::OutOfBounds { address, bytes }),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot { live: inner.live.clone(), freed: inner.freed.clone() }
    }
}

impl Inner {
    fn freed_at(&self, address: u64) -> bool {
        freed_at(&self.freed, address)
    }
}

fn freed_at(freed: &BTreeMap<u64, u64>, address: u64) -> bool {
    freed.range(..=address).next_back().is_some_and(|(base, bytes)| address - base < *bytes)
}

/// The allocations as a launch finds them.
pub(crate) struct Snapshot {
    pub(crate) live: Arc<Vec<Arc<Allocation>>>,
    freed: Arc<BTreeMap<u64, u64>>,
}

impl Snapshot {
    /// Number of the allocation at or below `address`.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        self.live.partition_point(|allocation| allocation.base <= address).checked_sub(1)
    }

    pub(crate) fn freed_at(&self, address: u64) -> bool {
        freed_at(&self.freed, address)
    }
}

#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) base: u64,
    pub(crate) bytes: usize,
    pub(crate) device: u32,
    words: Box<[AtomicU32]>,
    /// For each word, which of its four bytes were written.
    written: Box<[AtomicU8]>,
    all_written: AtomicBool,
}

impl Allocation {
    fn new(base: u64, bytes: usize, device: u32) -> Self {
        let words = bytes.div_ceil(4);
        Allocation {
            base,
            bytes,
            device,
            words: zeroed(words),
            written: zeroed(words),
            all_written: AtomicBool::new(false),
        }
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        &self.words[index]
    }

    /// Whether byte `at` was written.
    fn has(&self, at: usize) -> bool {
        self.all_written.load(Relaxed) || self.written[at / 4].load(Relaxed) >> (at % 4) & 1 == 1
    }

    fn is_written(&self, range: Range<usize>) -> bool {
        let Range { start, end } = range;
        let (first, last) = (start.next_multiple_of(4).min(end), (end / 4 * 4).max(start));
        self.all_written.load(Relaxed)
            || (start..first).chain(last.max(first)..end).all(|at| self.has(at))
                && (first >= last || self.written[first / 4..last / 4].iter().all(|note| note.load(Relaxed) == 0xf))
    }

    /// Writes less than a word.
    fn write_bytes(&self, start: usize, bytes: &[u8]) {
        for (at, &byte) in (start..).zip(bytes) {
            self.set(at / 4, u32::from(byte) << (at % 4 * 8), 0xff << (at % 4 * 8));
            self.mark(at / 4, 1 << (at % 4));
        }
    }

    /// Reads less than a word.
    fn read_bytes(&self, start: usize, bytes: &mut [u8]) {
        for (at, byte) in (start..).zip(bytes) {
            *byte = (self.words[at / 4].load(Relaxed) >> (at % 4 * 8)) as u8;
        }
    }
}

/// An atomic integer and the plain one of the same layout.
trait Cell {
    type Plain: Copy + Default;
}

impl Cell for AtomicU32 {
    type Plain = u32;
}

impl Cell for AtomicU8 {
    type Plain = u8;
}

/// Zeros that the operating system gives when they are first touched: an allocation costs what of it is used.
fn zeroed<A: Cell>(n: usize) -> Box<[A]> {
    const { assert!(size_of::<A>() == size_of::<A::Plain>() && align_of::<A>() == align_of::<A::Plain>()) };
    let plain = vec![A::Plain::default(); n].into_boxed_slice();
    // SAFETY: an atomic integer has the size and bit validity of its integer (std), and on this target its alignment,
    // as checked above; the box is the only owner.
    unsafe { Box::from_raw(Box::into_raw(plain) as *mut [A]) }
}

/// Words with a note of which bytes were written. Shared and local memory are plain, global memory is atomic.
pub(crate) trait Words {
    fn get(&self, index: usize) -> u32;
    /// Changes the bits of `mask`.
    fn set(&mut self, index: usize, value: u32, mask: u32);
    fn written(&self, index: usize) -> u8;
    fn mark(&mut self, index: usize, bytes: u8);
    /// Whether everything was written, so that nobody has to ask.
    fn all_written(&self) -> bool;
}

impl Allocation {
    fn set(&self, index: usize, value: u32, mask: u32) {
        let word = &self.words[index];
        if mask == !0 {
            word.store(value, Relaxed);
        } else {
            let _ = word.fetch_update(Relaxed, Relaxed, |old| Some(old & !mask | value & mask));
        }
    }

    fn mark(&self, index: usize, bytes: u8) {
        if bytes == 0xf {
            self.written[index].store(0xf, Relaxed);
        } else if self.written[index].load(Relaxed) & bytes != bytes {
            self.written[index].fetch_or(bytes, Relaxed);
        }
    }
}

impl Words for &Allocation {
    #[inline(always)]
    fn get(&self, index: usize) -> u32 {
        self.words[index].load(Relaxed)
    }

    #[inline(always)]
    fn set(&mut self, index: usize, value: u32, mask: u32) {
        Allocation::set(self, index, value, mask);
    }

    #[inline(always)]
    fn written(&self, index: usize) -> u8 {
        self.written[index].load(Relaxed)
    }

    #[inline(always)]
    fn mark(&mut self, index: usize, bytes: u8) {
        Allocation::mark(self, index, bytes);
    }

    #[inline(always)]
    fn all_written(&self) -> bool {
        self.all_written.load(Relaxed)
    }
}

/// Memory that one block or warp owns.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    words: Vec<u32>,
    written: Vec<u8>,
}

impl Owned {
    /// Makes it `bytes` long and forgets what was written.
    pub(crate) fn reset(&mut self, bytes: usize) {
        self.words.clear();
        self.words.resize(bytes.div_ceil(4), 0);
        self.written.clear();
        self.written.resize(bytes.div_ceil(4), 0);
    }

    /// `N` words; zeros beyond the end.
    #[inline(always)]
    pub(crate) fn words<const N: usize>(&self, index: usize) -> [u32; N] {
        self.words.get(index..index + N).and_then(|words| words.try_into().ok()).unwrap_or([0; N])
    }

    /// Whether all bytes of `N` words at each address were written.
    #[inline(always)]
    pub(crate) fn are_written<const N: usize>(&self, at: &[u32; 32]) -> bool {
        let mut note = [0xf; N];
        for &at in at {
            let index = (at / 4) as usize;
            let here = self.written.get(index..index + N).and_then(|w| <[u8; N]>::try_from(w).ok()).unwrap_or([0; N]);
            for (note, here) in note.iter_mut().zip(here) {
                *note &= here;
            }
        }
        note == [0xf; N]
    }

    pub(crate) fn unmark(&mut self, index: usize) {
        self.written[index] = UNDER_WAY;
    }
}

/// In the note of a word: an asynchronous copy to it is under way.
pub(crate) const UNDER_WAY: u8 = 0x80;

impl Words for Owned {
    #[inline(always)]
    fn get(&self, index: usize) -> u32 {
        self.words[index]
    }

    #[inline(always)]
    fn set(&mut self, index: usize, value: u32, mask: u32) {
        let word = &mut self.words[index];
        *word = *word & !mask | value & mask;
    }

    #[inline(always)]
    fn written(&self, index: usize) -> u8 {
        self.written[index]
    }

    #[inline(always)]
    fn mark(&mut self, index: usize, bytes: u8) {
        self.written[index] = self.written[index] & 0xf | bytes;
    }

    #[inline(always)]
    fn all_written(&self) -> bool {
        false
    }
}
