//! The memory of the GPU device: one buffer of f32 per region.

use crate::Error;
use crate::device::{Buffer, Context, Part};
use crate::ops::{Region, Span};

/// All regions.
pub(super) struct Memory {
    regions: [Buffer; Region::ALL.len()],
    lens: [usize; Region::ALL.len()],
    context: Context,
}

impl Memory {
    pub(super) fn new(context: &Context) -> Result<Memory, Error> {
        let empty = || Buffer::zeroed(context, 0);
        let regions = [empty()?, empty()?, empty()?, empty()?, empty()?, empty()?];
        Ok(Memory { regions, lens: [0; Region::ALL.len()], context: context.clone() })
    }

    /// Floats of a region.
    pub(super) fn len(&self, region: Region) -> usize {
        self.lens[region as usize]
    }

    /// Address of a region's first float.
    pub(super) fn base(&self, region: Region) -> u64 {
        self.regions[region as usize].address()
    }

    /// See [`crate::ops::Device::reserve`].
    pub(super) fn reserve(&mut self, region: Region, len: usize) -> Result<(), Error> {
        let old_len = self.len(region);
        if len <= old_len {
            return Ok(());
        }
        let mut new = Buffer::zeroed(&self.context, len * size_of::<f32>())?;
        let mut contents = vec![0.0_f32; old_len];
        self.regions[region as usize].read(0, &mut contents)?;
        new.write(0, &contents)?;
        self.regions[region as usize] = new;
        self.lens[region as usize] = len;
        Ok(())
    }

    /// See [`crate::ops::Device::write`].
    pub(super) fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.check("write", span, data.len())?;
        Ok(self.regions[span.region as usize].write(span.start * size_of::<f32>(), data)?)
    }

    /// See [`crate::ops::Device::read`].
    pub(super) fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.check("read", span, data.len())?;
        Ok(self.regions[span.region as usize].read(span.start * size_of::<f32>(), data)?)
    }

    /// The first `len` floats of `span`.
    pub(super) fn part(&self, op: &'static str, span: Span, len: usize) -> Result<Part<'_>, Error> {
        self.check(op, span, len)?;
        let start = span.start * size_of::<f32>();
        Ok(self.regions[span.region as usize].part(start..start + len * size_of::<f32>()))
    }

    fn check(&self, op: &'static str, span: Span, len: usize) -> Result<(), Error> {
        let available = self.len(span.region);
        if len > span.len || span.end() > available {
            return Err(Error::OutOfRange { op, span: format!("{span} for {len} floats"), available });
        }
        Ok(())
    }
}
