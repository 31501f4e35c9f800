//! Host memory that copies use, as it was when they were given.

use std::ops::Range;

use super::super::pinned::HostBytes;
use super::super::schedule::Id;

/// Host memory that a copy uses until the host knows the copy to be over.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) copy: Id,
    pub(super) context: u64,
    pub(super) host: HostBytes,
    /// Whether it is what the copy writes.
    pub(super) writes: bool,
    pub(super) what: String,
    sum: u64,
}

impl Watch {
    pub(super) fn new(copy: Id, context: u64, host: HostBytes, writes: bool, what: String) -> Watch {
        let sum = sum(&host);
        Watch { copy, context, host, writes, what, sum }
    }

    pub(super) fn overlaps(&self, range: &Range<u64>) -> bool {
        let own = self.host.range();
        own.start < range.end && range.start < own.end
    }

    /// Whether the bytes are others than they were.
    pub(super) fn has_changed(&self) -> bool {
        sum(&self.host) != self.sum
    }

    /// The driver changed bytes.
    pub(super) fn renew(&mut self) {
        self.sum = sum(&self.host);
    }
}

/// A sum in which every bit counts.
fn sum(host: &HostBytes) -> u64 {
    host.with(|bytes| {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words.iter().chain([&last]).fold(bytes.len() as u64, |sum, word| {
            (sum.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    })
}
