//! A CUDA driver over simulated devices: the calls of [`crate::driver_calls`], as C sees them in [`abi`].
//!
//! # When work runs
//! Launches, asynchronous copies and fills, events and graphs are operations. Each names the operations that it comes
//! after: the one before it in its stream, events that the stream waits for, and what the legacy default stream and
//! blocking streams impose on each other. Nothing runs until the program waits: synchronising a stream, event or
//! context, a copy that blocks, a query (which runs one operation), the end of a context. Then
//! [`Schedule::Late`] runs only what is waited for and what that comes after, in an order drawn from a seed. So where
//! an event, a wait or a synchronisation is missing, the numbers are those of before.
//!
//! The host's side follows the manual where hardware is kinder: pinned memory is read and written when the copy runs,
//! pageable memory is read at the call, a blocking copy from pageable memory returns before the device has it, copies
//! within a device and fills return at once, freeing does not wait, and synchronising the legacy stream does not wait
//! for others.
//!
//! # What is reported
//! A kernel's finding (see [`crate::Problem`]), an operation on freed memory, and a race between operations or with the
//! host make every later call on their context fail with the code that hardware would give, or that of a launch that
//! failed, until the primary context is reset or ends. Leaks when a context ends and copies to the host of bytes that
//! nobody wrote are reported only. Reports go to the standard error stream and to [`last_report`].
//!
//! Two operations on the same bytes, one of them writing, are a race when the program gave them no order, whatever the
//! order in which they ran: by streams, events, graphs or waiting. So is memory that is freed before the host knows
//! that those who use it are done, and pinned memory that it writes under a copy. [`Options::checks`] switches all this
//! off, too.
//!
//! # What it cannot prove
//! One order is tried, of many; another seed tries another one. Races are found in any of them, with these exceptions:
//! threads of the host count as one; that the host reads pinned memory before a copy to it is done is seen only in the
//! values, with the late schedule, or when it passes the memory to a call; and launches without checks, or of 2^20
//! blocks and more, touch nothing for this purpose. An atomic is a write. Times are predicted,
//! never measured: `cuEventElapsedTime` says what the clock and the model of a card ([`Options::clock`]) say. Capture of
//! copies of pageable memory, the per-thread default stream, managed,
//! mapped and registered host memory, and cooperative launches are not simulated; each is an error.

pub mod abi;
mod calls;
mod capture;
mod card;
mod clock;
mod context;
mod copy;
mod error;
mod event;
mod faults;
mod graph;
mod launch;
mod memory;
mod module;
mod operation;
mod options;
mod pinned;
mod races;
mod schedule;
mod stream;
pub mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

pub use card::{A100, Card};
pub use clock::{Engine, Span};
pub use faults::{Counts, Faults};
pub use options::{Options, OptionsError, Schedule};

use crate::Memory;
use crate::ptx::Module;
use error::{Code, Status};

/// Everything that the driver knows. Handles are numbers that are never used twice, so a stale one is recognised.
struct Driver {
    options: Options,
    is_initialised: bool,
    memory: Memory,
    last_handle: u64,
    devices: Vec<context::Device>,
    contexts: BTreeMap<u64, context::Context>,
    ended: BTreeSet<u64>,
    /// The stack of current contexts of each thread.
    current: HashMap<ThreadId, Vec<u64>>,
    streams: BTreeMap<u64, stream::Stream>,
    events: BTreeMap<u64, event::Event>,
    modules: BTreeMap<u64, module::Loaded>,
    functions: BTreeMap<u64, module::Function>,
    /// Modules by their text: programs load the same one again and again.
    parsed: HashMap<String, Arc<Module>>,
    pinned: BTreeMap<u64, Arc<pinned::Pinned>>,
    captures: BTreeMap<u64, capture::Capture>,
    graphs: BTreeMap<u64, graph::Graph>,
    executables: BTreeMap<u64, graph::Executable>,
    queue: schedule::Queue,
    races: races::Races,
    clock: clock::Clock,
    counts: faults::Counts,
    report: Option<String>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Starts a machine; one that was started before, and all that is on it, is gone.
pub fn start(options: Options) {
    *lock() = Some(Driver::new(options));
}

/// Lets the machine go on with the schedule, seed, checks and faults of other options, and count anew. What is on it
/// stays.
pub fn behave(options: Options) {
    if let Some(driver) = lock().as_mut() {
        let Options { schedule, seed, checks, faults, .. } = options;
        driver.options = Options { schedule, seed, checks, faults, ..driver.options };
        driver.queue.reseed(schedule, seed);
        driver.counts = Counts::default();
        driver.report = None;
    }
}

/// Takes what was reported last: kernel, PTX line, block, thread and address of a finding, or what a call refused.
pub fn last_report() -> Option<String> {
    lock().as_mut()?.report.take()
}

/// Starts the clock, and a timeline of what runs from now on.
pub fn record_timeline() {
    if let Some(driver) = lock().as_mut() {
        driver.clock.runs = true;
        driver.clock.spans = Some(Vec::new());
    }
}

/// Ends the timeline, and gives it in the order in which the simulator ran the operations. All times are predicted.
pub fn take_timeline() -> Vec<Span> {
    lock().as_mut().and_then(|driver| driver.clock.spans.take()).unwrap_or_default()
}

/// What the machine has counted since it was started.
pub fn counts() -> Counts {
    lock().as_ref().map_or(Counts::default(), |driver| driver.counts)
}

/// The driver's lock. A kernel runs under it, its blocks on all cores.
fn lock() -> MutexGuard<'static, Option<Driver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    fn new(options: Options) -> Driver {
        let mut driver = Driver {
            options,
            is_initialised: false,
            memory: Memory::new(),
            last_handle: 0x1000,
            devices: Vec::new(),
            contexts: BTreeMap::new(),
            ended: BTreeSet::new(),
            current: HashMap::new(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            modules: BTreeMap::new(),
            functions: BTreeMap::new(),
            parsed: HashMap::new(),
            pinned: BTreeMap::new(),
            captures: BTreeMap::new(),
            graphs: BTreeMap::new(),
            executables: BTreeMap::new(),
            queue: schedule::Queue::new(options.schedule, options.seed),
            races: races::Races::default(),
            clock: clock::Clock::new(options.clock),
            counts: faults::Counts::default(),
            report: None,
        };
        driver.devices = (0..options.devices).map(|_| context::Device::new(driver.handle())).collect();
        driver
    }

    fn handle(&mut self) -> u64 {
        self.last_handle += 16;
        self.last_handle
    }

    fn initialise(&mut self, flags: u32) -> Status<()> {
        self.is_initialised |= flags == 0;
        if flags == 0 { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }

    fn initialised(&self) -> Status<()> {
        if self.is_initialised { Ok(()) } else { Err(Code::NOT_INITIALIZED) }
    }

    /// Says something that no call returns.
    fn report(&mut self, text: String) {
        eprintln!("cuda-sim: {text}");
        self.report = Some(text);
    }

    /// Says why a call returns a code.
    fn explain(&mut self, code: Code, text: String) -> Code {
        self.report = Some(text);
        code
    }
}
