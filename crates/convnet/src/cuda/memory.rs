//! The memory of the GPU device: one buffer per region, and the weights as products read them.

use half::bf16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use kernels_gpu::Precision;

use crate::Error;
use crate::device::{Buffer, Context, Part};
use crate::ops::{Region, Span};

/// All regions.
pub(super) struct Memory {
    regions: [Buffer; Region::ALL.len()],
    lens: [usize; Region::ALL.len()],
    /// The weights in bf16, where products read them so: each at its place in [`Region::Weights`].
    rounded: Buffer,
    precision: Precision,
    context: Context,
}

impl Memory {
    /// Nothing yet. `precision` is that of [`Region::Work`] and of what products read.
    pub(super) fn new(context: &Context, precision: Precision) -> Result<Memory, Error> {
        let empty = || Buffer::zeroed(context, 0);
        let regions = [empty()?, empty()?, empty()?, empty()?, empty()?, empty()?];
        let rounded = empty()?;
        Ok(Memory { regions, lens: [0; Region::ALL.len()], rounded, precision, context: context.clone() })
    }

    /// The type of what products read.
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// The type of a region's elements.
    pub(super) fn precision_of(&self, region: Region) -> Precision {
        if region == Region::Work { self.precision } else { Precision::F32 }
    }

    /// Elements of a region.
    pub(super) fn len(&self, region: Region) -> usize {
        self.lens[region as usize]
    }

    /// Address of a region's first element.
    pub(super) fn base(&self, region: Region) -> u64 {
        self.regions[region as usize].address()
    }

    /// Address of a region's first element as products read it; none where they cannot.
    pub(super) fn base_for_products(&self, region: Region) -> Option<u64> {
        if self.precision_of(region) == self.precision {
            Some(self.base(region))
        } else {
            self.is_rounded(region).then(|| self.rounded.address())
        }
    }

    /// Address of the rounded copy of a span, where there is one.
    pub(super) fn rounded(&self, span: Span) -> Option<u64> {
        let start = (span.start * Precision::Bf16.bytes()) as u64;
        self.is_rounded(span.region).then(|| self.rounded.address() + start)
    }

    /// See [`crate::ops::Device::reserve`].
    pub(super) fn reserve(&mut self, region: Region, len: usize) -> Result<(), Error> {
        let old_len = self.len(region);
        if len <= old_len {
            return Ok(());
        }
        let mut contents = vec![0.0_f32; old_len];
        let span = Span::new(region, 0, old_len);
        self.read(span, &mut contents)?;
        self.regions[region as usize] = Buffer::zeroed(&self.context, len * self.precision_of(region).bytes())?;
        if self.is_rounded(region) {
            self.rounded = Buffer::zeroed(&self.context, len * Precision::Bf16.bytes())?;
        }
        self.lens[region as usize] = len;
        self.write(span, &contents)
    }

    /// Whether there is a rounded copy of a region beside it.
    fn is_rounded(&self, region: Region) -> bool {
        region == Region::Weights && self.precision == Precision::Bf16
    }

    /// See [`crate::ops::Device::write`]. Rounds to nearest, as the kernels do.
    pub(super) fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.check("write", span, data.len())?;
        let precision = self.precision_of(span.region);
        let region = &mut self.regions[span.region as usize];
        match precision {
            Precision::F32 => region.write(span.start * precision.bytes(), data)?,
            Precision::Bf16 => write_rounded(region, span.start, data)?,
        }
        if self.is_rounded(span.region) {
            write_rounded(&mut self.rounded, span.start, data)?;
        }
        Ok(())
    }

    /// See [`crate::ops::Device::read`].
    pub(super) fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.check("read", span, data.len())?;
        let region = &self.regions[span.region as usize];
        let precision = self.precision_of(span.region);
        let start = span.start * precision.bytes();
        match precision {
            Precision::F32 => region.read(start, data)?,
            Precision::Bf16 => {
                let mut bits = vec![0_u16; data.len()];
                region.read(start, &mut bits)?;
                bits.reinterpret_cast::<bf16>().convert_to_f32_slice(data);
            }
        }
        Ok(())
    }

    /// The first `len` elements of `span`.
    pub(super) fn part(&self, op: &'static str, span: Span, len: usize) -> Result<Part<'_>, Error> {
        self.check(op, span, len)?;
        let bytes = self.precision_of(span.region).bytes();
        let start = span.start * bytes;
        Ok(self.regions[span.region as usize].part(start..start + len * bytes))
    }

    fn check(&self, op: &'static str, span: Span, len: usize) -> Result<(), Error> {
        let available = self.len(span.region);
        if len > span.len || span.end() > available {
            return Err(Error::OutOfRange { op, span: format!("{span} for {len} floats"), available });
        }
        Ok(())
    }
}

/// Rounds `data` to bf16 and writes it from element `start` on.
fn write_rounded(to: &mut Buffer, start: usize, data: &[f32]) -> Result<(), Error> {
    let mut rounded = vec![bf16::ZERO; data.len()];
    rounded.convert_from_f32_slice(data);
    let bits: &[u16] = rounded.reinterpret_cast();
    Ok(to.write(start * Precision::Bf16.bytes(), bits)?)
}
