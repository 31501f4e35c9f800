//! The memory of the CPU device: one growing array of f32 per region.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::Error;
use crate::ops::{Region, Span};

/// A cache line, and the width of the widest vector.
const ALIGN: usize = 64;

/// Zeroed, aligned floats. The kernel hands out the pages when they are first touched.
struct Floats {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: `Floats` owns its memory, as a `Vec` does.
unsafe impl Send for Floats {}
// SAFETY: shared access goes through `Memory`, whose unsafe methods forbid racing writes.
unsafe impl Sync for Floats {}

impl Floats {
    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.checked_mul(size_of::<f32>())?, ALIGN).ok()
    }

    fn zeroed(len: usize) -> Option<Floats> {
        if len == 0 {
            return Some(Floats::default());
        }
        let layout = Self::layout(len)?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<f32>())?;
        Some(Floats { start, len })
    }

    fn as_slice(&self) -> &[f32] {
        // SAFETY: `start` points to `len` initialised floats that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Default for Floats {
    fn default() -> Self {
        Floats { start: NonNull::dangling(), len: 0 }
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: `start` came from `alloc_zeroed` with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

/// All regions.
#[derive(Default)]
pub(super) struct Memory {
    regions: [Floats; Region::ALL.len()],
}

impl Memory {
    /// Floats of a region.
    pub(super) fn len(&self, region: Region) -> usize {
        self.regions[region as usize].len
    }

    /// See [`crate::ops::Device::reserve`].
    pub(super) fn reserve(&mut self, region: Region, len: usize) -> Result<(), Error> {
        let old = &mut self.regions[region as usize];
        if len <= old.len {
            return Ok(());
        }
        let bytes = len.saturating_mul(size_of::<f32>());
        let what = "a region of the network's memory";
        let mut new = Floats::zeroed(len).ok_or(Error::OutOfMemory { what, bytes })?;
        new.as_mut_slice()[..old.len].copy_from_slice(old.as_slice());
        *old = new;
        Ok(())
    }

    /// See [`crate::ops::Device::write`].
    pub(super) fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.check("write", span, data.len())?;
        self.regions[span.region as usize].as_mut_slice()[span.start..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    /// See [`crate::ops::Device::read`].
    pub(super) fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.check("read", span, data.len())?;
        data.copy_from_slice(&self.regions[span.region as usize].as_slice()[span.start..][..data.len()]);
        Ok(())
    }

    /// Copies `from` of another device's memory to the start of `to`.
    pub(super) fn copy(&mut self, to: Span, other: &Memory, from: Span) -> Result<(), Error> {
        other.check("send", from, from.len)?;
        let data = &other.regions[from.region as usize].as_slice()[from.start..][..from.len];
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
        unsafe { std::slice::from_raw_parts(self.regions[span.region as usize].start.as_ptr().add(span.start), len) }
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
        let start = self.regions[span.region as usize].start.as_ptr();
        // SAFETY: the range is inside the region, and by the caller's word this is its only user.
        unsafe { std::slice::from_raw_parts_mut(start.add(span.start), len) }
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
        unsafe { self.regions[span.region as usize].start.as_ptr().add(span.start) }
    }
}
