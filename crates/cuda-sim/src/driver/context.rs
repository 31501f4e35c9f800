//! Devices' primary contexts, other contexts, which one is current, and peers.

use std::collections::{BTreeMap, BTreeSet};

use super::Driver;
use super::error::{Code, Status};
use super::stream::Stream;

/// A device.
#[derive(Debug)]
pub(super) struct Device {
    /// Handle of its primary context, which comes and goes.
    primary: u64,
    retained: u32,
    /// Bytes allocated.
    pub(super) used: usize,
    /// Launches, copies and fills that it has run.
    pub(super) work: u64,
}

/// A context that exists.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) device: i32,
    /// The code of its first fault. Nothing of it runs after one.
    pub(super) fault: Option<Code>,
    /// Its legacy default stream.
    pub(super) legacy: u64,
    /// Contexts whose memory its kernels may touch.
    peers: BTreeSet<u64>,
    /// Bytes of each allocation.
    pub(super) allocations: BTreeMap<u64, usize>,
}

impl Device {
    pub(super) fn new(primary: u64) -> Device {
        Device { primary, retained: 0, used: 0, work: 0 }
    }
}

impl Driver {
    pub(super) fn retain_primary(&mut self, device: i32) -> Status<u64> {
        let index = self.device(device)? as usize;
        let primary = self.devices[index].primary;
        if self.devices[index].retained == 0 {
            self.begin(primary, device);
        }
        self.devices[index].retained += 1;
        Ok(primary)
    }

    pub(super) fn release_primary(&mut self, device: i32) -> Status<()> {
        let index = self.device(device)? as usize;
        let retained = self.devices[index].retained.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
        self.devices[index].retained = retained;
        if retained == 0 {
            self.end(self.devices[index].primary);
        }
        Ok(())
    }

    pub(super) fn reset_primary(&mut self, device: i32) -> Status<()> {
        let index = self.device(device)? as usize;
        if std::mem::take(&mut self.devices[index].retained) > 0 {
            self.end(self.devices[index].primary);
        }
        Ok(())
    }

    pub(super) fn create_context(&mut self, flags: u32, device: i32) -> Status<u64> {
        self.device(device)?;
        // How the host waits (bits 0 to 2), and what mapping and resizing mean (3 and 4): no matter here.
        if flags & !0x1f != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let context = self.handle();
        self.begin(context, device);
        self.stack().push(context);
        Ok(context)
    }

    pub(super) fn destroy_context(&mut self, context: u64) -> Status<()> {
        self.context(context)?;
        if self.devices.iter().any(|device| device.primary == context) {
            return Err(Code::INVALID_CONTEXT);
        }
        self.end(context);
        self.ended.insert(context);
        let stack = self.stack();
        if stack.last() == Some(&context) {
            stack.pop();
        }
        Ok(())
    }

    pub(super) fn push_context(&mut self, context: u64) -> Status<()> {
        self.context(context)?;
        self.stack().push(context);
        Ok(())
    }

    pub(super) fn pop_context(&mut self) -> Status<u64> {
        self.stack().pop().ok_or(Code::INVALID_CONTEXT)
    }

    /// Replaces the top of the stack; 0 takes it away.
    pub(super) fn set_current(&mut self, context: u64) -> Status<()> {
        if context != 0 {
            self.context(context)?;
        }
        self.stack().pop();
        if context != 0 {
            self.stack().push(context);
        }
        Ok(())
    }

    /// The current context, or 0.
    pub(super) fn get_current(&mut self) -> u64 {
        self.stack().last().copied().unwrap_or(0)
    }

    pub(super) fn current_device(&mut self) -> Status<i32> {
        let current = self.get_current();
        self.context(current).map(|context| context.device)
    }

    /// The current context, if it can work.
    pub(super) fn current(&mut self) -> Status<u64> {
        let current = self.get_current();
        self.works(current).map(|()| current)
    }

    /// Whether a context exists and has no fault.
    pub(super) fn works(&self, context: u64) -> Status<()> {
        self.context(context)?.fault.map_or(Ok(()), Err)
    }

    pub(super) fn context(&self, context: u64) -> Status<&Context> {
        let was = || self.ended.contains(&context) || self.devices.iter().any(|device| device.primary == context);
        self.contexts.get(&context).ok_or_else(|| match was() {
            true => Code::CONTEXT_IS_DESTROYED,
            false => Code::INVALID_CONTEXT,
        })
    }

    pub(super) fn enable_peer(&mut self, peer: u64, flags: u32) -> Status<()> {
        let current = self.current()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if self.context(peer)?.device == self.context(current)?.device {
            return Err(Code::INVALID_CONTEXT);
        }
        let is_new = self.contexts.get_mut(&current).is_some_and(|context| context.peers.insert(peer));
        if is_new { Ok(()) } else { Err(Code::PEER_ACCESS_ALREADY_ENABLED) }
    }

    pub(super) fn disable_peer(&mut self, peer: u64) -> Status<()> {
        let current = self.current()?;
        self.context(peer)?;
        let was_there = self.contexts.get_mut(&current).is_some_and(|context| context.peers.remove(&peer));
        if was_there { Ok(()) } else { Err(Code::PEER_ACCESS_NOT_ENABLED) }
    }

    /// The devices whose memory a context's kernels may touch besides its own, a bit each.
    pub(super) fn peers(&self, context: &Context) -> u64 {
        let devices = context.peers.iter().filter_map(|peer| self.contexts.get(peer)).map(|peer| peer.device);
        devices.fold(0, |bits, device| bits | 1 << device)
    }

    pub(super) fn synchronize_context(&mut self) -> Status<()> {
        let current = self.current()?;
        self.no_capture()?;
        self.no_capture_in(current)?;
        self.finish(current);
        self.works(current)
    }

    fn stack(&mut self) -> &mut Vec<u64> {
        self.current.entry(std::thread::current().id()).or_default()
    }

    fn begin(&mut self, handle: u64, device: i32) {
        let legacy = self.handle();
        self.streams.insert(legacy, Stream::new(handle, true));
        let (peers, allocations) = (BTreeSet::new(), BTreeMap::new());
        self.contexts.insert(handle, Context { device, fault: None, legacy, peers, allocations });
    }

    /// Waits for all that a context was given.
    fn finish(&mut self, context: u64) {
        let targets = self.races.open(context);
        self.wait(&targets);
    }

    /// Ends a context and all that belongs to it.
    fn end(&mut self, handle: u64) {
        self.finish(handle);
        let captures: Vec<u64> = self.captures_in(handle).collect();
        captures.into_iter().for_each(|capture| self.drop_capture(capture));
        let modules = self.modules.iter().filter(|(_, module)| module.context == handle);
        let modules: Vec<u64> = modules.map(|(module, _)| *module).collect();
        modules.into_iter().for_each(|module| self.drop_module(module));
        self.streams.retain(|_, stream| stream.context != handle);
        self.events.retain(|_, event| event.context != handle);
        let Some(context) = self.contexts.remove(&handle) else { return };
        for other in self.contexts.values_mut() {
            other.peers.remove(&handle);
        }
        for (address, bytes) in &context.allocations {
            self.forget(context.device, *address, *bytes);
        }
        // After a fault a program cannot free: cuMemFree only returns the fault.
        if context.fault.is_none() && !context.allocations.is_empty() {
            let sizes: Vec<usize> = context.allocations.values().copied().collect();
            let shown = sizes.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = if sizes.len() > 8 { ", ..." } else { "" };
            self.report(format!(
                "a context of device {} ends and {} allocations were never freed: {} bytes ({shown}{more})",
                context.device,
                sizes.len(),
                sizes.iter().sum::<usize>(),
            ));
        }
    }
}
