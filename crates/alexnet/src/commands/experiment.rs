//! `alexnet experiment`: the paper's controlled experiments, as runs of `train` that differ in one setting.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use convnet::net::Net;
use dataset::Dataset;

use super::{open_data, train};
use crate::checkpoint::{Checkpoint, DataId, EpochRecord};
use crate::cli::{ExperimentArgs, TrainArgs};
use crate::console::{self, clock, quoted, say, thousands};
use crate::experiment::results::{Results, Settings};
use crate::experiment::search::{self, Next};
use crate::experiment::{Done, Experiment, GOAL, Job, estimate, summary};
use crate::interrupt::{self, Interrupt};
use crate::output::write_whole;
use crate::pictures::{self, Arm, Level};
use crate::run_folder::LAST;
use crate::training::Diverged;
use crate::{device, nets};

/// The side of the images of the demo set and of CIFAR-10.
const SMALL: usize = 32;

/// Runs the command.
///
/// # Errors
/// When the experiment cannot begin or go on, or a run ends with an error other than a loss that is not finite.
pub fn run(args: &ExperimentArgs) -> Result<ExitCode> {
    let interrupt = Interrupt::install()?;
    let mut runner = Runner::prepare(args)?;
    runner.introduce()?;
    Ok(match runner.run_all(&interrupt)? {
        true => {
            runner.conclude()?;
            ExitCode::SUCCESS
        }
        false => {
            say(format_args!("stopped; the same command goes on from {}", runner.results.path("").display()));
            ExitCode::from(interrupt::EXIT_CODE)
        }
    })
}

struct Runner<'a> {
    args: &'a ExperimentArgs,
    experiment: Experiment,
    net: Net,
    data: Dataset,
    epochs: usize,
    results: Results,
}

impl<'a> Runner<'a> {
    /// Settles what is compared, and opens the folder.
    fn prepare(args: &'a ExperimentArgs) -> Result<Runner<'a>> {
        let experiment = args.experiment;
        let side = args.data.as_deref().map_or(Ok(Some(SMALL)), Dataset::stored_side)?;
        let default = match (experiment, side) {
            (Experiment::ReluVsTanh, _) => "cifar",
            (_, Some(SMALL)) => "mini",
            _ => "nips2012",
        };
        let (source, origin) = nets::source(args.net.as_deref().unwrap_or(default))?;
        let any_classes = Net::parse(&source, &origin, None)?;
        let data = open_data(args.data.as_deref(), any_classes.augment.image, &any_classes.name)?;
        let net = Net::parse(&source, &origin, Some(data.classes.len()))?;
        let texts = experiment.nets(&source, &origin)?;
        let epochs = args.epochs.unwrap_or(net.training.epochs);
        let id = DataId::of(&data, args.data.as_deref());
        let precision = args.device.precision.unwrap_or_default().to_string();
        let settings = Settings { experiment, data: id, net: source, epochs, precision };
        let default = Path::new("experiments").join(experiment.name());
        let results = Results::open(args.out.as_deref().unwrap_or(&default), &settings)?;
        for (arm, text) in experiment.arms().iter().zip(&texts) {
            write_whole(&results.path(&format!("{arm}.toml")), text.as_bytes())?;
        }
        Ok(Runner { args, experiment, net, data, epochs, results })
    }

    /// Says what will be done, and how long it may take.
    fn introduce(&self) -> Result<()> {
        let [first, second] = self.experiment.arms();
        let (name, seeds, data) = (self.experiment.name(), self.args.seeds, &self.data);
        let word = if seeds == 1 { "seed" } else { "seeds" };
        say(format_args!(
            "experiment {name}: {first} against {second}, net {} on {}, {} training images, {seeds} {word} each",
            self.net.name,
            data.name,
            thousands(data.train.len())
        ));
        let seeded = self.experiment.arms().into_iter().flat_map(|arm| (1..=seeds).map(move |seed| (arm, seed as u64)));
        let is_done = |arm: &str, seed| {
            let done = self.results.done().iter().map(|done| &done.job);
            done.into_iter().any(|job| !job.search && job.arm == arm && job.seed == seed)
        };
        let left = seeded.filter(|&(arm, seed)| !is_done(arm, seed)).count();
        if left == 0 {
            return Ok(());
        }
        let (device, words) = device::open(&self.args.device, self.args.device.precision.unwrap_or_default())?;
        let epoch = estimate::epoch(&self.net, data, device, device::loader_threads(&self.args.device))?;
        let time = |epochs: usize| clock(epoch.checked_mul(epochs as u32).unwrap_or(Duration::MAX));
        let (epochs, all) = (self.epochs, left * self.epochs);
        say(format_args!("device: {words}; an epoch takes about {}", clock(epoch)));
        match self.experiment {
            Experiment::ReluVsTanh => say(format_args!(
                "estimate: at most {} for {left} runs of up to {epochs} epochs, less as soon as they reach {:.0} % training \
                 error; before them a few searches of the rate, {} each",
                time(all),
                100.0 * GOAL,
                time(search::EPOCHS)
            )),
            _ => say(format_args!("estimate: {} for {left} runs of {epochs} epochs", time(all))),
        }
        Ok(())
    }

    /// Does all runs that are not done; false when somebody asked to stop.
    fn run_all(&mut self, interrupt: &Interrupt) -> Result<bool> {
        let arms = self.experiment.arms();
        let mut rates = [None; 2];
        if self.experiment == Experiment::ReluVsTanh {
            for (arm, rate) in arms.iter().zip(&mut rates) {
                match self.search(arm, interrupt)? {
                    Some(best) => *rate = Some(best),
                    None => return Ok(false),
                }
            }
        }
        // Seed by seed, so that a part of them is a comparison, too.
        for seed in 1..=self.args.seeds as u64 {
            for (arm, rate) in arms.iter().zip(rates) {
                let job = Job { arm: (*arm).to_string(), search: false, rate, seed, epochs: self.epochs };
                if self.run_one(&job, interrupt)?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The rate with which an arm learns fastest; none when somebody asked to stop.
    fn search(&mut self, arm: &str, interrupt: &Interrupt) -> Result<Option<f64>> {
        let job = |rate| Job { arm: arm.to_string(), search: true, rate: Some(rate), seed: 1, epochs: search::EPOCHS };
        loop {
            let error = |rate| self.results.find(&job(rate)).map(error_after);
            match search::next(error) {
                Next::Take(rate) => return Ok(Some(rate)),
                Next::Try(rate) if self.run_one(&job(rate), interrupt)?.is_none() => return Ok(None),
                Next::Try(_) => {}
            }
        }
    }

    /// Does a run unless it is done; none when somebody asked to stop.
    fn run_one(&mut self, job: &Job, interrupt: &Interrupt) -> Result<Option<()>> {
        if self.results.find(job).is_some() {
            return Ok(Some(()));
        }
        if interrupt.requested() {
            return Ok(None);
        }
        let folder = self.results.path(&job.name());
        say(format_args!("--- {}", job.name()));
        let mut done = Done { job: job.clone(), history: Vec::new(), diverged: false };
        match self.train(job, &folder, interrupt) {
            Ok(Some(history)) => done.history = history,
            Ok(None) => return Ok(None),
            Err(error) if error.is::<Diverged>() => {
                say(format_args!("{error}"));
                done.diverged = true;
            }
            Err(error) => return Err(error),
        }
        self.results.add(done)?;
        self.draw()?;
        Ok(Some(()))
    }

    /// Trains, or goes on with training that was stopped; the epochs, or none when somebody asked to stop.
    fn train(&self, job: &Job, folder: &Path, interrupt: &Interrupt) -> Result<Option<Vec<EpochRecord>>> {
        let goal = self.goal(job);
        let last = folder.join(LAST);
        if last.exists() {
            // Killed between its last step and the note that it is done.
            let history = Checkpoint::read(&last)?.state.history;
            let reached = goal.is_some_and(|goal| history.last().is_some_and(|record| record.train_top1 <= goal));
            if history.len() >= job.epochs || reached {
                return Ok(Some(history));
            }
        }
        let resume = last.exists().then(|| folder.to_owned());
        let args = TrainArgs {
            data: self.args.data.clone(),
            net: Some(self.results.path(&format!("{}.toml", job.arm)).display().to_string()),
            epochs: Some(job.epochs),
            max_steps: None,
            batch: None,
            lr: job.rate,
            schedule: None,
            seed: Some(job.seed),
            out: resume.is_none().then(|| folder.to_owned()),
            resume,
            save_every: None,
            device: self.args.device.clone(),
        };
        train::part(&args, goal, interrupt)
    }

    /// The training error at which a run ends.
    fn goal(&self, job: &Job) -> Option<f64> {
        (self.experiment == Experiment::ReluVsTanh && !job.search).then_some(GOAL)
    }

    /// The table and the picture, of what is done so far.
    fn draw(&self) -> Result<PathBuf> {
        let (done, classes) = (self.results.done(), self.data.classes.len());
        let table = summary::table(self.experiment, done, classes);
        write_whole(&self.results.path("table.md"), table.as_bytes())?;
        let is_speed = self.experiment == Experiment::ReluVsTanh;
        let value = |record: &EpochRecord| 100.0 * if is_speed { record.train_top1 } else { record.val_top1 };
        let runs = |arm: &str| {
            let runs = done.iter().filter(|done| !done.job.search && done.job.arm == arm);
            runs.map(|done| done.history.iter().map(value).collect()).collect()
        };
        let arms = self.experiment.arms().map(|arm| Arm { name: arm.to_string(), runs: runs(arm) });
        let axis = if is_speed { "Training error (%)" } else { "Validation error, top-1 (%)" };
        let title = format!("{}: {} on {}", self.experiment.name(), self.net.name, self.data.name);
        let level = is_speed.then_some(Level { value: 100.0 * GOAL, name: "25 %" });
        let path = self.results.path("comparison.png");
        if arms.iter().any(|arm: &Arm| !arm.runs.is_empty()) {
            pictures::comparison(&arms, &title, axis, level, &path)?;
        }
        Ok(path)
    }

    fn conclude(&self) -> Result<()> {
        let picture = self.draw()?;
        let table = summary::table(self.experiment, self.results.done(), self.data.classes.len());
        say("");
        say(table.trim_end());
        say("");
        say(format_args!("table: {}, picture: {}", self.results.path("table.md").display(), picture.display()));
        let run = self.results.path(&format!("{}-seed-1", self.experiment.arms()[0]));
        say(format_args!("each run is one like any other: {} eval --model {}", console::program(), quoted(&run)));
        Ok(())
    }
}

/// The training error of a run's last epoch, infinite if it diverged.
fn error_after(done: &Done) -> f64 {
    done.history.last().filter(|_| !done.diverged).map_or(f64::INFINITY, |record| record.train_top1)
}
