//! `alexnet predict`: what is in pictures.

use anyhow::{Result, bail};

use super::model;
use crate::cli::PredictArgs;
use crate::console::{say, thousands, warn};
use crate::evaluate::{Classifier, top};
use crate::output::check_place;
use crate::pictures::{self, Prediction};

/// Labels that are shown for an image.
const LABELS: usize = 5;

/// Runs the command.
///
/// # Errors
/// When there is no model, or an image cannot be read; the others are shown before.
pub fn run(args: &PredictArgs) -> Result<()> {
    check_place(&args.out)?;
    let mut model = model::open(&args.model, &args.device, Some(1))?;
    let side = model.checkpoint.net.augment.image;
    let classes = &model.checkpoint.state.classes;
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, args.model.crops);
    let most = pictures::most_predictions(side);
    if args.images.len() > most {
        let (all, out) = (thousands(args.images.len()), args.out.display());
        warn(format_args!("{all} images are more than a picture holds: {out} will show the first {most}"));
    }
    let mut items = Vec::new();
    let mut failed = 0;
    for path in &args.images {
        let rgb = match dataset::load_image(path, side) {
            Ok(rgb) => rgb,
            Err(error) => {
                failed += 1;
                warn(error);
                continue;
            }
        };
        let top = top(&classifier.classify(&rgb, &[0])?.probabilities, classes, LABELS);
        say(path.display());
        for (label, probability) in &top {
            say(format_args!("  {:>5.1} %  {label}", probability * 100.0));
        }
        if items.len() < most {
            items.push(Prediction { rgb, side, truth: None, top });
        }
    }
    if !items.is_empty() {
        pictures::predictions(&items, &args.out)?;
        say(format_args!("picture: {}", args.out.display()));
    }
    if failed > 0 {
        bail!("{failed} of {} images could not be read", args.images.len());
    }
    Ok(())
}
