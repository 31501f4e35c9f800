//! Checkpoints: everything that a run needs to go on bit for bit, in one safetensors file.
//!
//! Tensors: every parameter under its name (`conv3.tower0.weight1`), its velocity as `velocity.<name>`, and the
//! training images' `statistics.*`. Metadata: the net's TOML, and the parts of [`State`] as JSON.

mod file;
mod folder;
mod precision;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use convnet::cuda::Precision;
use convnet::net::Net;
use convnet::ops::{Device, Span};
use convnet::plan::Parameter;
use convnet::run::{Network, Outcome};
use dataset::{Dataset, Statistics};
use file::{Contents, Data, Entry};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use folder::{copy, in_folder, modified};
pub use validate::{MAX_BATCH, MAX_EPOCHS};

pub use file::{NotFinite, ReadError, same_header, temporary};

const FORMAT: &str = "alexnet checkpoint";
const FORMAT_VERSION: &str = "1";
/// Tensors of [`Statistics`] and metadata of its counts.
const MEAN: &str = "statistics.mean";
const COVARIANCE: &str = "statistics.covariance";
const EIGENVALUES: &str = "statistics.eigenvalues";
const EIGENVECTORS: &str = "statistics.eigenvectors";

/// A run at a moment, except for its numbers on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The net's TOML.
    pub net: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The data set.
    pub data: DataId,
    /// What was chosen at the start.
    pub settings: Settings,
    /// How far the run is.
    pub position: Position,
    /// The epochs that are done.
    pub history: Vec<EpochRecord>,
}

/// Which data set a run learns from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataId {
    /// Its name.
    pub name: String,
    /// Its folder; none for the demo set.
    pub folder: Option<PathBuf>,
    /// Training images.
    pub train: usize,
    /// Validation images.
    pub val: usize,
    /// CRC-32 of all labels and names in their order, names relative to the folder. Older checkpoints have none.
    #[serde(default)]
    pub names: Option<u32>,
}

impl DataId {
    /// The identity of `data`, read from `folder`.
    pub fn of(data: &Dataset, folder: Option<&Path>) -> DataId {
        let mut hasher = crc32fast::Hasher::new();
        for images in [&data.train, &data.val] {
            for index in 0..images.len() {
                let name = images.name(index);
                hasher.update(&images.label(index).to_le_bytes());
                hasher.update(relative(&name, folder).as_os_str().as_encoded_bytes());
                hasher.update(&[0]);
            }
        }
        DataId {
            name: data.name.clone(),
            // Absolute, so that a run can be gone on with from anywhere.
            folder: folder.map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())),
            train: data.train.len(),
            val: data.val.len(),
            names: Some(hasher.finalize()),
        }
    }
}

/// An image's name without the folder, so that a folder that was moved is the same.
fn relative<'a>(name: &'a str, folder: Option<&Path>) -> &'a Path {
    let path = Path::new(name);
    // Names are for people: what is no text is replaced in them.
    let folder = folder.map(|folder| folder.to_string_lossy());
    folder.and_then(|folder| path.strip_prefix(folder.as_ref()).ok()).unwrap_or(path)
}

/// What was chosen at the start of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The seed.
    pub seed: u64,
    /// Images in a step.
    pub batch: usize,
    /// Epochs.
    pub epochs: usize,
    /// The schedule's name.
    pub schedule: String,
    /// The first rate of weights, where it is not the net's.
    pub rate: Option<f64>,
    /// The type of activations. Older checkpoints have none: they were trained in f32.
    #[serde(default, with = "precision")]
    pub precision: Precision,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, counted from 0.
    pub epoch: usize,
    /// Steps done in it.
    pub step: usize,
    /// Steps done in all.
    pub steps: usize,
    /// Images seen in all.
    pub images: u64,
    /// Results of the epoch's steps so far.
    pub sums: Sums,
}

/// Running results of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Images.
    pub images: usize,
    /// Sum of their losses.
    pub loss: f64,
    /// Top-1 hits.
    pub top1: usize,
    /// Top-5 hits.
    pub top5: usize,
}

impl Sums {
    /// Adds a step's.
    pub fn add(&mut self, step: Outcome) {
        let mut sum = self.outcome();
        sum.add(step);
        *self = Sums { images: sum.images, loss: sum.loss, top1: sum.top1, top5: sum.top5 };
    }

    /// What came after `earlier`.
    pub fn since(&self, earlier: &Sums) -> Outcome {
        Outcome {
            images: self.images - earlier.images,
            loss: self.loss - earlier.loss,
            top1: self.top1 - earlier.top1,
            top5: self.top5 - earlier.top5,
        }
    }

    /// The same as an outcome.
    pub fn outcome(&self) -> Outcome {
        Outcome { images: self.images, loss: self.loss, top1: self.top1, top5: self.top5 }
    }
}

/// An epoch that is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Mean loss of the training steps.
    pub train_loss: f64,
    /// Their top-1 error.
    pub train_top1: f64,
    /// Mean loss of the validation images, centre crops.
    pub val_loss: f64,
    /// Their top-1 error.
    pub val_top1: f64,
    /// Their top-5 error.
    pub val_top5: f64,
    /// The rate of weights.
    pub rate: f64,
}

impl State {
    /// The validation errors of the epochs that are done.
    pub fn errors(&self) -> Vec<f64> {
        self.history.iter().map(|record| record.val_top1).collect()
    }

    /// The epoch with the lowest validation error, the first of equals.
    pub fn best(&self) -> Option<usize> {
        let errors = self.errors();
        (0..errors.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]))
    }

    /// The rates of weights in the epochs that are done, and `next`, that of the epoch after them.
    pub fn rates(&self, next: f64) -> Vec<f64> {
        self.history.iter().map(|record| record.rate).chain([next]).collect()
    }

    fn metadata(&self, statistics: &Statistics) -> Result<BTreeMap<&'static str, String>> {
        Ok(BTreeMap::from([
            ("format", FORMAT.to_string()),
            ("format_version", FORMAT_VERSION.to_string()),
            ("program", concat!("alexnet ", env!("CARGO_PKG_VERSION")).to_string()),
            ("net", self.net.clone()),
            ("classes", serde_json::to_string(&self.classes)?),
            ("data", serde_json::to_string(&self.data)?),
            ("settings", serde_json::to_string(&self.settings)?),
            ("position", serde_json::to_string(&self.position)?),
            ("history", serde_json::to_string(&self.history)?),
            ("statistics_images", serde_json::to_string(&statistics.images)?),
        ]))
    }
}

/// Writes the run as it is on the device to `path` by a temporary file that is renamed. Returns the bytes.
///
/// # Errors
/// When the file cannot be written, or a parameter is not finite.
pub fn save<D: Device>(path: &Path, state: &State, statistics: &Statistics, network: &Network<D>) -> Result<u64> {
    let mut entries = statistics_entries(statistics);
    for velocity in [false, true] {
        for parameter in network.parameters() {
            let span = if velocity { parameter.velocity() } else { parameter.value };
            let name = if velocity { velocity_name(&parameter.name) } else { parameter.name.clone() };
            let fetch = Box::new(move || Ok(Data::F32(network.read(span)?)));
            entries.push(Entry { name, dims: parameter.dims.clone(), double: false, fetch });
        }
    }
    file::write(path, &state.metadata(statistics)?, &entries)
}

/// Writes the statistics alone.
///
/// # Errors
/// When the file cannot be written.
pub fn save_statistics(path: &Path, statistics: &Statistics) -> Result<u64> {
    let metadata = BTreeMap::from([
        ("format", "alexnet statistics".to_string()),
        ("statistics_images", statistics.images.to_string()),
    ]);
    file::write(path, &metadata, &statistics_entries(statistics))
}

fn statistics_entries(statistics: &Statistics) -> Vec<Entry<'_>> {
    let side = statistics.side;
    let double = |name: &str, dims: &[usize], values: Vec<f64>| Entry {
        name: name.to_string(),
        dims: dims.to_vec(),
        double: true,
        fetch: Box::new(move || Ok(Data::F64(values.clone()))),
    };
    vec![
        Entry {
            name: MEAN.to_string(),
            dims: vec![side, side, 3],
            double: false,
            fetch: Box::new(|| Ok(Data::F32(statistics.mean.clone()))),
        },
        double(COVARIANCE, &[3, 3], statistics.covariance.concat()),
        double(EIGENVALUES, &[3], statistics.eigenvalues.to_vec()),
        double(EIGENVECTORS, &[3, 3], statistics.eigenvectors.concat()),
    ]
}

fn velocity_name(parameter: &str) -> String {
    format!("velocity.{parameter}")
}

/// A checkpoint that was read and verified.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file.
    pub path: PathBuf,
    /// The run.
    pub state: State,
    /// The net.
    pub net: Net,
    /// The training images' statistics.
    pub statistics: Statistics,
    contents: Contents,
}

impl Checkpoint {
    /// Reads and verifies a checkpoint.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or is something else. A good checkpoint beside a damaged one is named.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        Checkpoint::read_alone(path).map_err(|error| match error.downcast_ref() {
            Some(ReadError::Damaged { .. }) => match good_neighbour(path) {
                Some(good) => anyhow!("{error:#}; {} is complete: use that instead", good.display()),
                None => anyhow!("{error:#}; there is no complete checkpoint beside it"),
            },
            _ => error,
        })
    }

    fn read_alone(path: &Path) -> Result<Checkpoint> {
        let contents = file::read(path)?;
        let format = contents.text("format")?;
        if format != FORMAT {
            return Err(contents.foreign(format!("its format is {format:?}")).into());
        }
        let version = contents.text("format_version")?;
        if version != FORMAT_VERSION {
            let (path, program) = (path.display(), contents.text("program").unwrap_or("a later version"));
            bail!("{path} has format {version} of {program}; this version reads format {FORMAT_VERSION}");
        }
        let state = State {
            net: contents.text("net")?.to_string(),
            classes: part(&contents, "classes")?,
            data: part(&contents, "data")?,
            settings: part(&contents, "settings")?,
            position: part(&contents, "position")?,
            history: part(&contents, "history")?,
        };
        state.validate().map_err(|why| contents.foreign(why))?;
        let origin = format!("net in {}", path.display());
        let net = Net::parse(&state.net, &origin, Some(state.classes.len()))?;
        let statistics = statistics(&contents, net.augment.image)?;
        Ok(Checkpoint { path: path.to_owned(), state, net, statistics, contents })
    }

    /// The checksum of the file: two models with one checksum are the same.
    ///
    /// # Errors
    /// Never after [`Checkpoint::read`], which has verified it.
    pub fn checksum(&self) -> Result<&str> {
        Ok(self.contents.text(file::CHECKSUM)?)
    }

    /// The numbers of a parameter of the net.
    ///
    /// # Errors
    /// When there is none of its name and extents.
    pub fn parameter(&self, parameter: &Parameter) -> Result<Vec<f32>> {
        self.contents.f32(&parameter.name, &parameter.dims)
    }

    /// Copies parameters, and velocities if asked, to a network.
    ///
    /// # Errors
    /// When the network is another than the checkpoint's.
    pub fn restore<D: Device>(&self, network: &mut Network<D>, velocities: bool) -> Result<()> {
        for parameter in network.parameters().to_vec() {
            let mut put = |name: &str, span: Span| -> Result<()> {
                let values = self.contents.f32(name, &parameter.dims)?;
                Ok(network.write(span, &values)?)
            };
            put(&parameter.name, parameter.value)?;
            if velocities {
                put(&velocity_name(&parameter.name), parameter.velocity())?;
            }
        }
        Ok(())
    }
}

fn part<T: DeserializeOwned>(contents: &Contents, key: &str) -> Result<T> {
    let text = contents.text(key)?;
    Ok(serde_json::from_str(text).map_err(|error| contents.foreign(format!("its metadata {key:?}: {error}")))?)
}

fn statistics(contents: &Contents, side: usize) -> Result<Statistics> {
    let rows = |name: &str| -> Result<[[f64; 3]; 3]> {
        let values = contents.f64(name, &[3, 3])?;
        Ok([0, 1, 2].map(|row| [0, 1, 2].map(|column| values[row * 3 + column])))
    };
    let eigenvalues = contents.f64(EIGENVALUES, &[3])?;
    Ok(Statistics {
        side,
        images: part(contents, "statistics_images")?,
        mean: contents.f32(MEAN, &[side, side, 3])?,
        covariance: rows(COVARIANCE)?,
        eigenvalues: [0, 1, 2].map(|i| eigenvalues[i]),
        eigenvectors: rows(EIGENVECTORS)?,
    })
}

/// The newest complete checkpoint in the folder of `path`, other than `path`.
fn good_neighbour(path: &Path) -> Option<PathBuf> {
    let mut others: Vec<PathBuf> = in_folder(path.parent()?).into_iter().filter(|other| other != path).collect();
    others.sort_by_key(|other| std::cmp::Reverse(modified(other)));
    others.into_iter().find(|other| Checkpoint::read_alone(other).is_ok())
}

#[cfg(test)]
mod tests;
