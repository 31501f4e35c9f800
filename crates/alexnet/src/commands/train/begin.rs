//! A new run.

use anyhow::Result;
use convnet::net::Net;

use super::{Start, absolute};
use crate::checkpoint::{DataId, Position, Settings, State};
use crate::cli::TrainArgs;
use crate::commands::open_data;
use crate::nets;
use crate::run_folder::RunFolder;
use crate::training::Schedule;

/// The seed unless another is asked for.
const SEED: u64 = 1;

/// Settles what will be trained, and makes its folder when all that can be checked is right.
pub(super) fn prepare(args: &TrainArgs) -> Result<Start> {
    let default = if args.data.is_some() { "nips2012" } else { "mini" };
    let (source, origin) = nets::source(args.net.as_deref().unwrap_or(default))?;
    let any_classes = Net::parse(&source, &origin, None)?;
    let data = open_data(args.data.as_deref(), any_classes.augment.image, &any_classes.name)?;
    let net = Net::parse(&source, &origin, Some(data.classes.len()))?;
    let settings = Settings {
        seed: args.seed.unwrap_or(SEED),
        batch: args.batch.unwrap_or(net.training.batch),
        epochs: args.epochs.unwrap_or(net.training.epochs),
        schedule: args.schedule.clone().unwrap_or_else(|| net.training.schedule.clone()),
        rate: args.lr,
    };
    Schedule::new(&net, &settings.schedule, settings.epochs, settings.rate)?;
    let state = State {
        net: source,
        classes: data.classes.clone(),
        data: DataId::of(&data, args.data.as_deref().map(absolute)),
        settings,
        position: Position::default(),
        history: Vec::new(),
    };
    let folder = RunFolder::create(args.out.as_deref(), &net.name)?;
    Ok(Start { net, data, state, checkpoint: None, folder })
}
