//! Large arrays of floats, on large pages where the system has them: a step walks through hundreds of megabytes, often
//! in strides of a row, and with pages of 4 KB a good part of the time goes into finding them.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Floats from the start of a page on, zero at first. The system hands out pages when they are first touched.
#[derive(Default)]
pub(super) struct Floats {
    /// Nothing without floats.
    map: Option<MmapMut>,
}

impl Floats {
    /// `len` floats, if there is so much memory.
    pub(super) fn zeroed(len: usize) -> Option<Floats> {
        if len == 0 {
            return Some(Floats::default());
        }
        let map = MmapMut::map_anon(len.checked_mul(size_of::<f32>())?).ok()?;
        // A system without large pages is slower and no worse.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Floats { map: Some(map) })
    }

    /// Makes room for `len` floats, whose contents are whatever was there or zero.
    pub(super) fn grow(&mut self, len: usize) {
        if self.len() < len {
            // The old ones go first.
            *self = Floats::default();
            let layout = Layout::array::<f32>(len).unwrap_or(Layout::new::<f32>());
            *self = Floats::zeroed(len).unwrap_or_else(|| handle_alloc_error(layout));
        }
    }

    /// The first float, for whoever may write through a shared reference.
    pub(super) fn start(&self) -> *mut f32 {
        self.map.as_ref().map_or(std::ptr::dangling_mut(), |map| map.as_ptr().cast_mut().cast())
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.map.as_deref().map_or(&[], bytemuck::cast_slice)
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.map.as_deref_mut().map_or(&mut [], bytemuck::cast_slice_mut)
    }
}
