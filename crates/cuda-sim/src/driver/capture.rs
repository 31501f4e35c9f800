//! Capture: what streams are given becomes a graph instead of running.

use std::collections::BTreeSet;
use std::thread::ThreadId;

use super::Driver;
use super::error::{Code, Status};
use super::event::Event;
use super::graph::{Graph, Node};
use super::operation::Work;

/// A capture that has begun.
#[derive(Debug)]
pub(super) struct Capture {
    context: u64,
    /// The stream that it began in, and has to end in.
    origin: u64,
    mode: u32,
    thread: ThreadId,
    nodes: Vec<Node>,
    /// For each stream in it, the nodes that what it is given next comes after.
    tails: Vec<(u64, Vec<usize>)>,
    is_valid: bool,
}

/// A point in a captured stream.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) capture: u64,
    after: Vec<usize>,
}

/// Modes: `CU_STREAM_CAPTURE_MODE_GLOBAL` forbids waiting and allocating on every thread, `THREAD_LOCAL` on the one that
/// began, `RELAXED` on none.
const GLOBAL: u32 = 0;
const RELAXED: u32 = 2;

impl Driver {
    pub(super) fn begin_capture(&mut self, stream: u64, mode: u32) -> Status<()> {
        let context = self.current()?;
        let stream = self.own_stream(stream)?;
        if mode > RELAXED {
            return Err(Code::INVALID_VALUE);
        }
        if self.contexts[&context].legacy == stream {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if self.streams[&stream].capture.is_some() {
            return Err(Code::ILLEGAL_STATE);
        }
        let (handle, thread) = (self.handle(), std::thread::current().id());
        let tails = vec![(stream, Vec::new())];
        let capture = Capture { context, origin: stream, mode, thread, nodes: Vec::new(), tails, is_valid: true };
        self.captures.insert(handle, capture);
        self.join_capture(stream, handle);
        Ok(())
    }

    pub(super) fn end_capture(&mut self, stream: u64) -> Status<u64> {
        self.current()?;
        let stream = self.stream(stream)?;
        let handle = self.streams[&stream].capture.ok_or(Code::ILLEGAL_STATE)?;
        let capture = &self.captures[&handle];
        if capture.origin != stream {
            return Err(self.invalidate(handle, Code::STREAM_CAPTURE_UNMATCHED));
        }
        if capture.mode != RELAXED && capture.thread != std::thread::current().id() {
            return Err(self.invalidate(handle, Code::STREAM_CAPTURE_WRONG_THREAD));
        }
        let (is_valid, is_joined) = (capture.is_valid, capture.is_joined());
        let nodes = capture.nodes.clone();
        self.drop_capture(handle);
        match (is_valid, is_joined) {
            (false, _) => Err(Code::STREAM_CAPTURE_INVALIDATED),
            (true, false) => Err(Code::STREAM_CAPTURE_UNJOINED),
            (true, true) => {
                let graph = self.handle();
                self.graphs.insert(graph, Graph::new(nodes));
                Ok(graph)
            }
        }
    }

    /// Takes all streams out of a capture and forgets it.
    pub(super) fn drop_capture(&mut self, capture: u64) {
        self.captures.remove(&capture);
        self.streams.values_mut().filter(|s| s.capture == Some(capture)).for_each(|stream| stream.capture = None);
    }

    pub(super) fn captures_in(&self, context: u64) -> impl Iterator<Item = u64> {
        self.captures.iter().filter(move |(_, capture)| capture.context == context).map(|(handle, _)| *handle)
    }

    /// Makes work in a captured stream a node.
    pub(super) fn captured_work(&mut self, capture: u64, stream: u64, work: Work) -> Status<()> {
        let after = self.point(capture, stream)?.after;
        let context = self.streams[&stream].context;
        let capture = self.captures.get_mut(&capture).ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
        let node = capture.add(Node { context, work, after });
        capture.set_tail(stream, vec![node]);
        Ok(())
    }

    /// Where a captured stream is.
    pub(super) fn point(&self, capture: u64, stream: u64) -> Status<Point> {
        let state = self.captures.get(&capture).filter(|state| state.is_valid);
        let after = state.ok_or(Code::STREAM_CAPTURE_INVALIDATED)?.tail(stream);
        Ok(Point { capture, after })
    }

    /// A wait where the stream or the event is captured. A stream that waits for a captured event joins the capture.
    pub(super) fn captured_wait(&mut self, stream: u64, event: &Event) -> Status<()> {
        let own = self.streams[&stream].capture;
        let Some(point) = &event.captured else {
            return match (own, event.recorded) {
                (Some(capture), Some(_)) => Err(self.invalidate(capture, Code::STREAM_CAPTURE_ISOLATION)),
                _ => Ok(()),
            };
        };
        if own.is_some_and(|own| own != point.capture) {
            self.invalidate(own.unwrap_or_default(), Code::STREAM_CAPTURE_MERGE);
            return Err(self.invalidate(point.capture, Code::STREAM_CAPTURE_MERGE));
        }
        if own.is_none() && self.contexts[&self.streams[&stream].context].legacy == stream {
            return Err(self.invalidate(point.capture, Code::STREAM_CAPTURE_IMPLICIT));
        }
        let capture = self.captures.get_mut(&point.capture).filter(|capture| capture.is_valid);
        let capture = capture.ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
        let mut tail = capture.tail(stream);
        tail.extend(&point.after);
        capture.set_tail(stream, tail);
        self.join_capture(stream, point.capture);
        Ok(())
    }

    /// After a call that is not allowed: the capture gives no graph any more.
    pub(super) fn invalidate(&mut self, capture: u64, code: Code) -> Code {
        let was_valid = self.captures.get_mut(&capture).is_none_or(|capture| std::mem::take(&mut capture.is_valid));
        if was_valid { code } else { Code::STREAM_CAPTURE_INVALIDATED }
    }

    /// Refuses what a capture forbids on this thread: to wait, to allocate, to free.
    pub(super) fn no_capture(&mut self) -> Status<()> {
        let here = std::thread::current().id();
        self.refuse(|capture| match capture.mode {
            GLOBAL => true,
            RELAXED => false,
            _ => capture.thread == here,
        })
    }

    /// Refuses to wait for a context while a stream of it is captured.
    pub(super) fn no_capture_in(&mut self, context: u64) -> Status<()> {
        self.refuse(|capture| capture.context == context)
    }

    fn refuse(&mut self, forbids: impl Fn(&Capture) -> bool) -> Status<()> {
        let forbidding = self.captures.iter().filter(|(_, capture)| forbids(capture));
        let forbidding: Vec<u64> = forbidding.map(|(handle, _)| *handle).collect();
        for &capture in &forbidding {
            self.invalidate(capture, Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if forbidding.is_empty() { Ok(()) } else { Err(Code::STREAM_CAPTURE_UNSUPPORTED) }
    }

    fn join_capture(&mut self, stream: u64, capture: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.capture = Some(capture);
        }
    }
}

impl Capture {
    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn tail(&self, stream: u64) -> Vec<usize> {
        self.tails.iter().find(|(of, _)| *of == stream).map(|(_, tail)| tail.clone()).unwrap_or_default()
    }

    fn set_tail(&mut self, stream: u64, tail: Vec<usize>) {
        self.tails.retain(|(of, _)| *of != stream);
        self.tails.push((stream, tail));
    }

    /// Whether the stream that it began in comes after all work of the others.
    fn is_joined(&self) -> bool {
        let mut before = BTreeSet::new();
        let mut left = self.tail(self.origin);
        while let Some(node) = left.pop() {
            if before.insert(node) {
                left.extend(&self.nodes[node].after);
            }
        }
        self.tails.iter().all(|(_, tail)| tail.iter().all(|node| before.contains(node)))
    }
}
