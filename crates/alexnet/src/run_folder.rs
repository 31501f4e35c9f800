//! The folder of a run: its checkpoints, log and pictures. Nothing that is there is ever overwritten by another run.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::checkpoint;
use crate::console;
use crate::tensorboard::{self, Events};

/// Where runs go unless told otherwise.
pub const RUNS: &str = "runs";
/// The newest checkpoint.
pub const LAST: &str = "last.safetensors";
/// The checkpoint with the lowest validation error.
pub const BEST: &str = "best.safetensors";
/// The statistics of the training images.
pub const STATISTICS: &str = "statistics.safetensors";
/// How the name of a checkpoint ends that is being written.
const TEMPORARY: &str = ".safetensors.tmp";
/// A line of JSON for each interval.
pub const LOG: &str = "log.jsonl";
/// Checkpoints of epochs that are kept: the newest, and those before a change of the rate.
const KEPT_EPOCHS: usize = 5;
const KEPT_NEWEST: usize = 2;

/// The folder of the run that is going on. No other process can have it at the same time.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Locked as long as it is open.
    log: File,
    /// The same numbers for TensorBoard.
    events: Events,
    log_failed: bool,
    /// Whether it is there to stay: that of a run that goes on, or that begins.
    has_begun: bool,
    /// Folders that were made for the run, to be removed when it does not begin.
    made: Vec<PathBuf>,
}

impl RunFolder {
    /// Makes the folder `out`, or `runs/<net>-<n>` with a number that is free. What a run left in `out` that was
    /// killed before its first checkpoint is removed.
    ///
    /// # Errors
    /// When `out` holds something else or is that of a run that is going on, or the folder cannot be made.
    pub fn create(out: Option<&Path>, net: &str) -> Result<RunFolder> {
        let mut made = Vec::new();
        let path = match out {
            Some(out) => {
                let is_other = |name: &OsStr| !is_of_beginning(&name.to_string_lossy());
                let used =
                    || out.read_dir().is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| is_other(&it.file_name()))));
                if out.is_file() || used() {
                    bail!(
                        "{} is not empty and will not be overwritten; give another --out, or --resume {} to go on with it",
                        out.display(),
                        console::quoted(out)
                    );
                }
                make(out, &mut made)?;
                out.to_owned()
            }
            None => numbered(Path::new(RUNS), net, &mut made)?,
        };
        match open_log(&path).and_then(|log| clear(&path, &log).map(|()| log)) {
            Ok(log) => {
                let events = Events::new(&path);
                Ok(RunFolder { path, log, events, log_failed: false, has_begun: false, made })
            }
            Err(error) => {
                remove(&made);
                Err(error)
            }
        }
    }

    /// The folder of a run that goes on.
    ///
    /// # Errors
    /// When it cannot be written, or the run is going on elsewhere.
    pub fn reopen(path: &Path) -> Result<RunFolder> {
        let log = open_log(path)?;
        // A process that was killed while writing leaves these.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let events = Events::new(path);
        Ok(RunFolder { path: path.to_owned(), log, events, log_failed: false, has_begun: true, made: Vec::new() })
    }

    /// Whether a folder is that of a run.
    pub fn is_run(path: &Path) -> bool {
        path.join(LOG).is_file()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder from here on: unless this is called, a new one is removed again when this is dropped.
    pub fn begin(&mut self) {
        self.has_begun = true;
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Adds a line to the log and its numbers to the events. A log that cannot be written is a warning: the
    /// checkpoints matter.
    pub fn log(&mut self, line: &Value) {
        let written = self.log.write_all(format!("{line}\n").as_bytes());
        let written = written.with_context(|| format!("cannot write {}", self.file(LOG).display()));
        if let Err(error) = written.and_then(|()| self.events.add(line))
            && !self.log_failed
        {
            self.log_failed = true;
            console::warn(format_args!("{error:#}; training goes on"));
        }
    }

    /// Keeps copies of `source`, the checkpoint after `epochs` epochs, where they are not there yet: as the best if it
    /// is, and for the history, from which those that are not kept are removed. `rates` are the rates of the epochs so
    /// far and the next one.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, source: &Path, is_best: bool, epochs: usize, rates: &[f64]) -> Result<()> {
        let epoch = epoch_name(epochs);
        for name in is_best.then_some(BEST).into_iter().chain([epoch.as_str()]) {
            if !checkpoint::same_header(source, &self.file(name)) {
                checkpoint::copy(source, &self.file(name))?;
            }
        }
        let there: Vec<usize> = checkpoint::in_folder(&self.path).iter().filter_map(|path| epoch_of(path)).collect();
        let kept = kept(&there, rates);
        for epochs in there.into_iter().filter(|epochs| !kept.contains(epochs)) {
            let path = self.file(&epoch_name(epochs));
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for RunFolder {
    /// Removes what was made for a run that did not begin: the folder was empty at first.
    fn drop(&mut self) {
        if !self.has_begun {
            let own = [LOG, STATISTICS].map(|name| self.file(name));
            for path in checkpoint::in_folder(&self.path).into_iter().chain(own) {
                let _ = fs::remove_file(path);
            }
            remove(&self.made);
        }
    }
}

/// The most checkpoints that a run folder holds.
pub const MAX_CHECKPOINTS: usize = KEPT_EPOCHS + 2;

/// The checkpoint that `path` means: itself, or the first of `names` in a run's folder.
///
/// # Errors
/// When there is none.
pub fn checkpoint_in(path: &Path, names: [&str; 2]) -> Result<PathBuf> {
    if !path.is_dir() {
        return match path.exists() {
            true => Ok(path.to_owned()),
            false => bail!("{} does not exist; expected a run's folder or a checkpoint", path.display()),
        };
    }
    match names.iter().map(|name| path.join(name)).find(|path| path.exists()) {
        Some(path) => Ok(path),
        None if RunFolder::is_run(path) => bail!(
            "{} has no checkpoint yet: its run ended before the first one; begin it again with --out {}",
            path.display(),
            console::quoted(path)
        ),
        None => bail!("{} holds no {} and no {}; is it a run's folder?", path.display(), names[0], names[1]),
    }
}

/// The newest run in `runs/`.
///
/// # Errors
/// When there is none.
pub fn newest() -> Result<PathBuf> {
    let runs = fs::read_dir(RUNS).into_iter().flatten().flatten().map(|entry| entry.path());
    let with_checkpoint = runs.filter(|run| run.join(LAST).exists());
    let newest = with_checkpoint.max_by_key(|run| checkpoint::modified(&run.join(LAST)));
    newest.with_context(|| {
        format!("there is no trained network in {RUNS}/; train one ({} train) or name one", console::program())
    })
}

/// The name of the checkpoint after so many epochs.
pub fn epoch_name(epochs: usize) -> String {
    format!("epoch-{epochs:04}.safetensors")
}

fn epoch_of(path: &Path) -> Option<usize> {
    path.file_stem()?.to_str()?.strip_prefix("epoch-")?.parse().ok()
}

/// Which of the checkpoints after so many epochs are kept: the newest two, and the newest of those after which the
/// rate changed.
fn kept(there: &[usize], rates: &[f64]) -> BTreeSet<usize> {
    let mut newest_first = there.to_vec();
    newest_first.sort_unstable_by_key(|&epochs| std::cmp::Reverse(epochs));
    let mut kept: BTreeSet<usize> = newest_first.iter().take(KEPT_NEWEST).copied().collect();
    let changes = |&&epochs: &&usize| epochs > 0 && epochs < rates.len() && rates[epochs] != rates[epochs - 1];
    for &epochs in newest_first.iter().skip(KEPT_NEWEST).filter(changes) {
        if kept.len() < KEPT_EPOCHS {
            kept.insert(epochs);
        }
    }
    kept
}

fn make(path: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .map(Path::to_owned)
        .collect();
    for folder in missing.into_iter().rev() {
        let new = fs::create_dir(&folder);
        // Somebody else may have made a parent in between; that is as good.
        if new.is_err() && folder != path && folder.is_dir() {
            continue;
        }
        if let Err(error) = new {
            remove(made);
            return Err(error).with_context(|| format!("cannot make folder {}", folder.display()));
        }
        made.push(folder);
    }
    Ok(())
}

/// Makes `<runs>/<net>-<n>`, with `n` above all that are there.
fn numbered(runs: &Path, net: &str, made: &mut Vec<PathBuf>) -> Result<PathBuf> {
    make(runs, made)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let prefix = format!("{}-", net.chars().map(plain).collect::<String>());
    let names = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok();
    let mut next = names.filter_map(number).max().map_or(1, |number| number + 1);
    loop {
        let path = runs.join(format!("{prefix}{next}"));
        match fs::create_dir(&path) {
            Ok(()) => {
                made.push(path.clone());
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => next += 1,
            Err(error) => {
                remove(made);
                return Err(error).with_context(|| format!("cannot make folder {}", path.display()));
            }
        }
    }
}

/// Removes folders, innermost first, as far as they are empty.
fn remove(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}

/// Whether a run writes a file of this name before its first checkpoint is complete.
fn is_of_beginning(name: &str) -> bool {
    [LOG, STATISTICS].contains(&name) || name.starts_with(tensorboard::PREFIX) || name.ends_with(TEMPORARY)
}

/// Removes what a run left that was killed before its first checkpoint, but the log that is `log`, which is emptied.
fn clear(folder: &Path, log: &File) -> Result<()> {
    let cleared = log.set_len(0).and_then(|()| {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name != LOG && is_of_beginning(&name.to_string_lossy()) {
                fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    });
    cleared.with_context(|| format!("cannot empty {}", folder.display()))
}

fn open_log(folder: &Path) -> Result<File> {
    let path = folder.join(LOG);
    let log = OpenOptions::new().append(true).create(true).open(&path);
    let log = log.with_context(|| format!("cannot write {}", path.display()))?;
    match log.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("run {} is going on in another process", folder.display()),
        // A file system without locks is no reason not to train.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epochs_and_those_before_a_new_rate_are_kept() {
        let rates = |changes: &[usize], epochs: usize| -> Vec<f64> {
            let divisions = |epoch: usize| changes.iter().filter(|&&change| change <= epoch).count() as i32;
            (0..=epochs).map(|epoch| 0.1_f64.powi(divisions(epoch))).collect()
        };
        assert_eq!(kept(&[1, 2, 3], &rates(&[], 3)), BTreeSet::from([2, 3]));
        assert_eq!(kept(&[2, 5, 6, 7], &rates(&[2], 7)), BTreeSet::from([2, 6, 7]));
        let many = kept(&[1, 2, 3, 4, 5, 6, 7], &rates(&[1, 2, 3, 4, 5], 7));
        assert_eq!(many, BTreeSet::from([3, 4, 5, 6, 7]));
    }

    #[test]
    fn numbers_go_up_and_folders_are_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let mut made = Vec::new();
        assert_eq!(numbered(&runs, "a b", &mut made).unwrap(), runs.join("a-b-1"));
        fs::create_dir(runs.join("a-b-7")).unwrap();
        assert_eq!(numbered(&runs, "a b", &mut made).unwrap(), runs.join("a-b-8"));
        fs::remove_dir(runs.join("a-b-7")).unwrap();
        remove(&made);
        assert!(!runs.exists());
    }

    #[test]
    fn a_folder_that_is_used_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "x").unwrap();
        let error = RunFolder::create(Some(folder.path()), "mini").unwrap_err().to_string();
        assert!(error.contains("--resume"), "{error}");
        assert!(!folder.path().join(LOG).exists());
    }

    #[test]
    fn what_a_run_left_before_its_first_checkpoint_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let left = [LOG, STATISTICS, "events.out.tfevents.0000000001.1", "last.safetensors.tmp"];
        left.iter().for_each(|name| fs::write(path.join(name), "old").unwrap());
        let error = checkpoint_in(path, [LAST, BEST]).unwrap_err().to_string();
        assert!(error.contains("begin it again with --out"), "{error}");
        let mut run = RunFolder::create(Some(path), "mini").unwrap();
        let error = RunFolder::create(Some(path), "mini").unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        run.begin();
        drop(run);
        assert_eq!(left.map(|name| path.join(name).exists()), [true, false, false, false]);
        assert_eq!(fs::read(path.join(LOG)).unwrap(), b"");
        // A checkpoint is never removed.
        fs::write(path.join(BEST), "old").unwrap();
        assert!(RunFolder::create(Some(path), "mini").is_err() && path.join(BEST).exists());
    }

    #[test]
    fn a_run_has_its_folder_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let run = RunFolder::create(Some(&path), "mini").unwrap();
        assert!(RunFolder::reopen(&path).unwrap_err().to_string().contains("another process"));
        drop(run);
        assert!(!folder.path().join("a").exists());
        let mut run = RunFolder::create(Some(&path), "mini").unwrap();
        run.begin();
        drop(run);
        assert!(path.join(LOG).exists());
    }
}
