//! `alexnet eval`: the errors of a trained network.

use std::time::Instant;

use anyhow::Result;

use super::{check_classes, model, open_data};
use crate::cli::EvalArgs;
use crate::console::{Progress, say, thousands};
use crate::device;
use crate::evaluate::{Classifier, Split, evaluate};
use crate::output::check_place;
use crate::probabilities::Probabilities;
use crate::skips::Skips;
use crate::training::error_of;

/// Runs the command.
///
/// # Errors
/// When there is no model or no data, or they do not fit.
pub fn run(args: &EvalArgs) -> Result<()> {
    args.save_probabilities.as_deref().map_or(Ok(()), check_place)?;
    let mut model = model::open(&args.model, &args.device, args.batch)?;
    let checkpoint = &model.checkpoint;
    let folder = args.data.as_deref().or(checkpoint.state.data.folder.as_deref());
    let data = open_data(folder, checkpoint.net.augment.image, &checkpoint.net.name)?;
    check_classes(&data, &checkpoint.state.classes, &checkpoint.path)?;
    let views = if args.model.crops == 1 { "centre crop" } else { "10 crops averaged" };
    say(format_args!("data {}: {} validation images, {views}", data.name, thousands(data.val.len())));

    let split = Split {
        images: &data.val,
        side: data.side,
        batch: args.batch.unwrap_or(checkpoint.state.settings.batch),
        threads: device::loader_threads(&args.device),
    };
    let mut skips = Skips::new("validation", data.val.len());
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, args.model.crops);
    let start = Instant::now();
    let progress = Progress::start("eval", data.val.len());
    let mut saved = Probabilities { classes: data.classes.clone(), ..Probabilities::default() };
    let outcome = evaluate(&mut classifier, &split, &mut skips, &mut |seen| {
        progress.set(seen.done, || error_of(seen.total));
        if args.save_probabilities.is_some() {
            saved.images.extend(seen.batch.ids.iter().map(|&id| data.val.name(id as usize)));
            saved.labels.extend(&seen.batch.labels);
            saved.values.extend(seen.probabilities);
        }
        true
    })?;
    drop(progress);
    let Some(outcome) = outcome else { return Ok(()) };
    say(format_args!(
        "top-1 error {:.2} %, top-5 error {:.2} %, loss {:.4}",
        outcome.top1_error() * 100.0,
        outcome.top5_error() * 100.0,
        outcome.mean_loss()
    ));
    let speed = outcome.images as f64 / start.elapsed().as_secs_f64();
    let left_out = match skips.count() {
        0 => String::new(),
        count => format!(", {} left out", thousands(count)),
    };
    say(format_args!("{} images{left_out}, {} images/s", thousands(outcome.images), thousands(speed as usize)));
    if let Some(path) = &args.save_probabilities {
        saved.write(path)?;
        say(format_args!("probabilities: {}", path.display()));
    }
    Ok(())
}
