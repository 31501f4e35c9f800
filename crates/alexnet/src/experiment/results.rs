//! What is kept of an experiment: its settings, and the runs that are done.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Done, Experiment, Job};
use crate::checkpoint::DataId;
use crate::console;
use crate::output::write_whole;

/// What must stay the same when an experiment goes on. Seeds may be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Which experiment.
    pub experiment: Experiment,
    /// The data.
    pub data: DataId,
    /// The first arm's net as TOML.
    pub net: String,
    /// The epochs of a run at most.
    pub epochs: usize,
    /// The type of activations.
    pub precision: String,
}

/// The folder of an experiment. No other process can have it at the same time.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    done: Vec<Done>,
    /// Locked as long as it is open.
    _lock: File,
}

impl Results {
    /// Opens the folder of an experiment that goes on, or makes it.
    ///
    /// # Errors
    /// When it is of another experiment, is going on elsewhere, is damaged or cannot be written.
    pub fn open(folder: &Path, settings: &Settings) -> Result<Results> {
        let shown = folder.display();
        let file = folder.join("settings.json");
        let used = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if used && !file.exists() {
            bail!("{shown} holds something that is no experiment; give another --out");
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make folder {shown}"))?;
        if !used {
            write_whole(&file, &serde_json::to_vec_pretty(settings)?)?;
        }
        let known: Settings = read(&file)?;
        if let Some(what) = difference(&known, settings) {
            let path = console::quoted(folder);
            bail!("{path} was begun with {what}; give the same again, or another --out for a new experiment");
        }
        let lock = OpenOptions::new().append(true).open(&file);
        let lock = lock.with_context(|| format!("cannot write {}", file.display()))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            bail!("experiment {shown} is going on in another process");
        }
        let file = folder.join("results.json");
        let done = if file.exists() { read(&file)? } else { Vec::new() };
        Ok(Results { folder: folder.to_owned(), done, _lock: lock })
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The runs that are done.
    pub fn done(&self) -> &[Done] {
        &self.done
    }

    /// What a run gave, if it is done.
    pub fn find(&self, job: &Job) -> Option<&Done> {
        self.done.iter().find(|done| done.job == *job)
    }

    /// Keeps what a run gave.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, done: Done) -> Result<()> {
        self.done.push(done);
        write_whole(&self.path("results.json"), &serde_json::to_vec_pretty(&self.done)?)
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged; give another --out", path.display()))
}

/// What two experiments differ in.
fn difference(known: &Settings, asked: &Settings) -> Option<String> {
    let same_data =
        (known.data.train, known.data.val, known.data.names) == (asked.data.train, asked.data.val, asked.data.names);
    match () {
        () if known.experiment != asked.experiment => Some(format!("experiment {}", known.experiment.name())),
        () if !same_data => Some(format!("data {}, {} training images", known.data.name, known.data.train)),
        () if known.net != asked.net => Some("another net".to_string()),
        () if known.epochs != asked.epochs => Some(format!("--epochs {}", known.epochs)),
        () if known.precision != asked.precision => Some(format!("--precision {}", known.precision)),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let data = DataId { name: "demo".to_string(), folder: None, train: 80, val: 20, names: Some(1) };
        Settings {
            experiment: Experiment::Lrn,
            data,
            net: "a = 1".to_string(),
            epochs: 3,
            precision: "f32".to_string(),
        }
    }

    #[test]
    fn an_experiment_goes_on_with_the_same_settings_only() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("experiments/lrn");
        let job = Job { arm: "lrn".to_string(), search: false, rate: None, seed: 1, epochs: 3 };
        let done = Done { job: job.clone(), history: super::super::tests::history(&[0.5]), diverged: false };
        let mut results = Results::open(&folder, &settings()).unwrap();
        results.add(done.clone()).unwrap();
        let error = |settings: &Settings| Results::open(&folder, settings).unwrap_err().to_string();
        assert!(error(&settings()).contains("another process"), "{}", error(&settings()));
        drop(results);
        let results = Results::open(&folder, &settings()).unwrap();
        assert_eq!(results.find(&job), Some(&done));
        assert_eq!(results.find(&Job { seed: 2, ..job }), None);
        drop(results);
        assert!(error(&Settings { epochs: 4, ..settings() }).contains("begun with --epochs 3"));
        assert!(error(&Settings { net: String::new(), ..settings() }).contains("begun with another net"));
        fs::write(folder.join("results.json"), "[").unwrap();
        assert!(error(&settings()).contains("results.json is damaged"));
        fs::write(place.path().join("x"), "x").unwrap();
        assert!(Results::open(place.path(), &settings()).unwrap_err().to_string().contains("no experiment"));
    }
}
