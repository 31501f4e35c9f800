//! Counting a launch: all of it where that is quick, a sample where it is not.

use super::{Card, Class, L2, Occupancy, Traffic, Work, classes};
use crate::observe::{Counters, Counts, Kind, Observer, Only, Request, Trace};
use crate::{Config, LaunchError, Memory, Program, Stats, launch_observed};

/// Waves that are run at least: the first fills the cache, the second says what one more costs.
const WAVES: u64 = 2;
/// Blocks of a class that are run when a launch is sampled.
const SAMPLES: u64 = 8;

/// A launch to be counted; the parts are those of [`crate::launch`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the parts are those of `launch`")]
pub struct Launch<'a> {
    pub program: &'a Program,
    pub kernel: &'a str,
    pub config: &'a Config,
    pub params: &'a [u8],
    pub memory: &'a Memory,
}

/// What a launch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// What its blocks do: of all, or weighted by class.
    pub counts: Counts,
    /// DRAM bytes, from an empty cache until everything is written back.
    pub dram: Traffic,
    /// Those of the bytes written that are still in the cache when the last block ends.
    pub waiting: u64,
    /// Blocks of the grid.
    pub blocks: u64,
    /// Blocks in whole waves from the first that were run; fewer than `blocks` when the launch was sampled.
    pub run: u64,
}

impl Counted {
    /// What the launch takes time for, with so many threads in a block.
    pub fn work(&self, threads: u32) -> Work {
        let counts = &self.counts;
        Work {
            blocks: self.blocks,
            warps: threads.div_ceil(32),
            dram_bytes: (self.dram.bytes() - self.waiting) as f64,
            l2_bytes: 32.0 * (counts.read_sectors + counts.write_sectors) as f64,
            shared_passes: counts.shared_passes as f64,
            instructions: counts.all_instructions() as f64,
            float_instructions: (counts.instructions(Kind::Fma) + counts.instructions(Kind::Float)) as f64,
            tensor_multiply_adds: counts.tensor_multiply_adds as f64,
        }
    }
}

/// Counts a launch on `card`, with so many blocks on an SM, without changing memory. Blocks go wave by wave, and within a
/// wave they take turns at the cache, a request each.
///
/// After `budget` instructions of warps, and two waves, the rest is extrapolated: counts from a sample of each class of
/// blocks, reads from DRAM from the last wave, writes from all.
///
/// # Errors
/// As [`crate::launch`].
pub fn count(launch: Launch<'_>, card: &Card, occupancy: Occupancy, budget: u64) -> Result<Counted, LaunchError> {
    let grid = launch.config.grid;
    let blocks: u64 = grid.iter().map(|&n| u64::from(n)).product();
    let wave = u64::from(occupancy.blocks.max(1) * card.sms);
    let mut l2 = L2::new(card.l2_bytes);
    let (mut run, mut in_last, mut waves, mut instructions) = (0, Traffic::default(), 0, 0);
    while run < blocks && (waves < WAVES || instructions < budget) {
        let before = l2.traffic();
        let of_wave: Vec<u64> = (run..blocks.min(run + wave)).collect();
        run += of_wave.len() as u64;
        waves += 1;
        let trace = Trace::new(grid);
        instructions += observe(launch, of_wave, &trace)?.warp_instructions;
        for request in turns(&trace.into_blocks()) {
            l2.request(request);
        }
        let after = l2.traffic();
        in_last = Traffic { read: after.read - before.read, written: after.written - before.written };
    }
    let mut dram = l2.traffic();
    let all = Class { size: blocks, samples: (0..blocks).collect() };
    let classes = if run < blocks { classes(grid, SAMPLES) } else { vec![all] };
    if run < blocks {
        dram.read += in_last.read * (blocks - run) / wave;
        dram.written = dram.written * blocks / run;
    }
    Ok(Counted { counts: counts(launch, classes)?, dram, waiting: l2.waiting(), blocks, run })
}

/// Counts from some blocks of each class.
fn counts(launch: Launch<'_>, classes: Vec<Class>) -> Result<Counts, LaunchError> {
    let mut counts = Counts::default();
    for Class { size, samples } in classes {
        let n = samples.len() as u64;
        let kernel = launch.program.module().kernel(launch.kernel);
        let counters = kernel.map(Counters::new).ok_or_else(|| LaunchError::NoKernel { name: launch.kernel.into() })?;
        observe(launch, samples, &counters)?;
        counts.add_share(&counters.counts(), size, n);
    }
    Ok(counts)
}

/// Shows some blocks to an observer.
fn observe<O: Observer>(launch: Launch<'_>, blocks: Vec<u64>, observer: &O) -> Result<Stats, LaunchError> {
    let Launch { program, kernel, config, params, memory } = launch;
    let only = Only { blocks, grid: config.grid };
    let config = Config { dry: true, ..config.clone() };
    launch_observed(program, kernel, &config, params, memory, &(&only, observer))
}

/// One request of each block in turn, until all have none left.
fn turns(blocks: &[Vec<Request>]) -> impl Iterator<Item = Request> {
    let longest = blocks.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(move |index| blocks.iter().filter_map(move |block| block.get(index).copied()))
}
