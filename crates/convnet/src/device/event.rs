//! Points in a stream.

use std::time::Duration;

use cust::sys::{
    CUevent, CUevent_flags, CUresult, cuEventCreate, cuEventDestroy_v2, cuEventElapsedTime, cuEventQuery,
    cuEventRecord, cuStreamWaitEvent,
};

use super::error::Doing;
use super::{Context, DriverError, Stream, wait};

/// A point in a stream, for other streams and for the host to wait for. It may be recorded again and again; before it
/// is recorded for the first time, nothing waits for it.
///
/// Not cust's event, which is used up when a stream waits for it.
#[derive(Debug)]
pub struct Event {
    inner: CUevent,
    pub(super) context: Context,
}

// SAFETY: an event is a handle that the driver lets every thread use.
unsafe impl Send for Event {}
// SAFETY: as above; recording and waiting are calls that the driver orders.
unsafe impl Sync for Event {}

impl Event {
    /// An event without a time, to order work.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn new(context: &Context) -> Result<Event, DriverError> {
        Event::with_flags(context, CUevent_flags::CU_EVENT_DISABLE_TIMING as u32)
    }

    /// An event with a time, to measure.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn timed(context: &Context) -> Result<Event, DriverError> {
        Event::with_flags(context, CUevent_flags::CU_EVENT_DEFAULT as u32)
    }

    fn with_flags(context: &Context, flags: u32) -> Result<Event, DriverError> {
        context.bind()?;
        let mut inner = std::ptr::null_mut();
        // SAFETY: the call writes a handle.
        unsafe { cuEventCreate(&raw mut inner, flags) }
            .doing(|| format!("making an event on device {}", context.ordinal()))?;
        Ok(Event { inner, context: context.clone() })
    }

    /// Waits until the work before the event is done.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work, and that the card does not answer.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        wait::wait(&self.context, "cuEventQuery", || self.is_done())
    }

    /// Whether the work before the event is done.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work.
    pub fn is_done(&self) -> Result<bool, DriverError> {
        self.context.bind()?;
        // SAFETY: the event lives.
        match unsafe { cuEventQuery(self.inner) } {
            CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            other => other.doing(|| self.doing("waiting for")).map(|()| true),
        }
    }

    /// Time from another event to this one. Both are [`Event::timed`], recorded, and done.
    ///
    /// # Errors
    /// Those of the driver: 400 for an event without a time, 600 for one that is not done.
    pub fn elapsed_since(&self, start: &Event) -> Result<Duration, DriverError> {
        self.context.bind()?;
        let mut milliseconds = 0.0_f32;
        // SAFETY: the events live, and the call writes a number.
        unsafe { cuEventElapsedTime(&raw mut milliseconds, start.inner, self.inner) }
            .doing(|| self.doing("measuring up to"))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1000.0))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} an event of device {}", self.context.ordinal())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // What fails here fails again at the next call, which reports it.
        if self.context.bind().is_ok() {
            // SAFETY: nothing uses the handle any more; the driver keeps the event until waits for it are over.
            unsafe { cuEventDestroy_v2(self.inner) };
        }
    }
}

impl Stream {
    /// Puts an event after the work that the stream was given so far.
    ///
    /// # Errors
    /// Those of the driver: an event is recorded on its own card.
    pub fn record(&self, event: &Event) -> Result<(), DriverError> {
        self.context.bind()?;
        // SAFETY: event and stream live.
        unsafe { cuEventRecord(event.inner, self.inner.as_inner()) }.doing(|| event.doing("recording"))
    }

    /// Lets the work that the stream is given from now on wait for an event, of any card, as it was recorded last.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn wait(&self, event: &Event) -> Result<(), DriverError> {
        self.context.bind()?;
        // SAFETY: event and stream live.
        unsafe { cuStreamWaitEvent(self.inner.as_inner(), event.inner, 0) }.doing(|| event.doing("ordering after"))
    }
}
