//! Device memory: one address space for all devices, allocations that know which of their bytes were written.
//!
//! Addresses are never used twice, so an access after a free is recognised for ever, and allocations do not touch, so
//! that an access beyond one never falls into the next. Words are relaxed atomics: what blocks do at the same time is
//! defined, if not ordered. Atomics of 64 bits are atomic among themselves only.

use std::collections::BTreeMap;
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
    live: BTreeMap<u64, Arc<Allocation>>,
    freed: BTreeMap<u64, u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { inner: RwLock::new(Inner { next: FIRST, live: BTreeMap::new(), freed: BTreeMap::new() }) }
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
        inner.live.insert(base, Arc::new(Allocation::new(base, bytes, device)));
        base
    }

    /// Frees the allocation that starts at `address`.
    ///
    /// # Errors
    /// When none starts there, or it was freed before.
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match inner.live.remove(&address) {
            Some(allocation) => {
                inner.freed.insert(address, allocation.bytes as u64);
                Ok(())
            }
            None if inner.freed.contains_key(&address) => Err(MemoryError::AfterFree { address }),
            None => Err(MemoryError::NotAllocated { address }),
        }
    }

    /// Copies host bytes to the device.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (allocation, start) = self.range(address, bytes.len())?;
        if start.is_multiple_of(4) && bytes.len().is_multiple_of(4) {
            for (index, word) in bytes.chunks_exact(4).enumerate() {
                let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                allocation.words[start / 4 + index].store(value, Relaxed);
                allocation.written[start / 4 + index].store(0xf, Relaxed);
            }
        } else {
            for (index, &byte) in bytes.iter().enumerate() {
                let at = start + index;
                let shift = at % 4 * 8;
                allocation.set(at / 4, u32::from(byte) << shift, 0xff << shift);
                allocation.mark(at / 4, 1 << (at % 4));
            }
        }
        if bytes.len() == allocation.bytes {
            allocation.all_written.store(true, Relaxed);
        }
        Ok(())
    }

    /// Copies device bytes to the host; those that nobody wrote are whatever they are.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let (allocation, start) = self.range(address, bytes.len())?;
        for (index, byte) in bytes.iter_mut().enumerate() {
            let at = start + index;
            *byte = (allocation.words[at / 4].load(Relaxed) >> (at % 4 * 8)) as u8;
        }
        Ok(())
    }

    /// Whether every byte of a range was written.
    ///
    /// # Errors
    /// When the range is not inside one allocation.
    pub fn is_written(&self, address: u64, bytes: usize) -> Result<bool, MemoryError> {
        let (allocation, start) = self.range(address, bytes)?;
        Ok((start..start + bytes).all(|at| allocation.written[at / 4].load(Relaxed) >> (at % 4) & 1 == 1))
    }

    /// Allocations that are alive: (address, bytes, device).
    pub fn allocations(&self) -> Vec<(u64, usize, u32)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.live.values().map(|a| (a.base, a.bytes, a.device)).collect()
    }

    fn range(&self, address: u64, bytes: usize) -> Result<(Arc<Allocation>, usize), MemoryError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.live.range(..=address).next_back().map(|(_, allocation)| allocation);
        match found {
            Some(a) if address - a.base <= a.bytes as u64 && bytes <= a.bytes - (address - a.base) as usize => {
                Ok((a.clone(), (address - a.base) as usize))
            }
            _ if inner.freed_at(address) => Err(MemoryError::AfterFree { address }),
            _ => Err(MemoryError::OutOfBounds { address, bytes }),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot { live: inner.live.values().cloned().collect(), freed: inner.freed.clone() }
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
    pub(crate) live: Vec<Arc<Allocation>>,
    freed: BTreeMap<u64, u64>,
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
            words: (0..words).map(|_| AtomicU32::new(0)).collect(),
            written: (0..words).map(|_| AtomicU8::new(0)).collect(),
            all_written: AtomicBool::new(false),
        }
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        &self.words[index]
    }
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
