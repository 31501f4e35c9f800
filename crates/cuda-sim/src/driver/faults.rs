//! Faults of the machine that are planted on request.

use super::Driver;
use crate::MemoryError;

impl Driver {
    /// Copies between or within devices, as the links do it: a corrupt one turns a bit of the last byte over.
    pub(super) fn carry(&self, to: u64, from: u64, bytes: usize) -> Result<(), MemoryError> {
        self.memory.copy(to, from, bytes)?;
        let Some((sender, receiver)) = self.options.corrupt_link else { return Ok(()) };
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
}
