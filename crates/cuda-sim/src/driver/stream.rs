//! Streams: order by default.

use super::Driver;
use super::error::{Code, Status};
use super::operation::Work;
use super::options::Schedule;
use super::schedule::{Id, Operation};

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) context: u64,
    /// Whether it and the legacy stream wait for each other.
    is_blocking: bool,
    /// The operation that it was given last.
    last: Option<Id>,
    /// The capture that it is part of.
    pub(super) capture: Option<u64>,
}

impl Stream {
    pub(super) fn new(context: u64, is_blocking: bool) -> Stream {
        Stream { context, is_blocking, last: None, capture: None }
    }

    pub(super) fn last(&self) -> Option<Id> {
        self.last
    }
}

/// `CU_STREAM_LEGACY`, besides null.
const LEGACY: u64 = 1;
/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: u64 = 2;
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

impl Driver {
    pub(super) fn create_stream(&mut self, flags: u32) -> Status<u64> {
        let context = self.current()?;
        if flags & !NON_BLOCKING != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let handle = self.handle();
        self.streams.insert(handle, Stream::new(context, flags & NON_BLOCKING == 0));
        Ok(handle)
    }

    /// What the stream was given still runs.
    pub(super) fn destroy_stream(&mut self, stream: u64) -> Status<()> {
        self.current()?;
        if !self.streams.contains_key(&stream) || self.contexts.values().any(|context| context.legacy == stream) {
            return Err(Code::INVALID_HANDLE);
        }
        if let Some(capture) = self.streams[&stream].capture {
            self.drop_capture(capture);
        }
        self.streams.remove(&stream);
        Ok(())
    }

    pub(super) fn synchronize_stream(&mut self, stream: u64) -> Status<()> {
        let stream = self.idle_stream(stream)?;
        let last = self.streams[&stream].last;
        self.wait(last.as_slice());
        self.works(self.streams[&stream].context)
    }

    /// Runs one operation that the stream needs, if there is one; so a program that polls comes to an end.
    pub(super) fn query_stream(&mut self, stream: u64) -> Status<()> {
        let stream = self.idle_stream(stream)?;
        let last = self.streams[&stream].last;
        let is_done = self.query(last.as_slice());
        self.works(self.streams[&stream].context)?;
        if is_done { Ok(()) } else { Err(Code::NOT_READY) }
    }

    /// A stream that is not captured, on a thread that may wait.
    fn idle_stream(&mut self, stream: u64) -> Status<u64> {
        self.current()?;
        let stream = self.stream(stream)?;
        if let Some(capture) = self.streams[&stream].capture {
            return Err(self.invalidate(capture, Code::STREAM_CAPTURE_UNSUPPORTED));
        }
        self.no_capture()?;
        Ok(stream)
    }

    pub(super) fn stream_wait(&mut self, stream: u64, event: u64, flags: u32) -> Status<()> {
        self.current()?;
        let stream = self.stream(stream)?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let event = self.events.get(&event).ok_or(Code::INVALID_HANDLE)?.clone();
        if self.streams[&stream].capture.is_some() || event.captured.is_some() {
            return self.captured_wait(stream, &event);
        }
        match event.recorded {
            Some(recorded) if self.waits() => self.give_after(stream, vec![recorded], Work::Join).map(drop),
            _ => Ok(()),
        }
    }

    /// The stream that a handle means.
    pub(super) fn stream(&mut self, stream: u64) -> Status<u64> {
        match stream {
            0 | LEGACY => {
                let current = self.current()?;
                Ok(self.context(current)?.legacy)
            }
            PER_THREAD => Err(self
                .explain(Code::NOT_SUPPORTED, "the simulator does not know the per-thread default stream".to_string())),
            _ if self.streams.contains_key(&stream) => Ok(stream),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    /// The stream that a handle means, if it is of the current context.
    pub(super) fn own_stream(&mut self, stream: u64) -> Status<u64> {
        let (current, stream) = (self.current()?, self.stream(stream)?);
        if self.streams[&stream].context == current { Ok(stream) } else { Err(Code::INVALID_HANDLE) }
    }

    /// Gives work to a stream, or to the graph that it is captured into. The operation, unless it was captured.
    pub(super) fn give(&mut self, stream: u64, work: Work) -> Status<Option<Id>> {
        match self.streams[&stream].capture {
            Some(capture) => self.captured_work(capture, stream, work).map(|()| None),
            None => self.give_after(stream, Vec::new(), work).map(Some),
        }
    }

    /// Gives work that comes after other operations, too, to a stream that is not captured.
    pub(super) fn give_after(&mut self, stream: u64, mut after: Vec<Id>, work: Work) -> Status<Id> {
        self.no_implicit_capture(stream)?;
        after.extend(self.before(stream));
        let context = self.streams[&stream].context;
        let id = self.enqueue(context, stream, after, work);
        self.set_last(stream, id);
        Ok(id)
    }

    pub(super) fn enqueue(&mut self, context: u64, stream: u64, after: Vec<Id>, work: Work) -> Id {
        let pending = after.iter().copied().filter(|id| self.queue.is_pending(*id)).collect();
        let operation = Operation { context, stream, after: pending, work };
        let watched = operation.work.host().filter(|_| self.options.checks);
        let watched = watched.map(|(host, writes)| ((host.clone(), writes), operation.what()));
        let id = self.queue.push(operation);
        self.races.give(id, context, &after);
        if let Some((host, what)) = watched {
            self.watch(id, context, host, what);
        }
        self.clock.give(id, &after);
        if self.options.schedule == Schedule::Eager {
            self.run(&[id]);
        }
        id
    }

    pub(super) fn set_last(&mut self, stream: u64, id: Id) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.last = Some(id);
        }
    }

    /// What work comes after that a stream is given now: its own, and, for blocking streams, the legacy stream's; for
    /// the legacy stream, that of all blocking streams.
    pub(super) fn before(&self, stream: u64) -> Vec<Id> {
        let Stream { context, is_blocking, last, .. } = self.streams[&stream];
        let legacy = self.contexts[&context].legacy;
        if stream == legacy {
            let blocking = self.streams.values().filter(|other| other.context == context && other.is_blocking);
            return blocking.filter_map(|other| other.last).collect();
        }
        let legacy = if is_blocking { self.streams[&legacy].last } else { None };
        last.into_iter().chain(legacy).collect()
    }

    /// Work in the legacy stream would wait for blocking streams, which cannot be while one is captured.
    pub(super) fn no_implicit_capture(&mut self, stream: u64) -> Status<()> {
        let context = self.streams[&stream].context;
        if self.contexts[&context].legacy != stream {
            return Ok(());
        }
        let blocking = self.streams.values().filter(|other| other.context == context && other.is_blocking);
        let captures: Vec<u64> = blocking.filter_map(|other| other.capture).collect();
        for &capture in &captures {
            self.invalidate(capture, Code::STREAM_CAPTURE_IMPLICIT);
        }
        if captures.is_empty() { Ok(()) } else { Err(Code::STREAM_CAPTURE_IMPLICIT) }
    }
}
