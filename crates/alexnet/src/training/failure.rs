//! The errors that end a run: where it was, and how to go on.

use anyhow::{Error, anyhow};
use convnet::ops::Device;

use super::Run;
use crate::checkpoint::Position;
use crate::console;
use crate::run_folder::LAST;

/// The error of a run whose numbers are not finite.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Diverged(String);

impl<D: Device> Run<'_, D> {
    /// The error of a step that could not be made; says which, and how to go on.
    pub(super) fn broken(&self, error: convnet::Error) -> Error {
        let Position { epoch, step, .. } = self.parts.state.position;
        let folder = console::quoted(self.parts.folder.path());
        let kept = match self.parts.folder.file(LAST).exists() {
            true => format!("Go on from the last checkpoint with --resume {folder}"),
            false => "There is no checkpoint yet".to_string(),
        };
        anyhow!("epoch {}, step {}: {error}\n{kept}", epoch + 1, step + 1)
    }

    /// The error of numbers that are not finite; says where they come from.
    pub(super) fn not_finite(&mut self, what: &str) -> Error {
        let place = match self.parts.network.find_not_finite() {
            Ok(Some(place)) => format!("; the first number that is not finite is in {place}"),
            _ => String::new(),
        };
        let Position { epoch, step, .. } = self.parts.state.position;
        let rate = self.rates(epoch).weights / 4.0;
        let last = self.parts.folder.file(LAST);
        let kept = match last.exists() {
            true => format!("; {} is from before that", last.display()),
            false => String::new(),
        };
        let (epoch, step) = (epoch + 1, step + 1);
        Error::new(Diverged(format!(
            "{what} not finite in epoch {epoch}, step {step}{place}. Train again with a lower rate, for example --lr {rate}{kept}"
        )))
    }
}
