//! Going on with a run.

use std::path::Path;

use anyhow::{Result, bail};
use convnet::net::Net;

use super::Start;
use crate::checkpoint::{self, Checkpoint, DataId, State};
use crate::cli::TrainArgs;
use crate::commands::{check_classes, open_data};
use crate::console::{quoted, say, warn};
use crate::nets;
use crate::run_folder::{self, BEST, LAST, RunFolder};
use crate::training::Schedule;

/// Reads the checkpoint and opens its data and folder.
pub(super) fn prepare(args: &TrainArgs, path: &Path) -> Result<Start> {
    let path = run_folder::checkpoint_in(path, [LAST, BEST])?;
    let checkpoint = Checkpoint::read(&path)?;
    let mut state = checkpoint.state.clone();
    let net = checkpoint.net.clone();
    if let Some(name) = &args.net
        && nets::source(name)?.0 != state.net
    {
        bail!("{} was trained with net {}, which is not {name}; leave --net out", path.display(), net.name);
    }
    let precision = state.settings.precision;
    if let Some(other) = args.device.precision.filter(|&other| other != precision) {
        bail!("{} was trained in {precision}, which is not {other}; leave --precision out", path.display());
    }
    let folder = args.data.as_deref().or(state.data.folder.as_deref());
    let data = open_data(folder, net.augment.image, &net.name)?;
    check_classes(&data, &state.classes, &path)?;
    let id = DataId::of(&data, folder);
    if (id.train, id.val) != (state.data.train, state.data.val) {
        bail!(
            "data {} has {} training and {} validation images, {} was trained on {} and {}: \
             the order of the images would be another. Bring the data back, or begin a new run",
            data.name,
            id.train,
            id.val,
            path.display(),
            state.data.train,
            state.data.val
        );
    }
    match state.data.names {
        None => warn(format_args!(
            "{} does not know the names of its images: whether data {} has the same ones cannot be checked",
            path.display(),
            data.name
        )),
        names if names != id.names => bail!(
            "data {} has as many images as {} was trained on, but other ones: their names, order or labels differ. \
             Bring the data back, or begin a new run",
            data.name,
            path.display()
        ),
        _ => {}
    }
    state.data = id;
    let recorded = recorded_rate(&net, &state)?;
    state.settings.epochs = args.epochs.unwrap_or(state.settings.epochs);
    let settings = &state.settings;
    let (epoch, steps) = (state.position.epoch, state.position.steps);
    let schedule = Schedule::new(&net, &settings.schedule, settings.epochs, settings.rate)?;
    let all_epochs = epoch >= settings.epochs;
    if all_epochs || schedule.over(&state.errors()) {
        let own = folder_of_checkpoint(&path);
        if args.out.is_none() && path == own.join(LAST) && RunFolder::is_run(own) {
            catch_up(&RunFolder::reopen(own)?, &checkpoint, &schedule)?;
        }
        let (path, all, more) = (path.display(), settings.epochs, epoch + 1);
        if all_epochs {
            bail!("{path} is done: {epoch} of {all} epochs; --epochs {more} or more trains on");
        }
        bail!("{path} is done: the error stopped improving at the lowest rate");
    }
    if args.max_steps.is_some_and(|most| most <= steps) {
        bail!("{} has {steps} steps already; give --max-steps above that, it counts the whole run", path.display());
    }
    let rate = schedule.rates(epoch, &state.errors()).weights;
    // Not by the rounding of a product.
    if let Some(before) = recorded.filter(|before| rate > before * 1.000_001) {
        warn(format_args!(
            "with {} epochs the schedule is back at an earlier stage: the rate goes up again, from {before} to {rate}",
            settings.epochs
        ));
    }
    let folder = folder_of(args, &path, &net.name)?;
    say(format_args!("going on from {} (epoch {}, step {})", path.display(), epoch + 1, state.position.step));
    Ok(Start { net, data, state, checkpoint: Some(checkpoint), folder })
}

/// The folder that a run goes on in: its own, unless that would overwrite what came after the checkpoint.
fn folder_of(args: &TrainArgs, path: &Path, net: &str) -> Result<RunFolder> {
    let own = folder_of_checkpoint(path);
    if args.out.is_some() || !RunFolder::is_run(own) {
        return RunFolder::create(args.out.as_deref(), net);
    }
    let last = own.join(LAST);
    if path != last && Checkpoint::read(&last).is_ok() {
        bail!(
            "{} is not the last checkpoint of its run, and going on from it would overwrite that; \
             give another folder with --out, or --resume {} for the last one",
            path.display(),
            quoted(own)
        );
    }
    RunFolder::reopen(own)
}

/// The rate that the run had last: in the epoch it is in, or in the one before; none before its first step.
fn recorded_rate(net: &Net, state: &State) -> Result<Option<f64>> {
    let State { settings, position, .. } = state;
    if position.step == 0 {
        return Ok(state.history.last().map(|record| record.rate));
    }
    let schedule = Schedule::new(net, &settings.schedule, settings.epochs, settings.rate)?;
    Ok(Some(schedule.rates(position.epoch, &state.errors()).weights))
}

fn folder_of_checkpoint(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the copies of checkpoints that belong in `folder` and are not there: those of an epoch whose run ended
/// between saving and copying, and all of them where a run goes on in a new folder.
pub(super) fn catch_up(folder: &RunFolder, checkpoint: &Checkpoint, schedule: &Schedule) -> Result<()> {
    let Checkpoint { path, state, .. } = checkpoint;
    if !folder.file(LAST).exists() {
        checkpoint::copy(path, &folder.file(LAST))?;
    }
    let Some(best) = state.best() else { return Ok(()) };
    let epochs = state.history.len();
    let is_saved_after_it = state.position.step == 0;
    if is_saved_after_it {
        let errors = state.errors();
        let rates = state.rates(schedule.rates(epochs, &errors).weights);
        folder.keep(path, best + 1 == epochs, epochs, &rates)?;
    }
    if folder.file(BEST).exists() {
        return Ok(());
    }
    let own = folder_of_checkpoint(path);
    let candidates = [own.join(BEST), own.join(run_folder::epoch_name(best + 1))];
    match candidates.iter().find(|candidate| is_of_history(candidate, state, best)) {
        Some(found) => checkpoint::copy(found, &folder.file(BEST)),
        None => {
            warn(format_args!(
                "there is no checkpoint of the best epoch so far, {}; {} comes with the first epoch that is better",
                best + 1,
                folder.file(BEST).display()
            ));
            Ok(())
        }
    }
}

/// Whether a file is the checkpoint of a run after its epoch `best`.
fn is_of_history(path: &Path, state: &State, best: usize) -> bool {
    Checkpoint::read(path).is_ok_and(|other| {
        let (mine, its) = (&state.settings, &other.state.settings);
        other.state.net == state.net
            && (its.seed, its.batch, its.rate, its.precision) == (mine.seed, mine.batch, mine.rate, mine.precision)
            && other.state.history == state.history[..=best]
            && other.state.position.step == 0
    })
}
