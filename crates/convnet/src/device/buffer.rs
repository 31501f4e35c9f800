//! Memory of a card.

use std::mem::ManuallyDrop;
use std::ops::Range;

use bytemuck::Pod;
use cust::memory::{CopyDestination, DeviceBuffer};

use super::error::{Doing, code};
use super::{Context, DriverError};

/// Bytes in a card's memory.
///
/// Dropping it waits for the card, so that no work that uses it is under way. If the driver fails then, the memory is
/// never freed: the card might still use it.
#[derive(Debug)]
pub struct Buffer {
    inner: ManuallyDrop<DeviceBuffer<u8>>,
    len: usize,
    context: Context,
}

/// Some bytes of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) start: usize,
    pub(super) bytes: usize,
}

impl Buffer {
    /// `bytes` zeros.
    ///
    /// # Errors
    /// Out of memory, with sizes.
    pub fn zeroed(context: &Context, bytes: usize) -> Result<Buffer, DriverError> {
        context.bind()?;
        // The driver does not give empty allocations.
        let inner = DeviceBuffer::zeroed(bytes.max(1))
            .doing(|| format!("allocating {bytes} bytes on device {}", context.ordinal()))
            .map_err(|error| {
                error.remedy_for(code::OUT_OF_MEMORY, || match context.memory() {
                    Ok(memory) => format!("{} of {} bytes are free; use a smaller batch", memory.free, memory.total),
                    Err(error) => format!("use a smaller batch ({error})"),
                })
            })?;
        // The zeros are written in the default stream, which other streams do not wait for.
        context.synchronize()?;
        Ok(Buffer { inner: ManuallyDrop::new(inner), len: bytes, context: context.clone() })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the first byte, on the card.
    pub fn address(&self) -> u64 {
        self.inner.as_device_ptr().as_raw()
    }

    /// Whose memory it is in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The bytes of a range.
    ///
    /// # Panics
    /// When they are not all in the buffer.
    pub fn part(&self, range: Range<usize>) -> Part<'_> {
        let Range { start, end } = range;
        assert!(start <= end && end <= self.len, "bytes {start} to {end} of a buffer of {}", self.len);
        Part { buffer: self, start, bytes: end - start }
    }

    /// Copies `data` to byte `start`, when all work before it in any stream is done; work after it finds it there.
    /// For a step, [`super::Stream::upload`] does not wait.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn write<T: Pod>(&mut self, start: usize, data: &[T]) -> Result<(), DriverError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let part = self.part(start..start + bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        self.context.synchronize()?;
        let mut to = self.inner.index(part.start..part.start + part.bytes);
        to.copy_from(bytes).doing(|| format!("copying {} bytes to device {}", bytes.len(), self.context.ordinal()))?;
        // The driver returns when it has read the data, and may still be writing it.
        self.context.synchronize()
    }

    /// Copies bytes from `start` to `data`, when all work before it in any stream is done.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn read<T: Pod>(&self, start: usize, data: &mut [T]) -> Result<(), DriverError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(data);
        let part = self.part(start..start + bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        self.context.synchronize()?;
        let from = self.inner.index(part.start..part.start + part.bytes);
        let doing = || format!("copying {} bytes from device {}", part.bytes, self.context.ordinal());
        from.copy_to(bytes).doing(doing)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // What fails here fails again at the next call, which reports it.
        if self.context.synchronize().is_ok() {
            // SAFETY: the last use.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
    }
}

impl Part<'_> {
    /// Address of the first byte, on the card.
    pub fn address(&self) -> u64 {
        self.buffer.address() + self.start as u64
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}
