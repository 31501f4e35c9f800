//! `alexnet prepare`: packs images into a data set.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dataset::{Dataset, Encoding, Prepared};

use crate::cli::PrepareArgs;
use crate::console::{self, Progress, clock, quoted, say, thousands, warn};
use crate::device;
use crate::interrupt::{self, Interrupt};

/// Runs the command.
///
/// # Errors
/// When the source has no images, or the data set cannot be written.
pub fn run(args: &PrepareArgs) -> Result<ExitCode> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let out = absolute(&args.out);
    if let Some(source) = args.sources.iter().find(|source| out.starts_with(absolute(source))) {
        bail!("{} lies inside {}; give an --out beside it", args.out.display(), source.display());
    }
    let interrupt = Interrupt::install()?;
    let folder = args.sources.iter().find(|source| source.is_dir());
    if folder.is_none() {
        say("reading the lists of the tars");
    }
    let data = Dataset::sources(&args.sources, args.size, args.val_fraction)?;
    let threads = args.threads.unwrap_or_else(device::processors);
    let total = data.train.len() + data.val.len();
    say(format_args!(
        "{}: {} classes, {} training and {} validation images, to {size}x{size} in {}",
        data.name,
        thousands(data.classes.len()),
        thousands(data.train.len()),
        thousands(data.val.len()),
        args.out.display(),
        size = args.size
    ));
    let start = Instant::now();
    let earlier = OnceLock::new();
    let progress = Progress::start("prepare", total);
    let see = |done: usize| {
        let earlier = *earlier.get_or_init(|| done);
        progress.set(done, || pace(done - earlier, total - done, start.elapsed()));
        !interrupt.requested()
    };
    let encoding = if args.raw { Encoding::Raw } else { Encoding::Jpeg };
    let root = folder.map_or(Path::new(""), PathBuf::as_path);
    let prepared = dataset::prepare(&data, root, &args.out, encoding, threads, &see)?;
    drop(progress);
    let Some(prepared) = prepared else {
        say("stopped; the same command goes on from here");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    conclude(args, &prepared, total - earlier.get().unwrap_or(&0), start.elapsed());
    Ok(ExitCode::SUCCESS)
}

/// `540 images/s, 12:30 left`, from the images that this run has done and those that are left.
fn pace(done: usize, left: usize, elapsed: Duration) -> String {
    if done == 0 {
        return String::new();
    }
    let speed = done as f64 / elapsed.as_secs_f64().max(1e-3);
    let left = Duration::from_secs_f64(left as f64 / speed.max(1e-3));
    format!("{} images/s, {} left", thousands(speed as usize), clock(left))
}

/// What was made: all of it, and how fast this run has `done` its part.
fn conclude(args: &PrepareArgs, prepared: &Prepared, done: usize, elapsed: Duration) {
    let Prepared { train, val, skipped, bytes } = *prepared;
    if skipped > 0 {
        let list = args.out.join("skipped.txt");
        warn(format_args!("{} images could not be read; {} says which and why", thousands(skipped), list.display()));
    }
    say(format_args!(
        "{} training and {} validation images, {}, in {} ({} images/s)",
        thousands(train),
        thousands(val),
        console::bytes(bytes),
        clock(elapsed),
        thousands((done as f64 / elapsed.as_secs_f64()) as usize)
    ));
    say(format_args!("next:\n  {} train --data {}", console::program(), quoted(&args.out)));
}
