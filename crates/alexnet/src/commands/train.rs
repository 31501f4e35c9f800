//! `alexnet train`: begins a run or goes on with one.

mod begin;
mod resume;

use std::process::ExitCode;

use anyhow::{Context, Result};
use convnet::net::Net;
use convnet::ops::Device;
use convnet::run::Network;
use dataset::{Dataset, Statistics};
use serde_json::json;

use crate::checkpoint::{self, Checkpoint, EpochRecord, State};
use crate::cli::TrainArgs;
use crate::console::{self, Progress, percent, quoted, say, thousands};
use crate::interrupt::{self, Interrupt};
use crate::run_folder::{self, LAST, RunFolder, STATISTICS};
use crate::skips::Skips;
use crate::training::{Ending, Options, Parts, Run, Schedule};
use crate::{describe, device, environment, inside};

/// Runs the command.
///
/// # Errors
/// When the run cannot begin, or does not come to a good end.
pub fn run(args: &TrainArgs) -> Result<ExitCode> {
    let mut start = Start::prepare(args)?;
    let interrupt = Interrupt::install()?;
    let trained = start.train(args, None, &interrupt)?;
    match &trained {
        Some(trained) => conclude(&start, trained),
        None => say("stopped before the first step; nothing was kept"),
    }
    let stopped = trained.is_none_or(|trained| trained.ending == Ending::Interrupt);
    Ok(if stopped { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// A run as a part of something larger; it ends when its training error is as low as `goal`, too. Its epochs; none
/// when somebody asked to stop.
///
/// # Errors
/// As [`run`].
pub(super) fn part(args: &TrainArgs, goal: Option<f64>, interrupt: &Interrupt) -> Result<Option<Vec<EpochRecord>>> {
    let mut start = Start::prepare(args)?;
    let trained = start.train(args, goal, interrupt)?;
    Ok(trained.filter(|trained| trained.ending != Ending::Interrupt).map(|_| start.state.history))
}

/// A run before its first step.
struct Start {
    net: Net,
    data: Dataset,
    state: State,
    /// What it goes on from.
    checkpoint: Option<Checkpoint>,
    folder: RunFolder,
}

/// What training came to.
struct Trained {
    ending: Ending,
    /// What [`Run::colours`] gives.
    colours: Option<Vec<f64>>,
}

/// A network with the statistics of its images, and images that could not be read.
type Prepared = (Network<Box<dyn Device>>, Statistics, Skips);

impl Start {
    fn prepare(args: &TrainArgs) -> Result<Start> {
        match &args.resume {
            Some(path) => resume::prepare(args, path),
            None => begin::prepare(args),
        }
    }

    /// Makes the network and the statistics; none when somebody asked to stop.
    fn make(&mut self, args: &TrainArgs, interrupt: &Interrupt) -> Result<Option<Prepared>> {
        let (device, device_words) = device::open(&args.device, self.state.settings.precision)?;
        self.introduce(&device_words);
        let settings = &self.state.settings;
        let schedule = Schedule::new(&self.net, &settings.schedule, settings.epochs, settings.rate)?;
        let mut network = Network::for_training(&self.net, settings.batch, device)?;
        let mut skips = Skips::new("training", self.data.train.len());
        // Taken, since its numbers need as much memory as the network has.
        let statistics = match self.checkpoint.take() {
            Some(checkpoint) => {
                checkpoint.restore(&mut network, true)?;
                resume::catch_up(&self.folder, &checkpoint, &schedule)?;
                checkpoint.statistics
            }
            None => {
                network.initialise(settings.seed)?;
                let Some(statistics) = statistics(&self.data, args, interrupt, &mut skips)? else { return Ok(None) };
                statistics
            }
        };
        let path = self.folder.file(STATISTICS);
        if !path.exists() {
            checkpoint::save_statistics(&path, &statistics)?;
        }
        Ok(Some((network, statistics, skips)))
    }

    /// Says what will be trained, on what, where, and how.
    fn introduce(&mut self, device: &str) {
        let Start { net, data, state, folder, .. } = self;
        let settings = &state.settings;
        let (parameters, products) = (thousands(net.parameters()), thousands(net.multiply_adds()));
        say(format_args!("net {}: {parameters} parameters, {products} multiply-adds an image", net.name));
        net.layers.iter().filter_map(describe::layer).for_each(|words| say(format_args!("  {words}")));
        say(format_args!(
            "data {}: {} classes, {} training images in a new order every epoch, {} validation images",
            data.name,
            thousands(data.classes.len()),
            thousands(data.train.len()),
            thousands(data.val.len())
        ));
        say(format_args!("device: {device}"));
        say(format_args!(
            "training: {} epochs of {} steps, batch {}, rate {}, schedule {}, seed {}",
            settings.epochs,
            thousands(data.train.len().div_ceil(settings.batch)),
            settings.batch,
            settings.rate.unwrap_or(net.training.rate),
            settings.schedule,
            settings.seed
        ));
        // Parameters and velocities; the mean image is small beside them.
        let size = net.parameters() as u64 * 8 + (net.augment.image as u64).pow(2) * 12;
        say(format_args!(
            "run: {}, with checkpoints of {} (at most {} of them)",
            folder.path().display(),
            console::bytes(size),
            run_folder::MAX_CHECKPOINTS
        ));
        folder.log(&json!({
            "kind": if state.position.steps == 0 { "start" } else { "resume" },
            "program": concat!("alexnet ", env!("CARGO_PKG_VERSION")),
            "net": net.name,
            "parameters": net.parameters(),
            "data": state.data,
            "classes": data.classes.len(),
            "settings": settings,
            "device": device,
            "environment": environment::describe(),
            "steps": state.position.steps,
        }));
    }

    /// Trains until there is a reason to stop; none when somebody asked to before the first step.
    fn train(&mut self, args: &TrainArgs, goal: Option<f64>, interrupt: &Interrupt) -> Result<Option<Trained>> {
        let Some((network, statistics, skips)) = self.make(args, interrupt)? else { return Ok(None) };
        let Start { net, data, state, folder, .. } = self;
        let options = Options {
            loader_threads: device::loader_threads(&args.device),
            max_steps: args.max_steps,
            save_every: args.save_every,
            goal,
        };
        let (statistics, begin) = (&statistics, state.clone());
        let parts = Parts { net, data, statistics, network, state: begin, skips, folder, options, interrupt };
        let mut run = Run::new(parts)?;
        let ending = run.train()?;
        let colours = run.colours()?;
        *state = run.state().clone();
        Ok(Some(Trained { ending, colours }))
    }
}

/// Mean image and colour statistics of the training images, stored or computed; none when somebody asked to stop.
fn statistics(
    data: &Dataset,
    args: &TrainArgs,
    interrupt: &Interrupt,
    skips: &mut Skips,
) -> Result<Option<Statistics>> {
    if let Some(stored) = &data.statistics {
        return Ok(Some(Statistics::clone(stored)));
    }
    let progress = Progress::start("mean image and colours", data.train.len());
    let images = interrupt.guard(data.train.as_ref());
    // Nothing else runs yet: all processors decode.
    let threads = device::threads(&args.device);
    let computed =
        Statistics::compute(&images, data.side, threads, &|done| progress.set(done, || "images".to_string()));
    drop(progress);
    if interrupt.requested() {
        return Ok(None);
    }
    let (statistics, skipped) = computed.with_context(|| format!("data {}", data.name))?;
    skips.add(&skipped)?;
    Ok(Some(statistics))
}

/// Says how the run ended and what can be done next.
fn conclude(start: &Start, trained: &Trained) {
    let Start { state, data, folder, .. } = start;
    let Trained { ending, colours } = trained;
    let run = quoted(folder.path());
    let program = console::program();
    let position = &state.position;
    let steps = thousands(position.steps);
    match ending {
        Ending::Epochs | Ending::Goal => say(format_args!("done: {} epochs, {steps} steps", position.epoch)),
        Ending::Plateau => say(format_args!(
            "done after {} epochs, {steps} steps: the error stopped improving at the lowest rate",
            position.epoch
        )),
        Ending::Steps | Ending::Interrupt => say(format_args!(
            "stopped after step {} of epoch {}, {steps} steps in all; saved in {}",
            position.step,
            position.epoch + 1,
            folder.file(LAST).display()
        )),
    }
    if let (Some(last), Some(best)) = (state.history.last(), state.best()) {
        say(format_args!(
            "validation error: top-1 {} %, top-5 {} %; the best top-1 was {} % after epoch {}",
            percent(last.val_top1),
            percent(last.val_top5),
            percent(state.history[best].val_top1),
            best + 1
        ));
    }
    if let Some(colours) = colours {
        say_colours(colours);
    }
    say(format_args!("run folder: {} (pictures, log.jsonl, TensorBoard events, checkpoints)", folder.path().display()));
    say("next:");
    if matches!(ending, Ending::Steps | Ending::Interrupt) {
        say(format_args!("  {program} train --resume {run}"));
    }
    say(format_args!("  {program} eval --model {run} --crops 10"));
    say(format_args!("  {program} report {run}"));
    if let Some(image) = inside::example(data, folder.path()) {
        say(format_args!("  {program} predict --model {run} {}", quoted(&image)));
    }
}

/// Says the share of colour of each tower's first kernels; towers count from 1, as in pictures.
pub(super) fn say_colours(shares: &[f64]) {
    let shares = shares.iter().enumerate().map(|(tower, share)| format!("tower {} {} %", tower + 1, percent(*share)));
    let shares = shares.collect::<Vec<_>>().join(", ");
    say(format_args!("colour in the first kernels (grey 0 %, random 66.67 %): {shares}"));
}
