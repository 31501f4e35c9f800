//! The memory of the CPU device: one growing array of f32 per region.

use std::ops::Range;

use super::floats::Floats;
use crate::Error;
use crate::ops::{Region, Span};

/// All regions.
#[derive(Default)]
pub(super) struct Memory {
    regions: [Floats; Region::ALL.len()],
}

impl Memory {
    /// Floats of a region.
    pub(super) fn len(&self, region: Region) -> usize {
        self.regions[region as usize].len()
    }

    /// See [`crate::ops::Device::reserve`].
    pub(super) fn reserve(&mut self, region: Region, len: usize) -> Result<(), Error> {
        let old = &mut self.regions[region as usize];
        if len <= old.len() {
            return Ok(());
        }
        let bytes = len.saturating_mul(size_of::<f32>());
        let what = "a region of the network's memory";
        let mut new = Floats::zeroed(len).ok_or(Error::OutOfMemory { what, bytes })?;
        new[..old.len()].copy_from_slice(old);
        *old = new;
        Ok(())
    }

    /// See [`crate::ops::Device::write`].
    pub(super) fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.check("write", span, data.len())?;
        self.regions[span.region as usize][span.start..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    /// See [`crate::ops::Device::read`].
    pub(super) fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.check("read", span, data.len())?;
        data.copy_from_slice(&self.regions[span.region as usize][span.start..][..data.len()]);
        Ok(())
    }

    /// Copies `from` of another device's memory to the start of `to`.
    pub(super) fn copy(&mut self, to: Span, other: &Memory, from: Span) -> Result<(), Error> {
        other.check("send", from, from.len)?;
        let data = &other.regions[from.region as usize][from.start..][..from.len];
        self.write(to, data)
    }

    fn check(&self, op: &'static str, span: Span, len: usize) -> Result<(), Error> {
        let available = self.len(span.region);
        if len > span.len || span.end() > available {
            return Err(Error::OutOfRange { op, span: format!("{span} for {len} floats"), available });
        }
        Ok(())
    }

    /// The first `len` floats of `span`.
    ///
    /// # Safety
    /// The operation that runs has passed `Operation::check`, `span` is one of its operands, and no
    /// [`Memory::slice_mut`] of an overlapping span is alive.
    ///
    /// # Panics
    /// When the span leaves its region.
    pub(super) unsafe fn slice(&self, span: Span, len: usize) -> &[f32] {
        assert!(len <= span.len && span.end() <= self.len(span.region), "{span}");
        // SAFETY: the range is inside the region, and by the caller's word nobody writes it.
        unsafe { std::slice::from_raw_parts(self.regions[span.region as usize].start().add(span.start), len) }
    }

    /// The first `len` floats of `span`, to be written.
    ///
    /// # Safety
    /// The operation that runs has passed `Operation::check`, `span` is one of its written operands, and no other
    /// slice of an overlapping span is alive.
    ///
    /// # Panics
    /// When the span leaves its region.
    #[allow(clippy::mut_from_ref, reason = "several operands of one operation are borrowed at once; see Safety")]
    pub(super) unsafe fn slice_mut(&self, span: Span, len: usize) -> &mut [f32] {
        assert!(len <= span.len && span.end() <= self.len(span.region), "{span}");
        let start = self.regions[span.region as usize].start();
        // SAFETY: the range is inside the region, and by the caller's word this is its only user.
        unsafe { std::slice::from_raw_parts_mut(start.add(span.start), len) }
    }

    /// A part of `span`, to be written by the one task that owns it.
    ///
    /// # Safety
    /// As [`Memory::slice_mut`], for the part.
    ///
    /// # Panics
    /// When the part leaves the span or its region.
    #[allow(clippy::mut_from_ref, reason = "tasks own parts of one span; see Safety")]
    pub(super) unsafe fn part_mut(&self, span: Span, part: Range<usize>) -> &mut [f32] {
        assert!(part.start <= part.end && part.end <= span.len, "{span}");
        let part = Span { start: span.start + part.start, len: part.len(), ..span };
        // SAFETY: the caller's word; the part is inside the span.
        unsafe { self.slice_mut(part, part.len) }
    }

    /// The first of `len` floats of `span`, for tasks that write disjoint parts of it.
    ///
    /// # Safety
    /// The operation that runs has passed `Operation::check`, and `span` is one of its written operands.
    ///
    /// # Panics
    /// When the span leaves its region.
    pub(super) unsafe fn pointer(&self, span: Span, len: usize) -> *mut f32 {
        assert!(len <= span.len && span.end() <= self.len(span.region), "{span}");
        // SAFETY: the start is inside the region.
        unsafe { self.regions[span.region as usize].start().add(span.start) }
    }
}
