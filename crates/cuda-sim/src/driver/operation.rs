//! What an operation does when its turn comes.

use std::sync::Arc;

use super::Driver;
use super::error::Code;
use super::launch::Launch;
use super::pinned::HostBytes;
use super::races::Access;
use super::schedule::{Id, Operation};
use crate::MemoryError;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Nothing: a point in the order.
    Join,
    Launch(Arc<Launch>),
    /// From the host to a device.
    Upload {
        to: u64,
        from: Source,
    },
    /// From a device to pinned memory.
    Download {
        to: HostBytes,
        from: u64,
    },
    /// Between or within devices.
    Copy {
        to: u64,
        from: u64,
        bytes: usize,
    },
    /// A pattern of as many bytes as memory starts at multiples of.
    Fill {
        to: u64,
        pattern: [u8; 4],
        bytes: usize,
    },
}

/// The host's side of an upload.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Bytes that were taken at the call.
    Staged(Arc<[u8]>),
    /// Memory that is read when the copy runs.
    Pinned(HostBytes),
}

impl Work {
    /// The pinned memory that it uses, and whether it writes it.
    pub(super) fn host(&self) -> Option<(&HostBytes, bool)> {
        match self {
            Work::Upload { from: Source::Pinned(host), .. } => Some((host, false)),
            Work::Download { to: host, .. } => Some((host, true)),
            _ => None,
        }
    }

    /// What it touches, unless it is a launch: that is known when it has run.
    fn accesses(&self) -> Vec<Access> {
        match self {
            Work::Join | Work::Launch(_) => Vec::new(),
            Work::Upload { to, from: Source::Staged(bytes) } => vec![Access::device(*to, bytes.len(), true)],
            Work::Upload { to, from: Source::Pinned(host) } => {
                vec![Access::host(host, false), Access::device(*to, host.len(), true)]
            }
            Work::Download { to, from } => vec![Access::device(*from, to.len(), false), Access::host(to, true)],
            Work::Copy { to, from, bytes } => {
                vec![Access::device(*from, *bytes, false), Access::device(*to, *bytes, true)]
            }
            Work::Fill { to, bytes, .. } => vec![Access::device(*to, *bytes, true)],
        }
    }
}

impl Operation {
    /// Its name in reports.
    pub(super) fn what(&self) -> String {
        let what = match &self.work {
            Work::Join => "a point".to_string(),
            Work::Launch(launch) => format!("kernel {}", launch.name()),
            Work::Upload { from: Source::Staged(bytes), .. } => {
                format!("a copy of {} bytes from pageable memory", bytes.len())
            }
            Work::Upload { from: Source::Pinned(host), .. } => format!("a copy of {} bytes from the host", host.len()),
            Work::Download { to, .. } => format!("a copy of {} bytes to the host", to.len()),
            Work::Copy { bytes, .. } => format!("a copy of {bytes} bytes between devices or within one"),
            Work::Fill { bytes, .. } => format!("a fill of {bytes} bytes"),
        };
        format!("{what} in stream {:#x}", self.stream)
    }
}

impl Driver {
    /// Runs operations until all of `targets` are done.
    pub(super) fn run(&mut self, targets: &[Id]) {
        while self.step(targets) {}
        if self.is_pending(targets) {
            self.end_silence();
            while self.step(targets) {}
        }
        self.clock.waited(targets);
    }

    fn is_pending(&self, targets: &[Id]) -> bool {
        targets.iter().any(|target| self.queue.is_pending(*target))
    }

    /// Runs one operation that `targets` need; true, and the host knows, when there was none left.
    pub(super) fn query(&mut self, targets: &[Id]) -> bool {
        let is_done = !self.step(targets) && !self.is_pending(targets);
        if is_done {
            self.wait(targets);
        }
        is_done
    }

    /// Runs one operation towards `targets`; false when they are done, or wait for a silent device.
    pub(super) fn step(&mut self, targets: &[Id]) -> bool {
        let Some((id, operation)) = self.queue.take(targets) else { return false };
        let Some(operation) = self.count(id, operation) else { return true };
        self.tick(id, &operation);
        let host = operation.work.host().map(|(host, _)| host.range());
        host.iter().for_each(|host| self.before_copy(host));
        // A context with a fault, or one that has ended, does nothing more.
        if self.works(operation.context).is_ok() {
            match self.execute(&operation) {
                Ok(launched) if self.options.checks => {
                    let accesses = operation.work.accesses().into_iter().chain(launched).collect::<Vec<_>>();
                    self.ran(id, operation.context, &operation.what(), &accesses);
                }
                Ok(_) => {}
                Err((code, text)) => {
                    self.report(text);
                    if let Some(context) = self.contexts.get_mut(&operation.context) {
                        context.fault = Some(code);
                    }
                }
            }
        }
        host.iter().for_each(|host| self.after_copy(host));
        true
    }

    /// Does it; what a launch touched.
    fn execute(&mut self, operation: &Operation) -> Result<Vec<Access>, (Code, String)> {
        let at_fault = |what: String| move |error: MemoryError| (Code::ILLEGAL_ADDRESS, format!("{what}: {error}"));
        match &operation.work {
            Work::Join => Ok(()),
            Work::Launch(launch) => return self.run_launch(operation.context, launch),
            Work::Upload { to, from } => {
                let write = |bytes: &[u8]| {
                    let what = format!("a copy of {} bytes from the host to {to:#x}", bytes.len());
                    self.memory.write(*to, bytes).map_err(at_fault(what))
                };
                match from {
                    Source::Staged(bytes) => write(bytes),
                    Source::Pinned(host) => host.with(|bytes| write(bytes)),
                }
            }
            Work::Download { to, from } => {
                let what = format!("a copy of {} bytes from {from:#x} to the host", to.len());
                self.note_unwritten(*from, to.len());
                to.with(|bytes| self.memory.read(*from, bytes)).map_err(at_fault(what))
            }
            Work::Copy { to, from, bytes } => {
                let what = format!("a copy of {bytes} bytes from {from:#x} to {to:#x}");
                self.carry(*to, *from, *bytes).map_err(at_fault(what))
            }
            Work::Fill { to, pattern, bytes } => {
                let what = format!("a fill of {bytes} bytes at {to:#x}");
                let values: Vec<u8> = pattern.iter().copied().cycle().take(*bytes).collect();
                self.memory.write(*to, &values).map_err(at_fault(what))
            }
        }?;
        Ok(Vec::new())
    }
}
