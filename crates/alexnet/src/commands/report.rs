//! `alexnet report`: a run as one HTML file.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::model::{self, Model};
use super::{check_classes, open_data};
use crate::cli::{ModelArgs, ReportArgs};
use crate::console::{bytes, say};
use crate::device;
use crate::evaluate::Classifier;
use crate::features::Neighbour;
use crate::inside::{self, Confusion, Search};
use crate::output::{check_place, write_whole};
use crate::report::{Log, Neighbours, Picture, Report};
use crate::run_folder::{self, LOG};
use crate::training::error_of;
use dataset::Dataset;

/// Images whose neighbours are shown, and their neighbours, as in the paper.
const QUERIES: usize = 5;
const NEIGHBOURS: usize = 6;
/// Training images that are looked at for neighbours.
const LOOKED_AT: usize = 10_000;

/// Runs the command.
///
/// # Errors
/// When there is no run or no data, they do not fit, or the file cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let path = args.run.clone().map_or_else(run_folder::newest, Ok)?;
    let out = args.out.clone().unwrap_or_else(|| match path.is_dir() {
        true => path.join("report.html"),
        false => PathBuf::from("report.html"),
    });
    check_place(&out)?;
    // Its history ends with its last epoch, not with its best.
    let history = model::last(Some(&path))?.state.history;
    let mut model = model::open(&ModelArgs { model: Some(path.clone()), crops: 1 }, &args.device, None)?;
    let state = model.checkpoint.state.clone();
    let net = model.checkpoint.net.clone();
    let folder = args.data.as_deref().or(state.data.folder.as_deref());
    let data = open_data(folder, net.augment.image, &net.name)?;
    check_classes(&data, &state.classes, &model.checkpoint.path)?;

    let threads = device::loader_threads(&args.device);
    let mut classifier = Classifier::new(&mut model.network, &model.sampler, 1);
    let predictions = inside::predictions(&mut classifier, &data)?;
    let (confusion, outcome) = Confusion::measure(&mut classifier, &data, state.settings.batch, threads)?;
    say(error_of(&outcome));
    let filters = inside::filters(model.network.parameters(), |it| Ok(model.network.read(it.value)?))?;
    let neighbours = neighbours(&mut model, &data, threads)?;
    let report = Report {
        run: path.display().to_string(),
        net: &net,
        state: &state,
        history: &history,
        log: &Log::read(&log(&path)),
        outcome,
        confusion: &confusion,
        filters: filters.as_deref(),
        predictions: &predictions,
        neighbours: &neighbours,
    };
    let page = report.page()?;
    write_whole(&out, page.as_bytes())?;
    say(format_args!("report: {} ({})", out.display(), bytes(page.len() as u64)));
    Ok(())
}

/// The log of a run, or of the run that a checkpoint lies in.
fn log(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(LOG) } else { path.with_file_name(LOG) }
}

/// Validation images of different classes and the training images nearest to them. None if the net has no hidden layer.
fn neighbours(model: &mut Model, data: &Dataset, threads: usize) -> Result<Neighbours> {
    let Model { checkpoint, network, sampler } = model;
    let all = data.train.len();
    if inside::last_hidden(&checkpoint.net).is_err() {
        return Ok(Neighbours::default());
    }
    let picture = |split: &dyn dataset::Images, index: usize, distance| -> Result<Picture> {
        let mut rgb = vec![0; data.side * data.side * 3];
        split.read(index, &mut rgb)?;
        Ok(Picture { rgb, side: data.side, class: data.classes[split.label(index) as usize].clone(), distance })
    };
    let chosen = inside::spread(data.val.as_ref(), data.classes.len(), QUERIES);
    // One that cannot be read was counted when all of them were measured.
    let queries: Vec<Picture> =
        chosen.into_iter().filter_map(|index| picture(data.val.as_ref(), index, None).ok()).collect();
    let search = Search { looked_at: LOOKED_AT, count: NEIGHBOURS, batch: checkpoint.state.settings.batch, threads };
    let images: Vec<Vec<u8>> = queries.iter().map(|it| it.rgb.clone()).collect();
    let found = search.nearest((network, sampler), (&checkpoint.net, data), &images)?;
    let row = |(query, found): (Picture, &Vec<Neighbour>)| -> Result<Vec<Picture>> {
        let found = found.iter().map(|it| picture(data.train.as_ref(), it.row, Some(it.distance)));
        std::iter::once(Ok(query)).chain(found).collect()
    };
    let rows = queries.into_iter().zip(&found).map(row).collect::<Result<_>>()?;
    Ok(Neighbours { looked_at: (LOOKED_AT.min(all), all), rows })
}
