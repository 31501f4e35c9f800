//! `alexnet similar`: the training images nearest to pictures, as in the paper's figure 4.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::features::origin;
use super::{check_classes, model, open_data};
use crate::cli::{ModelArgs, SimilarArgs};
use crate::console::{say, thousands};
use crate::features::{Features, Neighbour};
use crate::inside::{extract, last_hidden};
use crate::output::{check_place, write_whole};
use crate::pictures;

/// Neighbours of a picture, as in the paper.
const NEIGHBOURS: usize = 6;

/// Runs the command.
///
/// # Errors
/// When there is no model, no data or no features, they do not go together, or an image cannot be read.
pub fn run(args: &SimilarArgs) -> Result<()> {
    [Some(&args.out), args.json.as_ref()].into_iter().flatten().try_for_each(|out| check_place(out))?;
    let model = ModelArgs { model: args.model.clone(), crops: 1 };
    let mut model = model::open(&model, &args.device, Some(1))?;
    let checkpoint = &model.checkpoint;
    let folder = args.data.as_deref().or(checkpoint.state.data.folder.as_deref());
    let data = open_data(folder, checkpoint.net.augment.image, &checkpoint.net.name)?;
    check_classes(&data, &checkpoint.state.classes, &checkpoint.path)?;
    let layer = last_hidden(&checkpoint.net)?;
    let mut features = Features::open(&args.features)?;
    let (of, expected) = (&features.origin, origin(checkpoint, &layer)?);
    if *of != expected {
        bail!(
            "{} is of layer {}, net {}, model {}; expected layer {}, net {}, model {}; make it with `features`",
            args.features.display(),
            of.layer,
            of.net,
            of.model,
            expected.layer,
            expected.net,
            expected.model
        );
    }
    let known = |id: usize, name: &str| id < data.train.len() && data.train.name(id) == name;
    if let Some(row) = features.rows.iter().find(|row| !known(row.id as usize, &row.image)) {
        let (file, name) = (args.features.display(), &data.name);
        bail!("{file} has image {} as number {}, the training images of {name} have not", row.image, row.id);
    }
    let mut images = Vec::new();
    let mut queries = Vec::new();
    for path in &args.images {
        let rgb = dataset::load_image(path, data.side)?;
        queries.append(&mut extract(&mut model.network, &model.sampler, &rgb, 1, &layer)?);
        images.push(rgb);
    }
    if queries[0].len() != features.values {
        let (file, has, expected) = (args.features.display(), features.values, queries[0].len());
        bail!("{file} has {has} values for each image, layer {layer} has {expected}; it is damaged");
    }
    let start = Instant::now();
    let found = features.nearest(&queries, NEIGHBOURS)?;
    let seconds = start.elapsed().as_secs_f64();
    let row = |neighbour: &Neighbour| &features.rows[neighbour.row];
    if let Some(path) = &args.json {
        let neighbour =
            |it: &Neighbour| json!({ "image": row(it).image, "class": row(it).class, "distance": it.distance });
        let answer = |(path, found): (&PathBuf, &Vec<Neighbour>)| {
            let neighbours: Vec<Value> = found.iter().map(neighbour).collect();
            json!({ "image": path.display().to_string(), "neighbours": neighbours })
        };
        let answers: Vec<Value> = args.images.iter().zip(&found).map(answer).collect();
        write_whole(path, &serde_json::to_vec_pretty(&answers)?)?;
    }
    let mut pictures = Vec::new();
    for ((path, found), rgb) in args.images.iter().zip(&found).zip(images) {
        say(path.display());
        let mut line = vec![rgb];
        for neighbour in found {
            say(format_args!("  {:>8.3}  {}  {}", neighbour.distance, row(neighbour).class, row(neighbour).image));
            let mut rgb = vec![0; data.side * data.side * 3];
            data.train.read(row(neighbour).id as usize, &mut rgb)?;
            line.push(rgb);
        }
        pictures.push(line);
    }
    pictures::neighbours(&pictures, data.side, &args.out)?;
    let bytes = features.rows.len() as f64 * features.values as f64 * 2.0;
    say(format_args!(
        "picture: {}; {} images searched at {:.1} GB/s",
        args.out.display(),
        thousands(features.rows.len()),
        bytes / seconds / 1e9
    ));
    Ok(())
}
