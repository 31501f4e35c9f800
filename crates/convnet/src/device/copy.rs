//! Copies in a stream.

use bytemuck::Pod;
use cust::sys::{cuMemcpyDtoDAsync_v2, cuMemcpyDtoHAsync_v2, cuMemcpyHtoDAsync_v2, cuMemcpyPeerAsync};

use super::error::Doing;
use super::{DriverError, Part, Pending, Pinned, Stream};

impl Stream {
    /// Starts a copy from the host. Not while the stream is captured: the host's side is given back.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When the sizes differ, or the stream, the numbers and the buffer are not of one card.
    pub fn upload<T: Pod>(&self, mut from: Pinned<T>, to: Part<'_>) -> Result<Pending<T>, DriverError> {
        let host = self.host_side(&mut from, to);
        self.context.bind()?;
        // SAFETY: the sizes are equal. `Pending` keeps the host's side until the copy is done; the buffer waits for its
        // card before it goes.
        unsafe { cuMemcpyHtoDAsync_v2(to.address(), host.cast_const().cast(), to.bytes, self.inner.as_inner()) }
            .doing(|| format!("copying {} bytes to device {}", to.bytes, self.context.ordinal()))?;
        self.pending(from)
    }

    /// Starts a copy to the host. Not while the stream is captured: the host's side is given back.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When the sizes differ, or the stream, the numbers and the buffer are not of one card.
    pub fn download<T: Pod>(&self, from: Part<'_>, mut to: Pinned<T>) -> Result<Pending<T>, DriverError> {
        let host = self.host_side(&mut to, from);
        self.context.bind()?;
        // SAFETY: as in `upload`; and any bytes are a `Pod`.
        unsafe { cuMemcpyDtoHAsync_v2(host.cast(), from.address(), from.bytes, self.inner.as_inner()) }
            .doing(|| format!("copying {} bytes from device {}", from.bytes, self.context.ordinal()))?;
        self.pending(to)
    }

    /// Starts a copy between buffers of this card.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When the sizes differ, or the stream and the buffers are not of one card.
    pub fn copy(&self, from: Part<'_>, to: Part<'_>) -> Result<(), DriverError> {
        assert_eq!(from.bytes, to.bytes, "bytes to copy and room for them");
        assert!([from, to].iter().all(|part| part.buffer.context().is(&self.context)), "buffers of the stream's card");
        self.context.bind()?;
        // SAFETY: the sizes are equal, and the buffers wait for their card before they go.
        unsafe { cuMemcpyDtoDAsync_v2(to.address(), from.address(), from.bytes, self.inner.as_inner()) }
            .doing(|| format!("copying {} bytes on device {}", from.bytes, self.context.ordinal()))
    }

    /// Starts a copy between buffers of two cards, one of them the stream's. Without peer access the driver copies
    /// through the host.
    ///
    /// # Safety
    /// The buffer of the other card stays until the copy is done: it waits for its own card only before it goes.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When the sizes differ.
    pub unsafe fn copy_peer(&self, from: Part<'_>, to: Part<'_>) -> Result<(), DriverError> {
        assert_eq!(from.bytes, to.bytes, "bytes to copy and room for them");
        let (from_context, to_context) = (from.buffer.context(), to.buffer.context());
        self.context.bind()?;
        let (to_raw, from_raw) = (to_context.raw(), from_context.raw());
        // SAFETY: the sizes are equal, the contexts live with their buffers, and these stay by the caller's word.
        unsafe { cuMemcpyPeerAsync(to.address(), to_raw, from.address(), from_raw, from.bytes, self.inner.as_inner()) }
            .doing(|| {
                let (from_ordinal, to_ordinal) = (from_context.ordinal(), to_context.ordinal());
                format!("copying {} bytes from device {from_ordinal} to device {to_ordinal}", from.bytes)
            })
    }

    /// Where the host's side is; checks that it fits the device's.
    fn host_side<T: Pod>(&self, host: &mut Pinned<T>, device: Part<'_>) -> *mut T {
        assert_eq!(size_of_val(host.as_slice()), device.bytes, "bytes of the host and of the device");
        assert!(device.buffer.context().is(&self.context), "a buffer of the stream's card");
        assert!(host.copied.context.is(&self.context), "numbers for the stream's card");
        host.as_mut_ptr()
    }

    /// The host's side of a copy that has been started.
    fn pending<T: Pod>(&self, host: Pinned<T>) -> Result<Pending<T>, DriverError> {
        match self.record(&host.copied) {
            Ok(()) => Ok(Pending::new(host)),
            Err(error) => {
                host.lose();
                Err(error)
            }
        }
    }
}
