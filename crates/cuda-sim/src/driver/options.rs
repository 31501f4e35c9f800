//! What a simulated machine is like.

use super::card::{A100, Card};
use super::faults::Faults;
use crate::model::{self, CARDS, H100};

/// How many devices there are, and how they run work.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Number of devices, at most 16.
    pub devices: u32,
    /// What each of them is.
    pub card: &'static Card,
    /// When and in which order operations run.
    pub schedule: Schedule,
    /// Chooses among operations that are ready. The same seed and the same calls give the same order.
    pub seed: u64,
    /// Whether kernels are checked for reads of unwritten memory and for incomplete warps. Without, they are faster.
    pub checks: bool,
    /// The card for which the clock predicts times. It may be another one than the devices are.
    pub clock: &'static model::Card,
    /// Bytes per second of its links to other cards, each way.
    pub link: f64,
    /// What is planted.
    pub faults: Faults,
}

/// When operations run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Only what is waited for, and only what that depends on, in random order.
    Late,
    /// Anything that is ready, in random order, until what is waited for is done.
    Random,
    /// Everything at once, in the order of the calls: for finding out whether a wrong result is a matter of order.
    Eager,
}

/// A variable of the environment that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: expected {expected}")]
pub struct OptionsError {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Options {
    /// `devices` A100s, seed 0, late, with checks.
    pub fn new(devices: u32) -> Options {
        Options {
            devices,
            card: &A100,
            schedule: Schedule::Late,
            seed: 0,
            checks: true,
            clock: &H100,
            link: H100.peer_bandwidth,
            faults: Faults::default(),
        }
    }

    /// The same, changed by the environment:
    /// - `ALEXNET_SIM_SEED`: a number;
    /// - `ALEXNET_SIM_SCHEDULE`: `late`, `random` or `eager`;
    /// - `ALEXNET_SIM_CHECKS`: `on` or `off`;
    /// - `ALEXNET_SIM_CLOCK`: `a100`, `h100` or `rtx4090`;
    /// - `ALEXNET_SIM_LINK`: GB/s of a link, instead of that card's NVLink;
    /// - `ALEXNET_SIM_CORRUPT_LINK`: numbers of sender and receiver, as in `0-1`;
    /// - `ALEXNET_SIM_LOST`, `ALEXNET_SIM_SILENT`: a device and how much work it does before that, as in `1:40`.
    ///
    /// # Errors
    /// When one of them is something else.
    pub fn from_environment(devices: u32) -> Result<Options, OptionsError> {
        let new = Options::new(devices);
        let schedule = |value: &str| match value {
            "late" => Some(Schedule::Late),
            "random" => Some(Schedule::Random),
            "eager" => Some(Schedule::Eager),
            _ => None,
        };
        let checks = |value: &str| match value {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let row = |value: &str| {
            let name = |card: &model::Card| card.name.replace(' ', "").to_lowercase();
            CARDS.iter().find(|card| name(card) == value)
        };
        let link = |value: &str| {
            let (from, to) = value.split_once('-')?;
            Some((from.parse().ok()?, to.parse().ok()?))
        };
        let failure = |name| {
            variable(name, "a device and its work before that, as in 1:40", |value| {
                let (device, work) = value.split_once(':')?;
                Some((device.parse().ok()?, work.parse().ok()?))
            })
        };
        let faults = Faults {
            corrupt_link: variable("ALEXNET_SIM_CORRUPT_LINK", "two numbers of devices, as in 0-1", link)?,
            lost: failure("ALEXNET_SIM_LOST")?,
            silent: failure("ALEXNET_SIM_SILENT")?,
            ..Faults::default()
        };
        let clock = variable("ALEXNET_SIM_CLOCK", "a100, h100 or rtx4090", row)?.unwrap_or(new.clock);
        let rate = |value: &str| value.parse().ok().filter(|&rate: &f64| rate > 0.0 && rate.is_finite());
        let link =
            variable("ALEXNET_SIM_LINK", "GB/s, as in 50", rate)?.map_or(clock.peer_bandwidth, |rate| rate * 1e9);
        Ok(Options {
            seed: variable("ALEXNET_SIM_SEED", "a number", |value| value.parse().ok())?.unwrap_or(new.seed),
            schedule: variable("ALEXNET_SIM_SCHEDULE", "late, random or eager", schedule)?.unwrap_or(new.schedule),
            checks: variable("ALEXNET_SIM_CHECKS", "on or off", checks)?.unwrap_or(new.checks),
            clock,
            link,
            faults,
            ..new
        })
    }
}

fn variable<T>(
    name: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, OptionsError> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => match parse(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(OptionsError { name, value, expected }),
        },
        _ => Ok(None),
    }
}
