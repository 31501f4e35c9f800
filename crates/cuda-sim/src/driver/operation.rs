//! What an operation does when its turn comes.

use std::sync::Arc;

use super::Driver;
use super::error::Code;
use super::launch::Launch;
use super::pinned::HostBytes;
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
    /// The pinned memory that it uses.
    pub(super) fn host(&self) -> Option<&HostBytes> {
        match self {
            Work::Upload { from: Source::Pinned(host), .. } | Work::Download { to: host, .. } => Some(host),
            _ => None,
        }
    }
}

impl Driver {
    /// Runs operations until all of `targets` are done.
    pub(super) fn run(&mut self, targets: &[Id]) {
        while self.step(targets) {}
    }

    /// Runs one operation towards `targets`; false when they are done.
    pub(super) fn step(&mut self, targets: &[Id]) -> bool {
        let Some(operation) = self.queue.take(targets) else { return false };
        // A context with a fault, or one that has ended, does nothing more.
        if self.works(operation.context).is_ok()
            && let Err((code, text)) = self.execute(&operation)
        {
            self.report(text);
            if let Some(context) = self.contexts.get_mut(&operation.context) {
                context.fault = Some(code);
            }
        }
        true
    }

    fn execute(&mut self, operation: &Operation) -> Result<(), (Code, String)> {
        let at_fault = |what: String| move |error: MemoryError| (Code::ILLEGAL_ADDRESS, format!("{what}: {error}"));
        match &operation.work {
            Work::Join => Ok(()),
            Work::Launch(launch) => self.run_launch(operation.context, launch),
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
        }
    }
}
