//! Named cards and their limits.

use std::ffi::CStr;

use super::Driver;
use super::error::{Code, Status};

/// A card, as `cuDeviceGetAttribute` describes it.
#[derive(Debug)]
pub struct Card {
    /// Its name.
    pub name: &'static CStr,
    /// Compute capability: major times 10 plus minor.
    pub capability: u32,
    /// Bytes of memory.
    pub memory: usize,
    /// Most threads of a block in each direction; 1024 in all.
    pub block: [u32; 3],
    /// Most blocks in each direction.
    pub grid: [u32; 3],
    /// Bytes of shared memory of a block that need not be asked for.
    pub shared: usize,
    /// Bytes of shared memory of a block that can be asked for.
    pub shared_opt_in: usize,
    /// Bytes of shared memory of a multiprocessor.
    pub shared_multiprocessor: usize,
    /// Bytes of shared memory that the system takes in each block.
    pub shared_reserved: usize,
    /// Number of multiprocessors.
    pub multiprocessors: u32,
    /// Most threads of a multiprocessor.
    pub threads_multiprocessor: u32,
    /// Most blocks of a multiprocessor.
    pub blocks_multiprocessor: u32,
    /// Attributes that nothing here depends on: number as in `cuda.h`, value.
    attributes: &'static [(u32, i32)],
}

/// Most threads of a block, on every card.
pub(super) const THREADS: u32 = 1024;

/// NVIDIA A100, SXM4, 40 GB.
pub static A100: Card = Card {
    name: c"Simulated A100-SXM4-40GB",
    capability: 80,
    memory: 40 << 30,
    block: [1024, 1024, 64],
    grid: [i32::MAX as u32, 65535, 65535],
    shared: 48 << 10,
    shared_opt_in: 163 << 10,
    shared_multiprocessor: 164 << 10,
    shared_reserved: 1 << 10,
    multiprocessors: 108,
    threads_multiprocessor: 2048,
    blocks_multiprocessor: 32,
    attributes: &[
        (9, 64 << 10),   // constant memory
        (10, 32),        // warp
        (11, i32::MAX),  // pitch
        (12, 65536),     // registers of a block
        (13, 1_410_000), // clock, kHz
        (14, 512),       // alignment of textures
        (15, 1),         // copies beside kernels
        (17, 0),         // time limit of kernels
        (18, 0),         // integrated
        (19, 0),         // mapped host memory: not simulated
        (20, 0),         // compute mode
        (31, 1),         // kernels beside kernels
        (32, 1),         // ECC
        (34, 0),         // PCI device
        (35, 0),         // TCC
        (36, 1_215_000), // memory clock, kHz
        (37, 5120),      // memory bus, bits
        (38, 40 << 20),  // second cache
        (40, 3),         // copy engines
        (41, 1),         // one address space
        (50, 0),         // PCI domain
        (78, 1),         // priorities of streams
        (82, 65536),     // registers of a multiprocessor
        (83, 0),         // managed memory: not simulated
        (95, 0),         // cooperative launch: not simulated
    ],
};

impl Card {
    /// The value of an attribute, if the card's row has it.
    pub fn attribute(&self, attribute: u32) -> Option<i32> {
        let value = match attribute {
            1 => THREADS,
            2..=4 => self.block[attribute as usize - 2],
            5..=7 => self.grid[attribute as usize - 5],
            8 => self.shared as u32,
            16 => self.multiprocessors,
            39 => self.threads_multiprocessor,
            75 => self.capability / 10,
            76 => self.capability % 10,
            81 => self.shared_multiprocessor as u32,
            97 => self.shared_opt_in as u32,
            106 => self.blocks_multiprocessor,
            111 => self.shared_reserved as u32,
            _ => return self.attributes.iter().find(|(number, _)| *number == attribute).map(|(_, value)| *value),
        };
        i32::try_from(value).ok()
    }

    /// Blocks that a multiprocessor holds at once, as far as threads and shared memory decide: the simulator knows no
    /// count of registers.
    pub(super) fn occupancy(&self, threads: u32, shared_bytes: usize) -> u32 {
        let by_threads = self.threads_multiprocessor / threads.next_multiple_of(32).max(32);
        let by_shared = self.shared_multiprocessor / (shared_bytes + self.shared_reserved);
        by_threads.min(by_shared as u32).min(self.blocks_multiprocessor)
    }
}

impl Driver {
    pub(super) fn device_count(&self) -> Status<i32> {
        self.initialised()?;
        Ok(self.devices.len() as i32)
    }

    /// Checks a device's number.
    pub(super) fn device(&self, ordinal: i32) -> Status<i32> {
        self.initialised()?;
        match usize::try_from(ordinal) {
            Ok(index) if index < self.devices.len() => Ok(ordinal),
            _ => Err(Code::INVALID_DEVICE),
        }
    }

    pub(super) fn device_attribute(&mut self, attribute: u32, device: i32) -> Status<i32> {
        self.device(device)?;
        let card = self.options.card;
        // The PCI bus, so that devices differ.
        let value = if attribute == 33 { Some(device) } else { card.attribute(attribute) };
        value.ok_or_else(|| {
            self.explain(Code::INVALID_VALUE, format!("the simulator does not know the device attribute {attribute}"))
        })
    }

    pub(super) fn can_access_peer(&self, device: i32, peer: i32) -> Status<i32> {
        Ok(i32::from(self.device(device)? != self.device(peer)?))
    }
}
