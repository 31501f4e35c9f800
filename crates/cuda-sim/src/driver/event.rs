//! Events: points in streams.

use super::Driver;
use super::capture::Point;
use super::error::{Code, Status};
use super::operation::Work;
use super::schedule::Id;

/// An event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) context: u64,
    /// The operation at which it was recorded last.
    pub(super) recorded: Option<Id>,
    /// Where it was recorded last, if that was captured.
    pub(super) captured: Option<Point>,
    /// Made with a time.
    is_timed: bool,
}

/// `CU_EVENT_BLOCKING_SYNC` and `CU_EVENT_DISABLE_TIMING`; interprocess events are not simulated.
const FLAGS: u32 = 3;
const DISABLE_TIMING: u32 = 2;

impl Driver {
    pub(super) fn create_event(&mut self, flags: u32) -> Status<u64> {
        let context = self.current()?;
        if flags & !FLAGS != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let handle = self.handle();
        let is_timed = flags & DISABLE_TIMING == 0;
        self.clock.runs |= is_timed;
        self.events.insert(handle, Event { context, recorded: None, captured: None, is_timed });
        Ok(handle)
    }

    /// Those who wait for it go on waiting.
    pub(super) fn destroy_event(&mut self, event: u64) -> Status<()> {
        self.current()?;
        self.events.remove(&event).map(drop).ok_or(Code::INVALID_HANDLE)
    }

    pub(super) fn record_event(&mut self, event: u64, stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        let Event { context, is_timed, .. } = *self.events.get(&event).ok_or(Code::INVALID_HANDLE)?;
        if context != self.streams[&stream].context {
            return Err(Code::INVALID_HANDLE);
        }
        let (recorded, captured) = match self.streams[&stream].capture {
            Some(capture) => (None, Some(self.point(capture, stream)?)),
            None => (self.give(stream, Work::Join)?, None),
        };
        self.events.insert(event, Event { context, recorded, captured, is_timed });
        Ok(())
    }

    pub(super) fn synchronize_event(&mut self, event: u64) -> Status<()> {
        let (context, recorded) = self.idle_event(event)?;
        self.wait(recorded.as_slice());
        self.works(context)
    }

    /// Runs one operation that the event needs, if there is one; so a program that polls comes to an end.
    pub(super) fn query_event(&mut self, event: u64) -> Status<()> {
        let (context, recorded) = self.idle_event(event)?;
        let is_done = self.query(recorded.as_slice());
        self.works(context)?;
        if is_done { Ok(()) } else { Err(Code::NOT_READY) }
    }

    /// Milliseconds between two events, as predicted: see [`super::clock`].
    pub(super) fn elapsed(&mut self, start: u64, end: u64) -> Status<f32> {
        self.current()?;
        let mut times = [0.0; 2];
        for (time, event) in times.iter_mut().zip([start, end]) {
            let event = self.events.get(&event).filter(|event| event.is_timed).ok_or(Code::INVALID_HANDLE)?;
            let recorded = event.recorded.ok_or(Code::INVALID_HANDLE)?;
            if self.queue.is_pending(recorded) {
                return Err(Code::NOT_READY);
            }
            *time = self.clock.end(recorded).ok_or(Code::INVALID_HANDLE)?;
        }
        Ok(((times[1] - times[0]) * 1e3) as f32)
    }

    /// Context and operation of an event that was not captured, on a thread that may wait.
    fn idle_event(&mut self, event: u64) -> Status<(u64, Option<Id>)> {
        self.current()?;
        let event = self.events.get(&event).ok_or(Code::INVALID_HANDLE)?.clone();
        if let Some(point) = event.captured {
            return Err(self.invalidate(point.capture, Code::CAPTURED_EVENT));
        }
        self.no_capture()?;
        Ok((event.context, event.recorded))
    }
}
