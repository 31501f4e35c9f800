//! The clock: when operations would begin and end on a card. All of it is predicted, by [`crate::model`].
//!
//! It runs once the program has made an event with a time, or wants a [timeline](super::record_timeline). An operation
//! begins when all that it comes after has ended, the host has given it, and its engine is free: a device has one for
//! kernels, which have the card to themselves, and one for copies each way. It takes
//! - a launch: the model's time, from a dry run of some of its blocks, the first time that it is launched with these
//!   parameters; registers are estimated from the PTX;
//! - a copy or a fill: the cost of a launch, and bytes over bandwidth.
//!
//! The host takes no time but that of waiting. A blocking copy to the host is seen as a wait only.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Driver;
use super::launch::Launch;
use super::operation::{Source, Work};
use super::schedule::{Id, Operation};
use crate::Config;
use crate::model::{Card, Launch as Counting, Needs, count};

/// Ends that are kept before those that nobody can ask for are forgotten.
const MOST_ENDS: usize = 1 << 16;

/// A part of a device that does one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Kernels, fills and copies within the device.
    Kernels,
    /// Copies from the host.
    FromHost,
    /// Copies to the host.
    ToHost,
    /// Copies that the device makes to or from another one.
    Peers,
}

/// An operation on the timeline, in seconds from where the clock began.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The device.
    pub device: u32,
    /// What of it was busy.
    pub engine: Engine,
    /// The handle of the stream that was given the operation.
    pub stream: u64,
    /// The kernel, or what was copied.
    pub name: String,
    /// When it would begin.
    pub start: f64,
    /// How long it would take.
    pub seconds: f64,
}

/// The clock of a machine.
#[derive(Debug)]
pub(super) struct Clock {
    card: &'static Card,
    pub(super) runs: bool,
    /// Until when the host has waited.
    host: f64,
    /// When the host gave what is pending, and what that comes after.
    given: HashMap<Id, (f64, Vec<Id>)>,
    ends: HashMap<Id, f64>,
    busy: BTreeMap<(u32, Engine), Vec<(f64, f64)>>,
    known: HashMap<Key, f64>,
    pub(super) spans: Option<Vec<Span>>,
}

/// A launch that takes as long as another one: its kernel, grid, block, dynamic shared memory and parameters.
type Key = (usize, String, [[u32; 3]; 2], usize, Vec<u8>);

impl Clock {
    pub(super) fn new(card: &'static Card) -> Clock {
        Clock {
            card,
            runs: false,
            host: 0.0,
            given: HashMap::new(),
            ends: HashMap::new(),
            busy: BTreeMap::new(),
            known: HashMap::new(),
            spans: None,
        }
    }

    /// An operation is given.
    pub(super) fn give(&mut self, id: Id, after: &[Id]) {
        if self.runs {
            self.given.insert(id, (self.host, after.to_vec()));
        }
    }

    /// The host has waited for operations.
    pub(super) fn waited(&mut self, targets: &[Id]) {
        self.host = targets.iter().filter_map(|id| self.ends.get(id)).fold(self.host, |host, &end| host.max(end));
    }

    /// When an operation ended, if it has and the clock ran.
    pub(super) fn end(&self, id: Id) -> Option<f64> {
        self.ends.get(&id).copied()
    }

    /// Puts an operation on its engine, and gives when it begins.
    fn pass(&mut self, id: Id, engine: Option<(u32, Engine)>, seconds: f64) -> f64 {
        let (host, after) = self.given.remove(&id).unwrap_or((self.host, Vec::new()));
        let ready = after.iter().filter_map(|id| self.ends.get(id)).fold(host, |ready, &end| ready.max(end));
        let start = engine.map_or(ready, |engine| place(self.busy.entry(engine).or_default(), ready, seconds));
        self.ends.insert(id, start + seconds);
        start
    }
}

/// Finds the first gap of a length among times that are taken, from `ready` on, and takes it.
fn place(taken: &mut Vec<(f64, f64)>, ready: f64, seconds: f64) -> f64 {
    let (mut start, mut at) = (ready, 0_usize);
    for &(from, to) in taken.iter() {
        if start + seconds <= from {
            break;
        }
        start = start.max(to);
        at += 1;
    }
    match at.checked_sub(1).map(|before| &mut taken[before]) {
        Some(before) if before.1 == start => before.1 = start + seconds,
        _ => taken.insert(at, (start, start + seconds)),
    }
    start
}

impl Driver {
    /// Gives an operation that is about to run its time.
    pub(super) fn tick(&mut self, id: Id, operation: &Operation) {
        if !self.clock.runs {
            return;
        }
        let device = self.contexts.get(&operation.context).map_or(0, |context| context.device as u32);
        let (engine, seconds, name) = self.cost(device, operation);
        let engine = engine.map(|engine| (device, engine));
        let start = self.clock.pass(id, engine, seconds);
        if let (Some(spans), Some((device, engine))) = (&mut self.clock.spans, engine) {
            spans.push(Span { device, engine, stream: operation.stream, name, start, seconds });
        }
        self.forget_ends();
    }

    /// What an operation occupies, for how long, and what it is called.
    fn cost(&mut self, device: u32, operation: &Operation) -> (Option<Engine>, f64, String) {
        let card = self.clock.card;
        let takes = |bytes: usize, bandwidth: f64| card.launch_cost + bytes as f64 / bandwidth;
        match &operation.work {
            Work::Join => (None, 0.0, String::new()),
            Work::Launch(launch) => {
                let seconds = self.launch_time(device, launch);
                (Some(Engine::Kernels), seconds, launch.name.clone())
            }
            Work::Upload { from, .. } => {
                let bytes = match from {
                    Source::Staged(bytes) => bytes.len(),
                    Source::Pinned(host) => host.len(),
                };
                (Some(Engine::FromHost), takes(bytes, card.host_bandwidth), format!("{bytes} bytes from the host"))
            }
            Work::Download { to, .. } => {
                let bytes = to.len();
                (Some(Engine::ToHost), takes(bytes, card.host_bandwidth), format!("{bytes} bytes to the host"))
            }
            Work::Copy { to, from, bytes } => {
                let allocations = self.memory.allocations();
                let holder = |address: u64| {
                    let found =
                        allocations.iter().find(|(base, size, _)| (*base..*base + *size as u64).contains(&address));
                    found.map(|(_, _, device)| *device)
                };
                let name = format!("copy of {bytes} bytes");
                if holder(*to) == holder(*from) {
                    (Some(Engine::Kernels), takes(2 * bytes, card.dram_bandwidth), name)
                } else {
                    (Some(Engine::Peers), takes(*bytes, self.options.link), name)
                }
            }
            Work::Fill { bytes, .. } => {
                (Some(Engine::Kernels), takes(*bytes, card.dram_bandwidth), format!("fill of {bytes} bytes"))
            }
        }
    }

    /// What the model predicts; a launch that has no dry run to its end costs what starting it costs.
    fn launch_time(&mut self, device: u32, launch: &Launch) -> f64 {
        let program = std::sync::Arc::as_ptr(&launch.program) as usize;
        let shape = [launch.grid, launch.block];
        let key = (program, launch.name.clone(), shape, launch.shared_bytes, launch.parameters.clone());
        if let Some(&seconds) = self.clock.known.get(&key) {
            return seconds;
        }
        let card = self.clock.card;
        let config = Config {
            shared_bytes: launch.shared_bytes,
            device,
            peers: u64::MAX,
            ..Config::new(launch.grid, launch.block)
        };
        let threads = launch.block.iter().product();
        let predicted = launch.program.module().kernel(&launch.name).and_then(|kernel| {
            let occupancy = Needs::estimate(kernel, threads, launch.shared_bytes as u32).occupancy(card);
            let (params, memory) = (&launch.parameters[..], &self.memory);
            let launch = Counting { program: &launch.program, kernel: &launch.name, config: &config, params, memory };
            count(launch, card, occupancy, 0).ok()?.work(threads).predict(card, occupancy)
        });
        let seconds = predicted.map_or(card.launch_cost, |predicted| predicted.seconds);
        self.clock.known.insert(key, seconds);
        seconds
    }

    fn forget_ends(&mut self) {
        if self.clock.ends.len() < MOST_ENDS {
            return;
        }
        let of_streams = self.streams.values().filter_map(|stream| stream.last());
        let of_events = self.events.values().filter_map(|event| event.recorded);
        let of_graphs = self.executables.values().filter_map(|executable| executable.last());
        let of_pending = self.clock.given.values().flat_map(|(_, after)| after.iter().copied());
        let wanted: HashSet<Id> = of_streams.chain(of_events).chain(of_graphs).chain(of_pending).collect();
        self.clock.ends.retain(|id, _| wanted.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::H100;

    #[test]
    fn an_engine_does_one_thing_at_a_time_and_gaps_are_used() {
        let mut taken = Vec::new();
        assert_eq!(place(&mut taken, 1.0, 2.0), 1.0);
        // Behind it, before it, and where nothing that long fits before it.
        assert_eq!(place(&mut taken, 2.0, 1.0), 3.0);
        assert_eq!(place(&mut taken, 0.0, 1.0), 0.0);
        assert_eq!(place(&mut taken, 0.0, 1.0), 4.0);
        assert_eq!(place(&mut taken, 9.0, 1.0), 9.0);
        assert_eq!(place(&mut taken, 0.0, 3.0), 5.0);
        assert_eq!(place(&mut taken, 0.0, 1.0), 8.0);
    }

    #[test]
    fn an_operation_begins_after_what_it_comes_after_and_when_it_is_given() {
        let mut clock = Clock { runs: true, ..Clock::new(&H100) };
        let kernels = Some((0, Engine::Kernels));
        clock.give(1, &[]);
        clock.give(2, &[1]);
        clock.give(3, &[]);
        assert_eq!((clock.pass(1, kernels, 2.0), clock.pass(2, Some((0, Engine::ToHost)), 1.0)), (0.0, 2.0));
        assert_eq!(clock.pass(3, kernels, 1.0), 2.0);
        // What the host gives after it has waited cannot have begun before.
        clock.waited(&[2]);
        clock.give(4, &[]);
        assert_eq!(clock.pass(4, Some((1, Engine::Kernels)), 1.0), 3.0);
        assert_eq!((clock.end(4), clock.end(5)), (Some(4.0), None));
    }
}
