//! `alexnet ensemble`: the average of several networks' probabilities.

use anyhow::Result;
use convnet::run::Outcome;

use crate::cli::EnsembleArgs;
use crate::console::{say, thousands};
use crate::output::check_place;
use crate::probabilities::Members;

/// Runs the command.
///
/// # Errors
/// When a file cannot be read, or they do not go together.
pub fn run(args: &EnsembleArgs) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_place)?;
    let members = Members::read(&args.files)?;
    for (path, member) in args.files.iter().zip(members.each()) {
        say(format_args!("{}  {}", errors(&member.outcome(|_| true)), path.display()));
    }
    let equal = vec![1.0 / args.files.len() as f64; args.files.len()];
    let mut average = members.average(&equal);
    let images = thousands(average.images.len());
    say(format_args!("{}  average over {images} images", errors(&average.outcome(|_| true))));
    if args.search {
        let weights = members.search(|_| true);
        average = members.average(&weights);
        let list: Vec<String> = weights.iter().map(|weight| format!("{weight:.3}")).collect();
        let list = list.join(" ");
        say(format_args!(
            "{}  with the coefficients {list}, found on these same images",
            errors(&average.outcome(|_| true))
        ));
        if average.images.len() > 1 {
            // What they are worth elsewhere: found on every other image, measured on the rest, both ways.
            let mut honest = Outcome::default();
            for half in [0, 1] {
                let weights = members.search(|image| image % 2 == half);
                honest.add(members.average(&weights).outcome(|image| image % 2 != half));
            }
            say(format_args!("{}  with coefficients found on the other half of the images", errors(&honest)));
        }
    }
    if let Some(path) = &args.out {
        average.write(path)?;
        say(format_args!("probabilities: {}", path.display()));
    }
    Ok(())
}

fn errors(outcome: &Outcome) -> String {
    let percent = |fraction: f64| fraction * 100.0;
    let (top1, top5) = (percent(outcome.top1_error()), percent(outcome.top5_error()));
    format!("top-1 error {top1:.2} %, top-5 error {top5:.2} %, loss {:.4}", outcome.mean_loss())
}
