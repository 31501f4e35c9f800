//! Launches: programs in memory, blocks on all cores, findings.

mod access;
mod alu;
mod atomic;
mod block;
mod collective;
mod convert;
mod copies;
mod fast;
mod float;
mod integer;
mod lanes;
mod order;
mod races;
mod touch;
mod warp;
mod words;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::finding::{Finding, LaunchError, Problem};
use crate::memory::{Memory, Snapshot};
use crate::observe::{self, Observer, Unobserved};
use crate::ptx::{Kernel, Module, Op};
use block::BlockRun;
use order::Order;

/// Most threads of a block.
const MAX_THREADS: u64 = 1024;

/// A module whose variables are in a device's memory.
#[derive(Debug)]
pub struct Program {
    module: Arc<Module>,
    /// Address of each variable of the module.
    addresses: Vec<u64>,
}

impl Program {
    /// Parses `source` and puts its variables into the memory of `device`.
    ///
    /// # Errors
    /// When the PTX is not understood.
    pub fn load(source: &str, memory: &Memory, device: u32) -> Result<Program, LaunchError> {
        Program::place(Arc::new(Module::parse(source)?), memory, device)
    }

    /// Puts the variables of a parsed module into the memory of `device`.
    ///
    /// # Errors
    /// Those of the memory.
    pub fn place(module: Arc<Module>, memory: &Memory, device: u32) -> Result<Program, LaunchError> {
        let mut addresses = Vec::new();
        for variable in &module.variables {
            let address = memory.alloc(device, variable.bytes);
            let mut bytes = variable.init.clone();
            bytes.resize(variable.bytes, 0);
            memory.write(address, &bytes)?;
            addresses.push(address);
        }
        Ok(Program { module, addresses })
    }

    /// The parsed module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Address and size of a global or constant variable.
    pub fn variable(&self, name: &str) -> Option<(u64, usize)> {
        let index = self.module.variables.iter().position(|variable| variable.name == name)?;
        Some((self.addresses[index], self.module.variables[index].bytes))
    }
}

/// Shape and place of a launch.
#[derive(Debug, Clone)]
pub struct Config {
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: usize,
    /// The device that runs it.
    pub device: u32,
    /// Other devices whose memory it may touch, a bit each.
    pub peers: u64,
    /// Whether to check reads of unwritten memory and that warp-wide instructions find the whole warp. Accesses
    /// outside allocations or not aligned are findings in any case.
    pub checks: bool,
    /// Whether to look for races, too; only with `checks`, and in grids of fewer than 2^20 blocks.
    pub races: bool,
    /// Runs the kernel without its numbers: only its way and its addresses, which is several times faster and enough
    /// for observers. Nothing is written to global memory; where a value decides, it is what memory holds before.
    pub dry: bool,
    /// Picks the orders that a GPU leaves open: of the warps of a block, of blocks, and of asynchronous copies that
    /// arrive together. 0 takes all by their numbers. A correct kernel computes the same with any seed.
    pub seed: u64,
    /// A warp that executes more instructions than this is taken to hang.
    pub max_instructions: u64,
}

impl Config {
    /// A launch on device 0 with all checks.
    pub fn new(grid: [u32; 3], block: [u32; 3]) -> Config {
        Config {
            grid,
            block,
            shared_bytes: 0,
            device: 0,
            peers: 0,
            checks: true,
            races: true,
            dry: false,
            seed: 0,
            max_instructions: 1 << 30,
        }
    }
}

/// What a launch executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions, counted once per warp.
    pub warp_instructions: u64,
    /// Instructions, counted once per thread that executed them.
    pub lane_instructions: u64,
}

/// What all blocks of a launch share.
pub(crate) struct Shared<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) addresses: &'a [u64],
    pub(crate) params: Vec<u32>,
    pub(crate) config: &'a Config,
    pub(crate) memory: Snapshot,
    /// Whether the kernel has asynchronous copies.
    pub(crate) copies: bool,
    /// What was accessed, for each allocation; `None` when nobody looks for races.
    pub(crate) races: Option<races::Accessed>,
    pub(crate) threads: u32,
    pub(crate) shared_bytes: usize,
}

impl Shared<'_> {
    pub(crate) fn thread(&self, index: u32) -> [u32; 3] {
        let [x, y, _] = self.config.block;
        [index % x, index / x % y, index / (x * y)]
    }

    /// Place of a block in the grid.
    pub(crate) fn block(&self, index: u32) -> [u32; 3] {
        let [x, y, _] = self.config.grid;
        [index % x, index / x % y, index / x / y]
    }
}

/// A problem, seen from inside a warp.
pub(crate) struct Fault {
    pub(crate) problem: Problem,
    pub(crate) lane: u32,
    pub(crate) address: Option<u64>,
}

pub(crate) type Checked<T> = Result<T, Box<Fault>>;

pub(crate) fn fault<T>(problem: Problem, lane: u32, address: Option<u64>) -> Checked<T> {
    Err(Box::new(Fault { problem, lane, address }))
}

/// Runs a kernel to its end; `params` are the bytes of all parameters, laid out as [`Kernel::params`] says.
///
/// # Errors
/// The finding of the first block, in the order that the seed gives, that has one; or what is wrong with the launch itself.
pub fn launch(
    program: &Program,
    kernel: &str,
    config: &Config,
    params: &[u8],
    memory: &Memory,
) -> Result<Stats, LaunchError> {
    match observe::interceptor() {
        Some(interceptor) => interceptor.launch(program, kernel, config, params, memory),
        None => launch_observed(program, kernel, config, params, memory, &Unobserved),
    }
}

/// [`launch`] that tells which bytes the kernel touched, and whether it wrote them; nothing where it did not look for
/// races, or somebody else took the launch.
pub(crate) fn launch_touching(
    program: &Program,
    kernel: &str,
    config: &Config,
    params: &[u8],
    memory: &Memory,
) -> Result<Vec<(Range<u64>, bool)>, LaunchError> {
    if let Some(interceptor) = observe::interceptor() {
        return interceptor.launch(program, kernel, config, params, memory).map(|_| Vec::new());
    }
    let (_, accessed) = run(program, kernel, config, params, memory, &Unobserved)?;
    Ok(accessed.map_or_else(Vec::new, |accessed| accessed.ranges()))
}

/// [`launch`], watched.
///
/// # Errors
/// As [`launch`].
pub fn launch_observed<O: Observer>(
    program: &Program,
    kernel: &str,
    config: &Config,
    params: &[u8],
    memory: &Memory,
    observer: &O,
) -> Result<Stats, LaunchError> {
    run(program, kernel, config, params, memory, observer).map(|(stats, _)| stats)
}

fn run<O: Observer>(
    program: &Program,
    kernel: &str,
    config: &Config,
    params: &[u8],
    memory: &Memory,
    observer: &O,
) -> Result<(Stats, Option<races::Accessed>), LaunchError> {
    let kernel = program.module.kernel(kernel).ok_or_else(|| LaunchError::NoKernel { name: kernel.into() })?;
    if params.len() != kernel.param_bytes {
        return Err(LaunchError::Params { expected: kernel.param_bytes, got: params.len() });
    }
    let blocks = check_shape(kernel, config)?;
    let kernel = if config.dry { kernel.skeleton() } else { kernel };
    // A skeleton leaves out what others would have written.
    let config = &Config { checks: config.checks && !config.dry, ..config.clone() };
    let snapshot = memory.snapshot();
    let races =
        (config.checks && config.races && blocks <= races::MOST_BLOCKS).then(|| races::Accessed::new(&snapshot));
    let words = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    let shared = Shared {
        kernel,
        addresses: &program.addresses,
        params: params.chunks(4).map(words).collect(),
        config,
        memory: snapshot,
        races,
        copies: kernel.code.iter().any(|inst| matches!(inst.op, Op::CpAsync { .. })),
        threads: config.block.iter().product(),
        shared_bytes: kernel.shared_bytes + config.shared_bytes,
    };
    let failed = AtomicUsize::new(usize::MAX);
    let finding: Mutex<Option<(usize, Box<Finding>)>> = Mutex::new(None);
    let (warps, lanes) = (AtomicU64::new(0), AtomicU64::new(0));
    let run_block = |run: &mut BlockRun<'_>, place: usize| {
        // The first block with a finding is reported, whatever the order in which cores take blocks.
        if place > failed.load(Relaxed) {
            return;
        }
        let index = Order(config.seed).block(place, blocks);
        if O::ENABLED && !observer.runs(shared.block(index as u32)) {
            return;
        }
        match run.run(index, observer) {
            Ok(stats) => {
                warps.fetch_add(stats.warp_instructions, Relaxed);
                lanes.fetch_add(stats.lane_instructions, Relaxed);
            }
            Err(found) => {
                failed.fetch_min(place, Relaxed);
                let mut first = finding.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(block, _)| place < *block) {
                    *first = Some((place, found));
                }
            }
        }
    };
    if kernel.code.iter().any(|inst| inst.op.depends_on_order()) {
        let mut run = BlockRun::new(&shared);
        (0..blocks).for_each(|place| run_block(&mut run, place));
    } else {
        (0..blocks).into_par_iter().for_each_init(|| BlockRun::new(&shared), run_block);
    }
    match finding.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, finding)) => Err(LaunchError::Finding(finding)),
        None => {
            let stats = Stats { warp_instructions: warps.into_inner(), lane_instructions: lanes.into_inner() };
            Ok((stats, shared.races))
        }
    }
}

fn check_shape(kernel: &Kernel, config: &Config) -> Result<usize, LaunchError> {
    let product = |shape: [u32; 3]| shape.iter().map(|&n| u64::from(n)).try_fold(1u64, u64::checked_mul);
    let threads = product(config.block).unwrap_or(u64::MAX);
    if threads == 0 || threads > MAX_THREADS || config.block[2] > 64 {
        return Err(LaunchError::Block { block: config.block, allowed: [1024, 1024, 64] });
    }
    if let Some(allowed) = kernel.bounds.required_threads.filter(|required| *required != config.block) {
        return Err(LaunchError::Block { block: config.block, allowed });
    }
    if let Some(allowed) = kernel.bounds.max_threads.filter(|most| product(*most).unwrap_or(0) < threads) {
        return Err(LaunchError::Block { block: config.block, allowed });
    }
    match product(config.grid) {
        Some(blocks) if blocks > 0 && config.grid[1] <= 65535 && config.grid[2] <= 65535 => Ok(blocks as usize),
        _ => Err(LaunchError::Grid { grid: config.grid }),
    }
}
