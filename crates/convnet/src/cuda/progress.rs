//! Which lists of operations a card was given and is not known to have done: when it fails, they say where.

use std::collections::VecDeque;

use super::Cuda;
use crate::Error;
use crate::device::{Context, DriverError, Event, Stream};
use crate::ops::{List, Pass, Planned};

/// Lists under way, oldest first.
#[derive(Default)]
pub(super) struct Progress {
    given: VecDeque<Given>,
    /// Events of lists that are done.
    spare: Vec<Event>,
}

struct Given {
    layers: Layers,
    done: Event,
}

/// From which layer to which, and in which pass; layers are noted as they come.
pub(super) struct Layers {
    pass: Pass,
    ends: Option<(String, String)>,
}

impl Layers {
    pub(super) fn of(list: List) -> Layers {
        Layers { pass: list.pass, ends: None }
    }

    pub(super) fn note(&mut self, planned: &Planned) {
        match &mut self.ends {
            Some((_, last)) => last.clone_from(&planned.layer),
            None => self.ends = Some((planned.layer.clone(), planned.layer.clone())),
        }
    }

    fn words(&self) -> String {
        let pass = match self.pass {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Inference => "inference",
        };
        match &self.ends {
            Some((first, last)) if first != last => format!("layers {first} to {last}, {pass}"),
            Some((first, _)) => format!("layer {first}, {pass}"),
            None => pass.to_string(),
        }
    }
}

impl Progress {
    /// The stream was given a list.
    pub(super) fn give(&mut self, layers: Layers, stream: &Stream, context: &Context) -> Result<(), DriverError> {
        let done = self.spare.pop().map_or_else(|| Event::new(context), Ok)?;
        stream.record(&done)?;
        self.given.push_back(Given { layers, done });
        Ok(())
    }

    /// Waits for the oldest list, if there is one; whether there was.
    pub(super) fn wait(&mut self) -> Result<bool, DriverError> {
        let Some(oldest) = self.given.front() else { return Ok(false) };
        oldest.done.synchronize()?;
        self.spare.extend(self.given.pop_front().map(|given| given.done));
        Ok(true)
    }
}

impl Cuda {
    /// Adds to an error of the driver where the card is: at the oldest list that is not known to be done, or behind it,
    /// or else at `next`, which it is being given.
    pub(super) fn blamed<T>(&self, result: Result<T, impl Into<Error>>, next: Option<&Layers>) -> Result<T, Error> {
        let oldest = self.progress.given.front().map(|given| &given.layers).or(next);
        result.map_err(|error| match (error.into(), oldest) {
            (Error::Driver(error), Some(layers)) => {
                Error::Card { device: self.context.ordinal(), layers: layers.words(), error }
            }
            (error, _) => error,
        })
    }
}
