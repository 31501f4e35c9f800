//! Device memory: allocating and freeing.

use super::Driver;
use super::error::{Code, Status};

/// Allocations take whole units of this many bytes from the card.
const UNIT: usize = 512;

impl Driver {
    pub(super) fn alloc(&mut self, bytes: usize) -> Status<u64> {
        let current = self.current()?;
        self.no_capture()?;
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let device = self.context(current)?.device;
        let total = self.options.card.memory;
        let used = &mut self.devices[device as usize].used;
        let after = bytes.checked_next_multiple_of(UNIT).and_then(|bytes| used.checked_add(bytes));
        let Some(after) = after.filter(|after| *after <= total) else {
            let text = format!("{bytes} bytes do not fit on device {device}: {used} of {total} are in use");
            return Err(self.explain(Code::OUT_OF_MEMORY, text));
        };
        *used = after;
        let address = self.memory.alloc(device as u32, bytes);
        if let Some(context) = self.contexts.get_mut(&current) {
            context.allocations.insert(address, bytes);
        }
        Ok(address)
    }

    /// Frees at once: what is pending finds the memory gone.
    pub(super) fn free(&mut self, address: u64) -> Status<()> {
        let current = self.current()?;
        self.no_capture()?;
        if address == 0 {
            return Ok(());
        }
        let owner = self.contexts.values_mut().find_map(|context| {
            let bytes = context.allocations.remove(&address)?;
            Some((context.device, bytes))
        });
        match owner {
            Some((device, bytes)) => {
                self.host_frees(current, address, bytes);
                self.forget(device, address, bytes);
                Ok(())
            }
            None => {
                let why = self.memory.check(address, 1).err().map_or("not from cuMemAlloc".into(), |e| e.to_string());
                Err(self.explain(Code::INVALID_VALUE, format!("cuMemFree of {address:#x}: {why}")))
            }
        }
    }

    /// Gives an allocation back to the card.
    pub(super) fn forget(&mut self, device: i32, address: u64, bytes: usize) {
        // The address is one that `Memory::alloc` gave, and was not freed.
        let freed = self.memory.free(address);
        debug_assert_eq!(freed, Ok(()));
        self.races.forget(false, address..address + bytes as u64);
        self.devices[device as usize].used -= bytes.next_multiple_of(UNIT);
    }

    /// Free and total bytes of the current device.
    pub(super) fn memory_info(&mut self) -> Status<(usize, usize)> {
        let current = self.current()?;
        let device = self.context(current)?.device;
        let total = self.options.card.memory;
        Ok((total - self.devices[device as usize].used, total))
    }
}
