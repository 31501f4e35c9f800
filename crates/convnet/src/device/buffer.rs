//! Memory of a card.

use bytemuck::Pod;
use cust::memory::{CopyDestination, DeviceBuffer};

use super::error::Doing;
use super::{Context, DriverError};

/// Bytes in a card's memory.
#[derive(Debug)]
pub struct Buffer {
    inner: DeviceBuffer<u8>,
    context: Context,
}

impl Buffer {
    /// `bytes` zeros.
    ///
    /// # Errors
    /// Out of memory, with sizes.
    pub fn zeroed(context: &Context, bytes: usize) -> Result<Buffer, DriverError> {
        context.bind()?;
        // The driver does not give empty allocations.
        let inner = DeviceBuffer::zeroed(bytes.max(16))
            .doing(|| format!("allocating {bytes} bytes on device {}", context.ordinal()))?;
        Ok(Buffer { inner, context: context.clone() })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Address of the first byte, on the card.
    pub fn address(&self) -> u64 {
        self.inner.as_device_ptr().as_raw()
    }

    /// Copies `data` to byte `start`, when all work before it in any stream is done.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn write<T: Pod>(&mut self, start: usize, data: &[T]) -> Result<(), DriverError> {
        self.context.bind()?;
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let mut to = self.inner.index(start..start + bytes.len());
        to.copy_from(bytes).doing(|| format!("copying {} bytes to device {}", bytes.len(), self.context.ordinal()))
    }

    /// Copies bytes from `start` to `data`.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn read<T: Pod>(&self, start: usize, data: &mut [T]) -> Result<(), DriverError> {
        self.context.bind()?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(data);
        let from = self.inner.index(start..start + bytes.len());
        let len = bytes.len();
        from.copy_to(bytes).doing(|| format!("copying {len} bytes from device {}", self.context.ordinal()))
    }
}
