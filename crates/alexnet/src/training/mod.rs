//! The training loop: epochs of steps, validation, checkpoints, and stopping in between.
//!
//! What a run computes is a function of its [`State`], the parameters and velocities on the device, and the data.
//! So a run that goes on from a checkpoint gives the same bits as one that never stopped, wherever it was in an epoch.

mod failure;
mod meter;
mod report;
mod schedule;
mod stall;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow};
use convnet::augment::Sampler;
use convnet::net::Net;
use convnet::ops::{Device, Step};
use convnet::run::{Network, Outcome};
use dataset::{Batch, Dataset, Loader, Statistics, permutation};

use crate::checkpoint::{self, EpochRecord, NotFinite, Position, State, Sums};
use crate::console;
use crate::device::AHEAD;
use crate::evaluate::{self, Classifier, Split};
use crate::inside;
use crate::interrupt::Interrupt;
use crate::pictures;
use crate::run_folder::{LAST, RunFolder};
use crate::skips::Skips;
pub use failure::Diverged;
use meter::Meter;
use stall::StallWatch;

pub use report::error_of;
pub use schedule::{Plateau, Rates, Schedule, names};

/// How often a run is saved within an epoch.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);
/// Steps, and time, between lines of the log.
const LOG_STEPS: usize = 20;
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// What does not change what a run computes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that decode.
    pub loader_threads: usize,
    /// Steps of the whole run after which it stops.
    pub max_steps: Option<usize>,
    /// Steps between checkpoints within an epoch, besides those of every five minutes.
    pub save_every: Option<usize>,
    /// The training error after whose epoch the run ends.
    pub goal: Option<f64>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Epochs,
    /// The plateau rule has nothing left to divide.
    Plateau,
    /// The training error is as low as asked.
    Goal,
    /// As many steps as asked are done.
    Steps,
    /// Somebody asked to stop.
    Interrupt,
}

/// What a run is made of.
pub struct Parts<'a, D> {
    /// The net.
    pub net: &'a Net,
    /// The images.
    pub data: &'a Dataset,
    /// Their statistics.
    pub statistics: &'a Statistics,
    /// The network, with the parameters that belong to the state.
    pub network: Network<D>,
    /// Where the run begins.
    pub state: State,
    /// Images that could not be read so far.
    pub skips: Skips,
    /// Where it is written.
    pub folder: &'a mut RunFolder,
    /// What does not change what it computes.
    pub options: Options,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
}

/// A run.
pub struct Run<'a, D> {
    parts: Parts<'a, D>,
    sampler: Sampler,
    schedule: Schedule,
    val_skips: Skips,
    meter: Meter,
    stall: StallWatch,
    /// When and where the run was saved last.
    saved: (Instant, Option<Position>),
    /// When the last line of the log was written, and what the epoch's results were then.
    logged: (Instant, Sums),
}

impl<'a, D: Device> Run<'a, D> {
    /// Prepares a run.
    ///
    /// # Errors
    /// When the net has not the schedule of the settings, and those of the device.
    pub fn new(mut parts: Parts<'a, D>) -> Result<Self> {
        let Parts { net, data, statistics, .. } = parts;
        let settings = &parts.state.settings;
        let schedule = Schedule::new(net, &settings.schedule, settings.epochs, settings.rate)?;
        let sampler = Sampler::new(&net.augment, statistics.eigenvalues, statistics.eigenvectors);
        parts.network.set_mean(&sampler.mean(&statistics.mean))?;
        let labels = (0..data.train.len()).map(|index| data.train.label(index));
        let stall = StallWatch::new(labels, data.train.len().div_ceil(settings.batch));
        let val_skips = Skips::new("validation", data.val.len());
        let (saved, logged) = ((Instant::now(), None), (Instant::now(), Sums::default()));
        Ok(Run { parts, sampler, schedule, val_skips, meter: Meter::default(), stall, saved, logged })
    }

    /// How far the run is.
    pub fn state(&self) -> &State {
        &self.parts.state
    }

    /// The share of colour in the first layer's kernels, for each of several towers.
    ///
    /// # Errors
    /// Those of the device.
    pub fn colours(&self) -> Result<Option<Vec<f64>>> {
        let network = &self.parts.network;
        inside::colours(self.parts.net, network.parameters(), |parameter| Ok(network.read(parameter.value)?))
    }

    /// Trains until there is a reason to stop; everything is saved then.
    ///
    /// # Errors
    /// When the loss is not finite, too many images cannot be read, or a checkpoint cannot be written.
    pub fn train(&mut self) -> Result<Ending> {
        self.parts.folder.begin();
        console::say(report::HEADER);
        let ending = loop {
            let state = &self.parts.state;
            if state.position.epoch >= state.settings.epochs {
                break Ending::Epochs;
            }
            let error = state.history.last().map(|record| record.train_top1);
            if error.zip(self.parts.options.goal).is_some_and(|(error, goal)| error <= goal) {
                break Ending::Goal;
            }
            if self.schedule.over(&state.errors()) {
                break Ending::Plateau;
            }
            if let Some(ending) = self.train_epoch()? {
                break ending;
            }
            match self.validate()? {
                Some(outcome) => self.end_epoch(outcome)?,
                None => break Ending::Interrupt,
            }
        };
        if self.saved.1.as_ref() != Some(&self.parts.state.position) {
            self.save()?;
        }
        self.parts.folder.log(&report::stop(ending, &self.parts.state));
        self.draw();
        Ok(ending)
    }

    /// Steps to the end of the epoch; a reason to stop before it.
    fn train_epoch(&mut self) -> Result<Option<Ending>> {
        let Parts { data, options, .. } = self.parts;
        let epoch = self.parts.state.position.epoch;
        let rates = self.rates(epoch);
        if epoch > 0 && rates != self.rates(epoch - 1) {
            console::say(report::rates(epoch, &rates));
        }
        let by_parameter = rates.by_parameter(self.parts.network.parameters());
        let mut loader = self.loader();
        let mut step = Step::default();
        let progress = self.progress("epoch");
        self.meter.begin_epoch();
        self.logged = (Instant::now(), self.parts.state.position.sums);
        while self.parts.state.position.step < self.epoch_steps() {
            if self.parts.interrupt.requested() {
                return Ok(Some(Ending::Interrupt));
            }
            if options.max_steps.is_some_and(|most| self.parts.state.position.steps >= most) {
                return Ok(Some(Ending::Steps));
            }
            let asked = Instant::now();
            let Some(mut batch) = loader.next() else { break };
            let waited = asked.elapsed();
            self.parts.skips.add(&batch.skipped)?;
            let images = batch.len();
            if images > 0 {
                self.step(&mut batch, &mut step, &by_parameter, rates.colour_noise)?;
            }
            loader.recycle(batch);
            self.meter.step(images, waited);
            let position = &mut self.parts.state.position;
            (position.step, position.steps) = (position.step + 1, position.steps + 1);
            position.images += images as u64;
            let (done, at_end) = (position.step, position.step * self.parts.state.settings.batch >= data.train.len());
            progress.set(done, || report::message(&self.parts.state, &self.meter, self.todo(), progress.is_wide()));
            if done.is_multiple_of(LOG_STEPS) || at_end || self.logged.0.elapsed() >= LOG_INTERVAL {
                self.parts.folder.log(&report::step(&self.parts.state, &self.logged.1, &rates, &self.meter));
                self.logged = (Instant::now(), self.parts.state.position.sums);
            }
            if !at_end && self.save_is_due() {
                self.save()?;
            }
        }
        Ok(None)
    }

    /// Batches from where the epoch stands.
    fn loader(&self) -> Loader {
        let Parts { data, state, options, .. } = &self.parts;
        let mut order = permutation(state.settings.seed, state.position.epoch as u32, data.train.len());
        order.drain(..order.len().min(state.position.step * state.settings.batch));
        Loader::start(Arc::clone(&data.train), data.side, order, state.settings.batch, options.loader_threads, AHEAD)
    }

    fn progress(&self, what: &str) -> console::Progress {
        let (state, of) = (&self.parts.state, self.parts.state.settings.epochs);
        console::Progress::start(format!("{what} {}/{of}", state.position.epoch + 1), self.epoch_steps())
    }

    fn step(&mut self, batch: &mut Batch, step: &mut Step, rates: &[f32], colour_noise: f64) -> Result<()> {
        let Position { epoch, .. } = self.parts.state.position;
        let seed = self.parts.state.settings.seed;
        // The batch gets the buffers of the step before the last.
        std::mem::swap(&mut step.rgb, &mut batch.rgb);
        std::mem::swap(&mut step.labels, &mut batch.labels);
        std::mem::swap(&mut step.ids, &mut batch.ids);
        step.draws = self.sampler.training(seed, epoch as u32, &step.ids, colour_noise);
        (step.seed, step.epoch) = (seed, epoch as u32);
        step.rates.clear();
        step.rates.extend_from_slice(rates);
        let outcome = self.parts.network.train(step).map_err(|error| self.broken(error))?;
        if !outcome.loss.is_finite() {
            return Err(self.not_finite("the loss is"));
        }
        self.parts.state.position.sums.add(outcome);
        if self.stall.step(outcome.mean_loss()) {
            let signals = self.parts.network.signals()?;
            console::warn(self.stall.advice(&signals));
        }
        Ok(())
    }

    /// Measures the validation images; none when somebody asked to stop.
    fn validate(&mut self) -> Result<Option<Outcome>> {
        let start = Instant::now();
        let Parts { data, network, state, interrupt, options, .. } = &mut self.parts;
        let progress = console::Progress::start(format!("validation {}", state.position.epoch + 1), data.val.len());
        let split =
            Split { images: &data.val, side: data.side, batch: state.settings.batch, threads: options.loader_threads };
        let mut classifier = Classifier::new(network, &self.sampler, 1);
        let outcome = evaluate::evaluate(&mut classifier, &split, &mut self.val_skips, &mut |seen| {
            progress.set(seen.done, || error_of(seen.total));
            !interrupt.requested()
        })?;
        drop(progress);
        self.meter.validated(start.elapsed());
        match outcome {
            Some(outcome) if !outcome.loss.is_finite() => Err(self.not_finite("the validation loss is")),
            outcome => Ok(outcome),
        }
    }

    /// Enters the epoch into the history, saves, and tells about it.
    fn end_epoch(&mut self, val: Outcome) -> Result<()> {
        let rate = self.rates(self.parts.state.position.epoch).weights;
        let state = &mut self.parts.state;
        let train = state.position.sums.outcome();
        if train.images == 0 {
            return Err(anyhow!("none of the training images could be read"));
        }
        state.history.push(EpochRecord {
            train_loss: train.mean_loss(),
            train_top1: train.top1_error(),
            val_loss: val.mean_loss(),
            val_top1: val.top1_error(),
            val_top5: val.top5_error(),
            rate,
        });
        let Position { epoch, steps, images, .. } = state.position;
        state.position = Position { epoch: epoch + 1, steps, images, ..Position::default() };
        let is_best = state.best() == Some(epoch);
        self.save()?;
        self.parts.folder.log(&report::epoch(&self.parts.state, &self.meter));
        console::say(report::row(&self.parts.state, &self.meter, is_best));
        let rates = self.parts.state.rates(self.rates(epoch + 1).weights);
        let Parts { folder, .. } = &self.parts;
        // A run that ends before this catches up on it when it goes on.
        folder.keep(&folder.file(LAST), is_best, epoch + 1, &rates).map_err(|error| self.unsaved(error))?;
        self.draw();
        Ok(())
    }

    /// The rates of an epoch that is done or next.
    fn rates(&self, epoch: usize) -> Rates {
        let errors = self.parts.state.errors();
        self.schedule.rates(epoch, &errors[..epoch.min(errors.len())])
    }

    fn epoch_steps(&self) -> usize {
        self.parts.data.train.len().div_ceil(self.parts.state.settings.batch)
    }

    fn todo(&self) -> meter::Todo {
        let State { position, settings, .. } = &self.parts.state;
        let epoch_steps = self.epoch_steps() - position.step;
        let mut later_steps = (settings.epochs - position.epoch - 1) * self.epoch_steps();
        let mut validations = settings.epochs - position.epoch;
        let mut in_epoch = epoch_steps;
        if let Some(most) = self.parts.options.max_steps {
            let left = most.saturating_sub(position.steps);
            in_epoch = epoch_steps.min(left);
            later_steps = later_steps.min(left - in_epoch);
            validations = validations.min((position.step + left) / self.epoch_steps());
        }
        meter::Todo { epoch_steps: in_epoch, later_steps, validations, val_images: self.parts.data.val.len() }
    }

    fn save_is_due(&self) -> bool {
        let steps = self.parts.state.position.steps;
        let asked = self.parts.options.save_every.is_some_and(|every| steps.is_multiple_of(every));
        asked || self.saved.0.elapsed() >= SAVE_INTERVAL
    }

    fn save(&mut self) -> Result<()> {
        let Parts { folder, state, statistics, network, .. } = &self.parts;
        let saved = checkpoint::save(&folder.file(LAST), state, statistics, network);
        if let Err(error) = saved {
            return Err(if error.is::<NotFinite>() { self.not_finite("parameters are") } else { self.unsaved(error) });
        }
        let state = &self.parts.state;
        self.saved = (Instant::now(), Some(state.position.clone()));
        Ok(())
    }

    /// The error of a checkpoint that cannot be written; says how to go on.
    fn unsaved(&self, error: Error) -> Error {
        let folder = self.parts.folder.path();
        match self.parts.folder.file(LAST).exists() {
            true => anyhow!("{error:#}. When that is repaired, go on with --resume {}", console::quoted(folder)),
            false => error,
        }
    }

    /// Draws the run's pictures. One that cannot be drawn is a warning.
    fn draw(&mut self) {
        let Parts { net, data, network, state, folder, .. } = &mut self.parts;
        let title = format!("{} on {}", net.name, data.name);
        let mut drawn = Vec::new();
        let filters = inside::filters(network.parameters(), |parameter| Ok(network.read(parameter.value)?));
        let to = folder.file("filters.png");
        drawn.push(filters.and_then(|towers| Ok(towers.map_or(Ok(()), |towers| pictures::filters(&towers, &to))?)));
        if !state.history.is_empty() {
            let points = inside::points(&state.history);
            drawn.push(pictures::curves(&points, &title, &folder.file("curves.png")).map_err(Error::from));
        }
        let items = inside::predictions(&mut Classifier::new(network, &self.sampler, 1), data);
        drawn.push(items.and_then(|items| Ok(pictures::predictions(&items, &folder.file("predictions.png"))?)));
        for error in drawn.into_iter().filter_map(Result::err) {
            console::warn(format_args!("{error:#}"));
        }
    }
}
