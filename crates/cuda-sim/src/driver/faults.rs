//! Faults of the machine that are planted on request, so that it can be tested what a program makes of them.

use super::Driver;
use super::error::Code;
use super::operation::Work;
use super::schedule::{Id, Operation};
use crate::MemoryError;

/// What is planted: nothing by default. Work is counted per device: launches, copies and fills, in the order in which
/// they run. Waits and copies between devices are counted over the machine, in the order of the calls, from 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A sender and a receiver between which copies arrive with a wrong bit.
    pub corrupt_link: Option<(u32, u32)>,
    /// A device, and how much work it does before it is lost: every later call says so.
    pub lost: Option<(u32, u64)>,
    /// A device, and how much work it does before it does nothing more, and says nothing.
    pub silent: Option<(u32, u64)>,
    /// A `cuStreamWaitEvent` for a recorded event that has no effect.
    pub ignored_wait: Option<u64>,
    /// A `cuMemcpyPeerAsync` that copies from its target to its source.
    pub reversed_copy: Option<u64>,
}

/// What has been counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waits of streams for recorded events.
    pub waits: u64,
    /// Copies between devices.
    pub peer_copies: u64,
    /// Their bytes.
    pub peer_bytes: u64,
}

impl Driver {
    /// Copies between or within devices, as the links do it: a corrupt one turns a bit of the last byte over.
    pub(super) fn carry(&self, to: u64, from: u64, bytes: usize) -> Result<(), MemoryError> {
        self.memory.copy(to, from, bytes)?;
        let Some((sender, receiver)) = self.options.faults.corrupt_link else { return Ok(()) };
        if bytes == 0 || self.device_of(from) != Some(sender) || self.device_of(to) != Some(receiver) {
            return Ok(());
        }
        let (last, mut byte) = (to + bytes as u64 - 1, [0]);
        self.memory.read(last, &mut byte)?;
        self.memory.write(last, &[byte[0] ^ 1])
    }

    /// The device whose memory an address is in.
    fn device_of(&self, address: u64) -> Option<u32> {
        let holds = |(base, bytes, _): &(u64, usize, u32)| (*base..base + *bytes as u64).contains(&address);
        self.memory.allocations().into_iter().find(holds).map(|(_, _, device)| device)
    }

    /// Counts a wait; whether it has an effect.
    pub(super) fn waits(&mut self) -> bool {
        let number = self.counts.waits;
        self.counts.waits += 1;
        self.options.faults.ignored_wait != Some(number)
    }

    /// Counts a copy between devices, and gives its target and its source.
    pub(super) fn directed(&mut self, to: u64, from: u64, bytes: usize) -> (u64, u64) {
        let number = self.counts.peer_copies;
        self.counts.peer_copies += 1;
        self.counts.peer_bytes += bytes as u64;
        if self.options.faults.reversed_copy == Some(number) { (from, to) } else { (to, from) }
    }

    /// Counts an operation that is about to run. A device that is lost now has a fault; from one that falls silent the
    /// operation comes back, to wait for ever.
    pub(super) fn count(&mut self, id: Id, operation: Operation) -> Option<Operation> {
        let Some(context) = self.contexts.get_mut(&operation.context) else { return Some(operation) };
        if context.fault.is_some() || matches!(operation.work, Work::Join) {
            return Some(operation);
        }
        let device = &mut self.devices[context.device as usize];
        let at = (context.device as u32, device.work);
        device.work += 1;
        if self.options.faults.lost == Some(at) {
            context.fault = Some(Code::ECC_UNCORRECTABLE);
            self.report(format!("device {} is lost, as planted", at.0));
        }
        if self.options.faults.silent == Some(at) {
            self.queue.silence(id, operation);
            return None;
        }
        Some(operation)
    }

    /// The program waits, without a way out, for devices that are silent: they get a fault instead.
    pub(super) fn end_silence(&mut self) {
        for context in self.queue.end_silence() {
            let device = self.contexts.get(&context).map_or(0, |context| context.device);
            self.report(format!("a call waits for device {device}, which has fallen silent: it would never return"));
            if let Some(context) = self.contexts.get_mut(&context) {
                context.fault = Some(Code::LAUNCH_TIMEOUT);
            }
        }
    }
}
