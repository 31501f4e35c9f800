//! `alexnet features`: what a layer gives to each image of a data set.

use std::sync::Arc;

use anyhow::{Result, bail};
use dataset::Loader;

use super::{check_classes, model, open_data};
use crate::checkpoint::Checkpoint;
use crate::cli::{FeaturesArgs, ModelArgs, SplitName};
use crate::console::{Progress, bytes, say, thousands};
use crate::device::{self, AHEAD};
use crate::features::{Origin, Row, Writer};
use crate::inside::{extract, last_hidden};
use crate::output::check_place;
use crate::skips::Skips;

/// Runs the command.
///
/// # Errors
/// When there is no model, no data or no such layer, or the array cannot be written.
pub fn run(args: &FeaturesArgs) -> Result<()> {
    check_place(&args.out)?;
    let model = ModelArgs { model: args.model.clone(), crops: 1 };
    let mut model = model::open(&model, &args.device, None)?;
    let checkpoint = &model.checkpoint;
    let folder = args.data.as_deref().or(checkpoint.state.data.folder.as_deref());
    let data = open_data(folder, checkpoint.net.augment.image, &checkpoint.net.name)?;
    check_classes(&data, &checkpoint.state.classes, &checkpoint.path)?;
    let layer = args.layer.clone().map_or_else(|| last_hidden(&checkpoint.net), Ok)?;
    let (split, images) = match args.split {
        SplitName::Train => ("training", &data.train),
        SplitName::Val => ("validation", &data.val),
    };
    let (order, batch) = ((0..images.len() as u32).collect(), checkpoint.state.settings.batch);
    let threads = device::loader_threads(&args.device);
    let mut loader = Loader::start(Arc::clone(images), data.side, order, batch, threads, AHEAD);
    let mut skips = Skips::new(split, images.len());
    let progress = Progress::start("features", images.len());
    let origin = origin(checkpoint, &layer)?;
    let (mut writer, mut values, mut done) = (None, 0, 0);
    while let Some(batch) = loader.next() {
        skips.add(&batch.skipped)?;
        done += batch.len() + batch.skipped.len();
        if !batch.is_empty() {
            let rows = extract(&mut model.network, &model.sampler, &batch.rgb, batch.len(), &layer)?;
            values = rows[0].len();
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(Writer::create(&args.out, &origin, values)?),
            };
            for ((&id, &label), values) in batch.ids.iter().zip(&batch.labels).zip(&rows) {
                let class = data.classes[label as usize].clone();
                writer.add(&Row { id, class, image: images.name(id as usize) }, values)?;
            }
        }
        progress.set(done, String::new);
        loader.recycle(batch);
    }
    drop(progress);
    let Some(writer) = writer else { bail!("none of the {done} {split} images could be read") };
    let (rows, size) = writer.finish()?;
    let (out, rows) = (args.out.display(), thousands(rows));
    say(format_args!("{out} ({}): layer {layer} of {rows} {split} images, {values} values each", bytes(size)));
    Ok(())
}

/// What the values that `layer` gives are of.
pub(super) fn origin(checkpoint: &Checkpoint, layer: &str) -> Result<Origin> {
    let (layer, net) = (layer.to_string(), checkpoint.net.name.clone());
    Ok(Origin { layer, net, model: checkpoint.checksum()?.to_string() })
}
