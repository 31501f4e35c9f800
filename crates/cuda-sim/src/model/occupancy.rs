//! How many blocks an SM holds at a time.

use super::Card;
use crate::ptx::Kernel;

/// Registers are given to a warp in units of so many.
const REGISTER_UNIT: u32 = 256;
/// Shared memory is given to a block in units of so many bytes.
const SHARED_UNIT: u32 = 128;
/// Bytes of shared memory that the system takes of each block.
const SHARED_RESERVED: u32 = 1024;

/// What a block needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Threads.
    pub threads: u32,
    /// Registers of a thread, as `ptxas -v` reports them.
    pub registers: u32,
    /// Bytes of shared memory, static and dynamic.
    pub shared_bytes: u32,
}

/// Blocks on an SM, and why not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Blocks that are resident together; 0 when a block does not fit at all.
    pub blocks: u32,
    /// What there is not enough of for another one.
    pub scarce: Scarce,
}

/// What limits the number of blocks on an SM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Places for threads.
    Threads,
    /// Registers.
    Registers,
    /// Shared memory.
    Shared,
    /// Places for blocks.
    Blocks,
}

impl Needs {
    /// Where nobody asked `ptxas`: as many registers as are alive at once in the PTX, and at most as many as let as many
    /// blocks onto an SM as the kernel's bounds want. It is more than `ptxas` takes.
    pub fn estimate(kernel: &Kernel, threads: u32, dynamic_shared: u32) -> Needs {
        let most = 65536 / (threads.next_multiple_of(32) * kernel.bounds.min_blocks.unwrap_or(1)).max(1) / 8 * 8;
        let registers = kernel.live_registers().clamp(16, most.clamp(16, 255));
        Needs { threads, registers, shared_bytes: kernel.shared_bytes as u32 + dynamic_shared }
    }

    /// Blocks that an SM of `card` holds; among equal limits the first of [`Scarce`] is named.
    pub fn occupancy(&self, card: &Card) -> Occupancy {
        let warps = self.threads.div_ceil(32).max(1);
        let limits = [
            (card.threads / 32 / warps, Scarce::Threads),
            (self.by_registers(card, warps), Scarce::Registers),
            (card.shared_bytes / (self.shared_bytes + SHARED_RESERVED).next_multiple_of(SHARED_UNIT), Scarce::Shared),
            (card.blocks, Scarce::Blocks),
        ];
        let first = limits[0];
        let (blocks, scarce) =
            limits.into_iter().fold(first, |least, next| if next.0 < least.0 { next } else { least });
        Occupancy { blocks, scarce }
    }

    /// Each scheduler has a part of the registers, for its own warps.
    fn by_registers(&self, card: &Card, warps: u32) -> u32 {
        let warp = (self.registers * 32).next_multiple_of(REGISTER_UNIT).max(REGISTER_UNIT);
        card.registers / card.schedulers / warp * card.schedulers / warps
    }
}

#[cfg(test)]
mod tests {
    use super::super::{A100, H100, RTX_4090};
    use super::*;

    fn occupancy(card: &Card, threads: u32, registers: u32, shared_bytes: u32) -> (u32, Scarce) {
        let Occupancy { blocks, scarce } = Needs { threads, registers, shared_bytes }.occupancy(card);
        (blocks, scarce)
    }

    /// Values of NVIDIA's occupancy calculator's formulas, worked out by hand.
    #[test]
    fn blocks_are_those_of_the_calculator() {
        // 64 warps of 1024 registers are all that there are: full in both.
        assert_eq!(occupancy(&A100, 256, 32, 0), (8, Scarce::Threads));
        // A warp takes 4096 of its scheduler's 16384 registers: 16 warps.
        assert_eq!(occupancy(&A100, 256, 128, 0), (2, Scarce::Registers));
        // 33 registers are 1056, given as 1280: 12 warps a scheduler, 48 in all, and a block has 32.
        assert_eq!(occupancy(&A100, 1024, 33, 0), (1, Scarce::Registers));
        // 255 registers: two warps a scheduler.
        assert_eq!(occupancy(&A100, 256, 255, 0), (1, Scarce::Registers));
        assert_eq!(occupancy(&A100, 512, 255, 0), (0, Scarce::Registers));
        // 48 KiB and the reserved one: 3.3 of them in 164, 4.6 in 228, 2.04 in 100.
        assert_eq!(occupancy(&A100, 128, 32, 48 << 10), (3, Scarce::Shared));
        assert_eq!(occupancy(&H100, 128, 32, 48 << 10), (4, Scarce::Shared));
        assert_eq!(occupancy(&RTX_4090, 128, 32, 48 << 10), (2, Scarce::Shared));
        // The most that a block may have: one of them fits, and a byte more does not.
        assert_eq!(occupancy(&A100, 128, 32, 163 << 10), (1, Scarce::Shared));
        assert_eq!(occupancy(&A100, 128, 32, (163 << 10) + 1), (0, Scarce::Shared));
        // A block of one warp: 32 places, 24 on the small card, whose threads are 1536.
        assert_eq!(occupancy(&A100, 32, 16, 0), (32, Scarce::Blocks));
        assert_eq!(occupancy(&RTX_4090, 32, 16, 0), (24, Scarce::Blocks));
        assert_eq!(occupancy(&RTX_4090, 256, 16, 0), (6, Scarce::Threads));
    }
}
