//! Work in order.

use cust::stream::StreamFlags;
use cust::sys::{CUresult, cuStreamQuery};

use super::error::Doing;
use super::{Context, DriverError, wait};

/// A queue of work on a card.
#[derive(Debug)]
pub struct Stream {
    pub(super) inner: cust::stream::Stream,
    pub(super) context: Context,
}

impl Stream {
    /// A stream that does not wait for the default stream.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn new(context: &Context) -> Result<Stream, DriverError> {
        context.bind()?;
        let inner = cust::stream::Stream::new(StreamFlags::NON_BLOCKING, None)
            .doing(|| format!("making a stream on device {}", context.ordinal()))?;
        Ok(Stream { inner, context: context.clone() })
    }

    /// Waits until everything in the stream is done.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work, and that the card does not answer.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        wait::wait(&self.context, "cuStreamQuery", || self.is_done())
    }

    /// Whether everything in the stream is done.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work.
    pub fn is_done(&self) -> Result<bool, DriverError> {
        self.context.bind()?;
        // SAFETY: the stream lives.
        match unsafe { cuStreamQuery(self.inner.as_inner()) } {
            CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            other => other.doing(|| format!("waiting for device {}", self.context.ordinal())).map(|()| true),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The driver keeps a stream until its work is done. What fails here fails again at the next call.
        let _ = self.context.bind();
    }
}
