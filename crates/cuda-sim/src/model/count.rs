//! Counting a launch: all of it where that is quick, a sample where it is not.

use super::{Card, Class, L2, Occupancy, Traffic, classes};
use crate::observe::{Counters, Counts, Only, Request, Trace};
use crate::{Config, LaunchError, Memory, Program, launch_observed};

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
    /// Blocks of the grid.
    pub blocks: u64,
    /// Blocks in whole waves from the first that were run; fewer than `blocks` when the launch was sampled.
    pub run: u64,
}

/// Counts a launch on `card`, with so many blocks on an SM. Blocks go wave by wave, and within a wave they take turns at
/// the cache, a request each.
///
/// After `budget` instructions of warps, and two waves, the rest is extrapolated: counts from a sample of each class of
/// blocks, reads from DRAM from the last wave, writes from all. Then the launch has not written all that it should.
///
/// # Errors
/// As [`crate::launch`].
pub fn count(launch: Launch<'_>, card: &Card, occupancy: Occupancy, budget: u64) -> Result<Counted, LaunchError> {
    let grid = launch.config.grid;
    let blocks: u64 = grid.iter().map(|&n| u64::from(n)).product();
    let wave = u64::from(occupancy.blocks.max(1) * card.sms);
    let kernel = launch.program.module().kernel(launch.kernel);
    let counters = kernel.map(Counters::new).ok_or_else(|| LaunchError::NoKernel { name: launch.kernel.into() })?;
    let mut l2 = L2::new(card.l2_bytes);
    let (mut run, mut in_last, mut waves) = (0, Traffic::default(), 0);
    while run < blocks && (waves < WAVES || counters.counts().all_instructions() < budget) {
        let before = l2.traffic();
        let of_wave: Vec<u64> = (run..blocks.min(run + wave)).collect();
        run += of_wave.len() as u64;
        waves += 1;
        for request in turns(&trace(launch, of_wave, &counters)?) {
            l2.request(request);
        }
        let after = l2.traffic();
        in_last = Traffic { read: after.read - before.read, written: after.written - before.written };
    }
    let mut dram = l2.traffic();
    let mut counts = counters.counts();
    if run < blocks {
        dram.read += in_last.read * (blocks - run) / wave;
        dram.written = dram.written * blocks / run;
        counts = sampled(launch)?;
    }
    Ok(Counted { counts, dram, blocks, run })
}

/// Runs blocks and gives the requests of each.
fn trace(launch: Launch<'_>, blocks: Vec<u64>, counters: &Counters) -> Result<Vec<Vec<Request>>, LaunchError> {
    let Launch { program, kernel, config, params, memory } = launch;
    let (only, trace) = (Only { blocks, grid: config.grid }, Trace::new(config.grid));
    launch_observed(program, kernel, config, params, memory, &(&only, &(counters, &trace)))?;
    Ok(trace.into_blocks())
}

/// One request of each block in turn, until all have none left.
fn turns(blocks: &[Vec<Request>]) -> impl Iterator<Item = Request> {
    let longest = blocks.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(move |index| blocks.iter().filter_map(move |block| block.get(index).copied()))
}

/// Counts from some blocks of each class.
fn sampled(launch: Launch<'_>) -> Result<Counts, LaunchError> {
    let Launch { program, kernel, config, params, memory } = launch;
    let mut counts = Counts::default();
    for Class { size, samples } in classes(config.grid, SAMPLES) {
        let n = samples.len() as u64;
        let only = Only { blocks: samples, grid: config.grid };
        let counters = program.module().kernel(kernel).map(Counters::new);
        let counters = counters.ok_or_else(|| LaunchError::NoKernel { name: kernel.into() })?;
        launch_observed(program, kernel, config, params, memory, &(&only, &counters))?;
        counts.add_share(&counters.counts(), size, n);
    }
    Ok(counts)
}
