//! `alexnet import`: a trained network of another program as a checkpoint.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use convnet::cpu::Cpu;
use convnet::cuda::Precision;
use convnet::run::Network;
use dataset::Statistics;

use crate::checkpoint::{self, DataId, Position, Settings, State};
use crate::cli::ImportArgs;
use crate::console::{bytes, say, thousands};
use crate::import::{self, Imported};
use crate::output::check_place;

/// Runs the command.
///
/// # Errors
/// When the file is no network that is known, or the checkpoint cannot be written.
pub fn run(args: &ImportArgs) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_place)?;
    let imported = import::read(&args.file)?;
    let net = &imported.net;
    let classes = match &args.classes {
        Some(path) => class_names(path, net.classes)?,
        None => (0..net.classes).map(|class| format!("class {class:04}")).collect(),
    };
    let side = net.augment.image;
    let mean = match &args.mean {
        Some(path) => import::read_mean(path, side)?,
        None => imported.mean.repeat(side * side),
    };
    let default = format!("{}.imported.safetensors", net.name);
    let out = args.out.as_deref().unwrap_or(Path::new(&default));
    let size = write(&imported, out, classes, mean, &args.file)?;
    say(format_args!(
        "{} ({}): net {}, {} classes, {} parameters",
        out.display(),
        bytes(size),
        net.name,
        net.classes,
        thousands(net.parameters())
    ));
    if args.classes.is_none() {
        say("give --classes FILE for the names of the classes; eval needs those of the data's folders");
    }
    Ok(())
}

/// The classes' names, one on a line.
fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {} as text", path.display()))?;
    let names: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
    if names.len() != count {
        bail!("{} has {} lines, the network has {count} classes", path.display(), names.len());
    }
    Ok(names)
}

/// Writes the network as the checkpoint of a run that is about to begin; gives its bytes.
fn write(imported: &Imported, out: &Path, classes: Vec<String>, mean: Vec<f32>, file: &Path) -> Result<u64> {
    let net = &imported.net;
    let mut network = Network::for_training(net, 1, Cpu::new(1)?)?;
    for parameter in network.parameters().to_vec() {
        let values = imported.parameters.get(&parameter.name);
        let values = values.with_context(|| format!("parameter {} was not imported", parameter.name))?;
        network.write(parameter.value, values)?;
        network.write(parameter.velocity(), &vec![0.0; values.len()])?;
    }
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let state = State {
        net: net.source.clone(),
        classes,
        data: DataId { name, folder: None, train: 1, val: 1, names: None },
        settings: Settings {
            seed: 1,
            batch: net.training.batch,
            epochs: net.training.epochs,
            schedule: net.training.schedule.clone(),
            rate: None,
            precision: Precision::F32,
        },
        position: Position::default(),
        history: Vec::new(),
    };
    // The colours of the images that it was trained on did not come along: noise along no axis.
    let unit = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let statistics = Statistics {
        side: net.augment.image,
        images: 1,
        mean,
        covariance: [[0.0; 3]; 3],
        eigenvalues: [0.0; 3],
        eigenvectors: unit,
    };
    checkpoint::save(out, &state, &statistics, &network)
}
