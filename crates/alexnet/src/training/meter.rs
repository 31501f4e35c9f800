//! Speed, waiting and time left of a run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Steps that the current speed is taken over.
const RECENT: usize = 50;
/// How much faster validation is than training, until it was measured: it has no backward pass.
const FORWARD_SHARE: f64 = 3.0;

/// What is still to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Todo {
    /// Steps left in the epoch.
    pub epoch_steps: usize,
    /// Steps left after the epoch.
    pub later_steps: usize,
    /// Validations left.
    pub validations: usize,
    /// Validation images.
    pub val_images: usize,
}

/// Measures a run.
#[derive(Debug)]
pub(super) struct Meter {
    /// Start of the epoch, or of this part of it.
    start: Instant,
    images: usize,
    waited: Duration,
    /// Ends and images of the latest steps.
    recent: VecDeque<(Instant, usize)>,
    validation: Option<Duration>,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter { start: Instant::now(), images: 0, waited: Duration::ZERO, recent: VecDeque::new(), validation: None }
    }
}

impl Meter {
    /// Begins an epoch.
    pub(super) fn begin_epoch(&mut self) {
        *self = Meter { validation: self.validation, ..Meter::default() };
        self.recent.push_back((self.start, 0));
    }

    /// Adds a step's images, and how long it waited for them.
    pub(super) fn step(&mut self, images: usize, waited: Duration) {
        self.images += images;
        self.waited += waited;
        self.recent.push_back((Instant::now(), images));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Remembers how long a validation took.
    pub(super) fn validated(&mut self, time: Duration) {
        self.validation = Some(time);
    }

    /// Time since the epoch began.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Images per second of the latest steps.
    pub(super) fn speed(&self) -> f64 {
        let images: usize = self.recent.iter().skip(1).map(|(_, images)| images).sum();
        images as f64 / self.recent_time().as_secs_f64().max(1e-9)
    }

    /// Images per second since the epoch began, up to the last step.
    pub(super) fn epoch_speed(&self) -> f64 {
        self.images as f64 / self.stepped().max(1e-9)
    }

    /// The share of the steps' time that was spent waiting for images.
    pub(super) fn waiting(&self) -> f64 {
        self.waited.as_secs_f64() / self.stepped().max(1e-9)
    }

    /// Seconds from the beginning of the epoch to the end of the last step.
    fn stepped(&self) -> f64 {
        let end = self.recent.back().map_or(self.start, |(end, _)| *end);
        (end - self.start).as_secs_f64()
    }

    /// Time left in the epoch, and in the run.
    pub(super) fn left(&self, todo: Todo) -> (Duration, Duration) {
        let steps = self.recent.len().saturating_sub(1).max(1);
        let per_step = self.recent_time().as_secs_f64() / steps as f64;
        let guess = todo.val_images as f64 / self.speed().max(1e-9) / FORWARD_SHARE;
        let validation = self.validation.map_or(guess, |time| time.as_secs_f64());
        let epoch = per_step * todo.epoch_steps as f64;
        let run = epoch + per_step * todo.later_steps as f64 + validation * todo.validations as f64;
        (seconds(epoch), seconds(run))
    }

    fn recent_time(&self) -> Duration {
        match (self.recent.front(), self.recent.back()) {
            (Some((first, _)), Some((last, _))) => *last - *first,
            _ => Duration::ZERO,
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
