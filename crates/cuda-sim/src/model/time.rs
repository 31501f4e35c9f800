//! Predicted time of a launch, and what limits it.

use super::{Card, Occupancy};

/// What a launch does, as counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Blocks of the grid.
    pub blocks: u64,
    /// Warps of a block.
    pub warps: u32,
    /// Bytes between L2 and DRAM, both ways.
    pub dram_bytes: f64,
    /// Bytes that SMs request of the L2, both ways.
    pub l2_bytes: f64,
    /// Passes of shared memory, conflicts among them.
    pub shared_passes: f64,
    /// Instructions, once per warp.
    pub instructions: f64,
    /// Those of f32 arithmetic, once per warp.
    pub float_instructions: f64,
    /// Multiply-adds of `mma`.
    pub tensor_multiply_adds: f64,
}

/// What a launch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Memory of the card.
    Dram,
    /// The second-level cache.
    L2,
    /// Shared memory.
    Shared,
    /// Places to issue instructions.
    Issue,
    /// f32 arithmetic.
    Fma,
    /// Tensor cores.
    Tensor,
    /// Starting it.
    Launch,
}

impl Limit {
    /// A word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Dram => "DRAM",
            Limit::L2 => "L2",
            Limit::Shared => "shared",
            Limit::Issue => "issue",
            Limit::Fma => "FMA",
            Limit::Tensor => "tensor",
            Limit::Launch => "launch",
        }
    }
}

/// A predicted time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// From the end of the kernel before to the end of this one.
    pub seconds: f64,
    /// What takes longest.
    pub limit: Limit,
    /// Times that the SMs are filled; 1.5 when the last blocks fill half of them.
    pub waves: f64,
}

impl Work {
    /// The time on `card`, with so many blocks on an SM; `None` when a block does not fit on one.
    pub fn predict(&self, card: &Card, occupancy: Occupancy) -> Option<Prediction> {
        if occupancy.blocks == 0 || self.blocks == 0 || self.warps == 0 {
            return None;
        }
        let sms = u64::from(card.sms);
        let wave = u64::from(occupancy.blocks) * sms;
        // The busiest SM has a full share of each full wave and, of the rest, one block more than the least busy.
        let busiest = self.blocks / wave * u64::from(occupancy.blocks) + (self.blocks % wave).div_ceil(sms);
        let share = busiest as f64 / self.blocks as f64;
        // Warps that take turns at a scheduler. Each waits as long as it works, for operands and barriers, so with n of
        // them a scheduler is busy n / (n + 1) of the time: a closed queue of two stations that take equally long.
        let resident = busiest.min(occupancy.blocks.into()) as f64;
        let turns = resident * f64::from(self.warps) / f64::from(card.schedulers);
        let on_sm = |work: f64, a_cycle: f64| work * share / a_cycle / card.clock * (turns + 1.0) / turns;
        let times = [
            (self.dram_bytes / card.dram_bandwidth, Limit::Dram),
            (self.l2_bytes / card.l2_bandwidth, Limit::L2),
            (on_sm(self.shared_passes * 128.0, card.shared_bandwidth.into()), Limit::Shared),
            (on_sm(self.instructions, card.schedulers.into()), Limit::Issue),
            (on_sm(self.float_instructions * 32.0, card.fma_lanes.into()), Limit::Fma),
            (on_sm(self.tensor_multiply_adds, card.tensor_multiply_adds), Limit::Tensor),
            (card.launch_cost, Limit::Launch),
        ];
        let slowest =
            |of: &[(f64, Limit)]| of.iter().copied().fold((0.0, Limit::Launch), |a, b| if b.0 > a.0 { b } else { a });
        let (busy, _) = slowest(&times[..6]);
        let (_, limit) = slowest(&times);
        Some(Prediction { seconds: card.launch_cost + busy, limit, waves: self.blocks as f64 / wave as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{A100, Scarce};
    use super::*;

    /// A card whose numbers are easy: 10 SMs, everything else a power of ten.
    const EASY: Card = Card {
        sms: 10,
        clock: 1e9,
        dram_bandwidth: 1e12,
        l2_bandwidth: 4e12,
        fma_lanes: 64,
        tensor_multiply_adds: 1000.0,
        launch_cost: 2e-6,
        ..A100
    };
    /// Warps of a block, so many that waiting costs nothing.
    const MANY: u32 = 1 << 20;

    fn predict(work: Work, blocks_per_sm: u32) -> (f64, Limit) {
        let occupancy = Occupancy { blocks: blocks_per_sm, scarce: Scarce::Threads };
        let predicted = work.predict(&EASY, occupancy).unwrap();
        ((predicted.seconds * 1e9).round() / 1e3, predicted.limit)
    }

    /// Microseconds, 2 of them for the launch.
    #[test]
    fn each_limit_gives_its_time() {
        let even = Work { blocks: 20, warps: MANY, ..Work::default() };
        assert_eq!(predict(even, 2), (2.0, Limit::Launch));
        // 10 MB at 1 TB/s; 80 MB at 4 TB/s.
        assert_eq!(predict(Work { dram_bytes: 1e7, ..even }, 2), (12.0, Limit::Dram));
        assert_eq!(predict(Work { dram_bytes: 1e7, l2_bytes: 8e7, ..even }, 2), (22.0, Limit::L2));
        // Each SM has a tenth: 30,000 passes, one a cycle; 200,000 instructions, four a cycle.
        assert_eq!(predict(Work { shared_passes: 3e5, ..even }, 2), (32.0, Limit::Shared));
        assert_eq!(predict(Work { instructions: 2e6, ..even }, 2), (52.0, Limit::Issue));
        // 200,000 warps of 32 lanes at 64 a cycle take 100,000 cycles; so does 1e8 at 1000.
        assert_eq!(predict(Work { instructions: 2e6, float_instructions: 2e6, ..even }, 2), (102.0, Limit::Fma));
        assert_eq!(predict(Work { tensor_multiply_adds: 1e9, ..even }, 2), (102.0, Limit::Tensor));
        // Less than the launch costs, and added to it.
        assert_eq!(predict(Work { dram_bytes: 1e6, ..even }, 2), (3.0, Limit::Launch));
    }

    #[test]
    fn the_last_wave_takes_as_long_as_its_busiest_sm() {
        // A block is 10,000 cycles of one SM: 10 us.
        let time = |blocks: u64, blocks_per_sm| {
            predict(
                Work { blocks, warps: MANY, tensor_multiply_adds: 1e7 * blocks as f64, ..Work::default() },
                blocks_per_sm,
            )
            .0
        };
        // One wave of one block each, whether 1 or 10 of them.
        assert_eq!((time(1, 1), time(10, 1)), (12.0, 12.0));
        // An eleventh makes one SM work twice as long; so does the first of the second wave of 20.
        assert_eq!((time(11, 1), time(11, 2), time(20, 2), time(21, 2)), (22.0, 22.0, 22.0, 32.0));
        // What the whole card shares has no waves: the same bytes take the same time.
        let dram = |blocks| predict(Work { blocks, warps: MANY, dram_bytes: 1e7, ..Work::default() }, 1).0;
        assert_eq!((dram(10), dram(11)), (12.0, 12.0));
    }

    #[test]
    fn few_warps_leave_a_scheduler_idle() {
        // 20,000 instructions of each SM, four a cycle: 5 us if there is always a warp that can go on.
        let time = |blocks, warps, blocks_per_sm| {
            predict(Work { blocks, warps, instructions: 2e5, ..Work::default() }, blocks_per_sm).0
        };
        // One warp for each scheduler, two, and three by three blocks.
        assert_eq!((time(10, 4, 1), time(10, 8, 1), time(30, 4, 3)), (12.0, 9.5, 8.667));
        // Room for three blocks is of no use where there is one.
        assert_eq!(time(10, 4, 3), 12.0);
    }

    #[test]
    fn a_block_that_does_not_fit_has_no_time() {
        let none = Occupancy { blocks: 0, scarce: Scarce::Shared };
        assert_eq!(Work { blocks: 1, warps: 1, ..Work::default() }.predict(&EASY, none), None);
    }

    #[test]
    fn a_streaming_copy_takes_its_bytes() {
        // 512 MB in and out on an A100: 1.074 GB at 1.555 TB/s.
        let bytes = 2.0 * f64::from(512 << 20);
        let work = Work { blocks: 1 << 17, warps: 8, dram_bytes: bytes, l2_bytes: bytes, ..Work::default() };
        let full = Occupancy { blocks: 8, scarce: Scarce::Threads };
        let predicted = work.predict(&A100, full).unwrap();
        assert_eq!((predicted.limit, (predicted.seconds * 1e6).round()), (Limit::Dram, 694.0));
        assert_eq!((predicted.waves * 1e3).round(), 151_704.0);
    }
}
