//! A new run.

use anyhow::Result;
use convnet::net::Net;

use super::Start;
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
        epochs: args.epochs.unwrap_or_else(|| length(&net, args.schedule.as_deref())),
        schedule: args.schedule.clone().unwrap_or_else(|| net.training.schedule.clone()),
        rate: args.lr,
        precision: args.device.precision.unwrap_or_default(),
    };
    Schedule::new(&net, &settings.schedule, settings.epochs, settings.rate)?;
    let state = State {
        net: source,
        classes: data.classes.clone(),
        data: DataId::of(&data, args.data.as_deref()),
        settings,
        position: Position::default(),
        history: Vec::new(),
    };
    let folder = RunFolder::create(args.out.as_deref(), &net.name)?;
    Ok(Start { net, data, state, checkpoint: None, folder })
}

/// The epochs of a run with the schedule that was asked for: as many as that was made for.
fn length(net: &Net, schedule: Option<&str>) -> usize {
    schedule.and_then(|name| net.schedule(name)).map_or(net.training.epochs, |schedule| schedule.epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_brings_its_length() {
        let net = nets::load("nips2012", None).unwrap();
        assert_eq!([None, Some("plateau")].map(|name| length(&net, name)), [net.training.epochs; 2]);
        let epochs = length(&net, Some("ilsvrc2010"));
        assert_eq!(epochs, 93);
        let schedule = Schedule::new(&net, "ilsvrc2010", epochs, None).unwrap();
        let changes = (1..epochs).filter(|&epoch| schedule.rates(epoch, &[]) != schedule.rates(epoch - 1, &[]));
        assert_eq!(changes.collect::<Vec<_>>(), [23, 51, 68, 72, 78]);
    }
}
