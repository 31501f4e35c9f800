//! `alexnet data`: what a data set holds.

use anyhow::Result;
use dataset::{Dataset, Images, Statistics};

use super::natural_side;
use crate::cli::DataArgs;
use crate::console::{Progress, say, thousands, warn};
use crate::output::check_place;
use crate::{device, pictures};

/// Pictures on the sheet, after the mean image.
const PICTURES: usize = 35;
/// Classes that are listed before only their number is given.
const CLASSES: usize = 20;

/// Runs the command.
///
/// # Errors
/// When the data set cannot be opened, or the picture cannot be written.
pub fn run(args: &DataArgs) -> Result<()> {
    check_place(&args.out)?;
    let side = natural_side(&args.data)?;
    let data = Dataset::open(&args.data, side)?;
    say(format_args!(
        "{}: {} classes, {} training and {} validation images of {side}x{side}",
        data.name,
        thousands(data.classes.len()),
        thousands(data.train.len()),
        thousands(data.val.len())
    ));
    classes(&data);
    let statistics = statistics(&data)?;
    colours(&statistics);
    let mut sheet = vec![statistics.mean.iter().map(|value| value.round() as u8).collect()];
    let step = data.train.len().div_ceil(PICTURES).max(1);
    for index in (0..data.train.len()).step_by(step) {
        let mut rgb = vec![0; side * side * 3];
        match data.train.read(index, &mut rgb) {
            Ok(()) => sheet.push(rgb),
            Err(error) => warn(error),
        }
    }
    pictures::sheet(&sheet, side, &args.out)?;
    say(format_args!("picture: {} (the mean image first, then training images)", args.out.display()));
    Ok(())
}

/// Lists classes with their images, those with the fewest first if there are many.
fn classes(data: &Dataset) {
    let count = |images: &dyn Images| {
        let mut counts = vec![0_usize; data.classes.len()];
        (0..images.len()).for_each(|index| counts[images.label(index) as usize] += 1);
        counts
    };
    let (train, val) = (count(data.train.as_ref()), count(data.val.as_ref()));
    let mut order: Vec<usize> = (0..train.len()).collect();
    if order.len() > CLASSES {
        order.sort_by_key(|&class| train[class]);
        say(format_args!("the {CLASSES} smallest classes:"));
    }
    say(format_args!("{:>9} {:>9}  class", "train", "val"));
    for class in order.into_iter().take(CLASSES) {
        say(format_args!("{:>9} {:>9}  {}", thousands(train[class]), thousands(val[class]), data.classes[class]));
    }
}

/// The stored statistics, or those of the training images.
pub(super) fn statistics(data: &Dataset) -> Result<Statistics> {
    if let Some(stored) = &data.statistics {
        return Ok(Statistics::clone(stored));
    }
    let progress = Progress::start("mean image and colours", data.train.len());
    let see = |done| progress.set(done, || "images".to_string());
    let (statistics, skipped) = Statistics::compute(data.train.as_ref(), data.side, device::processors(), &see)?;
    drop(progress);
    if !skipped.is_empty() {
        warn(format_args!("{} training images could not be read", thousands(skipped.len())));
    }
    Ok(statistics)
}

fn colours(statistics: &Statistics) {
    let pixels = statistics.mean.len() as f64 / 3.0;
    let mean = |channel| statistics.mean.iter().skip(channel).step_by(3).map(|&value| f64::from(value)).sum::<f64>();
    let [red, green, blue] = [0, 1, 2].map(|channel| mean(channel) / pixels);
    say(format_args!(
        "mean of {} images: red {red:.1}, green {green:.1}, blue {blue:.1}",
        thousands(statistics.images as usize)
    ));
    say("colour directions: standard deviation (of 0..255), eigenvalue (of 0..255, of 0..1), red green blue");
    for (value, [red, green, blue]) in statistics.eigenvalues.iter().zip(statistics.eigenvectors) {
        let (deviation, unit) = (value.sqrt(), value / (255.0 * 255.0));
        say(format_args!("  {deviation:>7.2} {value:>9.1} {unit:>8.4}   {red:>6.3} {green:>6.3} {blue:>6.3}"));
    }
}
