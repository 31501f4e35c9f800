//! Copies and fills: which of them block, and when the host's side is read.

use super::Driver;
use super::error::{Code, Status};
use super::operation::{Source, Work};
use super::races::Access;

impl Driver {
    /// Pageable memory is read now, pinned memory when the copy runs.
    pub(super) fn upload_async(&mut self, to: u64, from: &[u8], stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        self.check_range(to, from.len())?;
        let source = match self.host_bytes(from.as_ptr().addr() as u64, from.len()) {
            Some(host) => Source::Pinned(host),
            None => {
                self.no_pageable_capture(stream)?;
                Source::Staged(from.into())
            }
        };
        self.give(stream, Work::Upload { to, from: source }).map(drop)
    }

    /// From pageable memory it returns when it has read the bytes, from pinned memory when the device has them.
    pub(super) fn upload(&mut self, to: u64, from: &[u8]) -> Status<()> {
        let stream = self.blocking()?;
        self.check_range(to, from.len())?;
        let pinned = self.host_bytes(from.as_ptr().addr() as u64, from.len());
        let before = self.before(stream);
        self.wait(&before);
        if let Some(host) = &pinned {
            let context = self.current()?;
            self.host_reads(context, "cuMemcpyHtoD", &host.range());
            self.current()?;
        }
        let copy = self.give_after(stream, Vec::new(), Work::Upload { to, from: Source::Staged(from.into()) })?;
        if pinned.is_some() {
            self.wait(&[copy]);
        }
        self.current().map(drop)
    }

    /// To pageable memory it blocks, to pinned memory it does not.
    pub(super) fn download_async(&mut self, to: &mut [u8], from: u64, stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        self.check_range(from, to.len())?;
        match self.host_bytes(to.as_ptr().addr() as u64, to.len()) {
            Some(host) => self.give(stream, Work::Download { to: host, from }).map(drop),
            None => {
                self.no_pageable_capture(stream)?;
                self.no_capture()?;
                self.download_now(to, from, stream)
            }
        }
    }

    pub(super) fn download(&mut self, to: &mut [u8], from: u64) -> Status<()> {
        let stream = self.blocking()?;
        self.check_range(from, to.len())?;
        self.download_now(to, from, stream)
    }

    /// Within a device or between two; does not block.
    pub(super) fn copy(&mut self, to: u64, from: u64, bytes: usize, stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        self.check_range(to, bytes)?;
        self.check_range(from, bytes)?;
        self.give(stream, Work::Copy { to, from, bytes }).map(drop)
    }

    /// In order with all that both contexts were given, before and after; does not block.
    pub(super) fn copy_peer(&mut self, to: (u64, u64), from: (u64, u64), bytes: usize) -> Status<()> {
        self.blocking()?;
        self.check_range(to.1, bytes)?;
        self.check_range(from.1, bytes)?;
        let streams = [self.context(to.0)?.legacy, self.context(from.0)?.legacy];
        for stream in streams {
            self.no_implicit_capture(stream)?;
        }
        let after = streams.iter().flat_map(|stream| self.before(*stream)).collect();
        let work = Work::Copy { to: to.1, from: from.1, bytes };
        let copy = self.enqueue(self.streams[&streams[0]].context, streams[0], after, work);
        streams.into_iter().for_each(|stream| self.set_last(stream, copy));
        Ok(())
    }

    /// [`Driver::copy`] between contexts that are named.
    pub(super) fn copy_peer_async(
        &mut self,
        to: (u64, u64),
        from: (u64, u64),
        bytes: usize,
        stream: u64,
    ) -> Status<()> {
        self.context(to.0)?;
        self.context(from.0)?;
        let (to, from) = self.directed(to.1, from.1, bytes);
        self.copy(to, from, bytes, stream)
    }

    /// Fills `count` places of `width` bytes; does not block.
    pub(super) fn fill(&mut self, to: u64, value: u32, width: usize, count: usize, stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        let bytes = count.checked_mul(width).ok_or(Code::INVALID_VALUE)?;
        if !to.is_multiple_of(width as u64) {
            let text = format!("a fill of {width} byte values at {to:#x}, which is not a multiple of {width}");
            return Err(self.explain(Code::INVALID_VALUE, text));
        }
        self.check_range(to, bytes)?;
        let pattern = if width == 1 { [value as u8; 4] } else { value.to_le_bytes() };
        self.give(stream, Work::Fill { to, pattern, bytes }).map(drop)
    }

    /// Tells of bytes that go to the host and that nobody wrote.
    pub(super) fn note_unwritten(&mut self, from: u64, bytes: usize) {
        if self.options.checks && self.memory.is_written(from, bytes) == Ok(false) {
            self.report(format!("a copy of {bytes} bytes from {from:#x} to the host: nobody wrote some of them"));
        }
    }

    fn download_now(&mut self, to: &mut [u8], from: u64, stream: u64) -> Status<()> {
        let point = self.give_after(stream, Vec::new(), Work::Join)?;
        self.run(&[point]);
        let context = self.current()?;
        self.note_unwritten(from, to.len());
        self.memory.read(from, to).map_err(|error| self.explain(Code::INVALID_VALUE, error.to_string()))?;
        if self.options.checks {
            let host = self.host_bytes(to.as_ptr().addr() as u64, to.len());
            let mut accesses = vec![Access::device(from, to.len(), false)];
            accesses.extend(host.map(|host| Access::host(&host, true)));
            let what = format!("a blocking copy of {} bytes to the host in stream {stream:#x}", to.len());
            self.ran(point, context, &what, &accesses);
        }
        self.wait(&[point]);
        self.current().map(drop)
    }

    /// The current context's legacy stream, for a call that may block.
    fn blocking(&mut self) -> Status<u64> {
        self.current()?;
        self.no_capture()?;
        let stream = self.stream(0)?;
        self.no_implicit_capture(stream)?;
        Ok(stream)
    }

    fn check_range(&mut self, address: u64, bytes: usize) -> Status<()> {
        if bytes == 0 {
            return Ok(());
        }
        let checked = self.memory.check(address, bytes);
        checked.map_err(|error| self.explain(Code::INVALID_VALUE, error.to_string()))
    }

    fn no_pageable_capture(&mut self, stream: u64) -> Status<()> {
        let Some(capture) = self.streams[&stream].capture else { return Ok(()) };
        let text = "the simulator captures copies of pinned memory only, this is pageable".to_string();
        self.explain(Code::NOT_SUPPORTED, text);
        Err(self.invalidate(capture, Code::NOT_SUPPORTED))
    }
}
