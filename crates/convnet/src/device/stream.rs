//! Work in order.

use cust::stream::StreamFlags;

use super::error::Doing;
use super::{Context, DriverError};

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
    /// Those of the driver, also of earlier work.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        self.context.bind()?;
        self.inner.synchronize().doing(|| format!("waiting for device {}", self.context.ordinal()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The driver keeps a stream until its work is done. What fails here fails again at the next call.
        let _ = self.context.bind();
    }
}
