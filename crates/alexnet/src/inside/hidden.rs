//! What a layer gives to images, and the training images that are nearest by it.

use std::sync::Arc;

use anyhow::{Context, Result};
use convnet::augment::{Sampler, View};
use convnet::net::{Kind, Net};
use convnet::ops::{Device, Step};
use convnet::run::Network;
use dataset::{Dataset, Loader};

use crate::console::Progress;
use crate::device::AHEAD;
use crate::features::{Neighbour, offer, square};
use crate::skips::Skips;

/// The layer that the last fully connected one reads, dropout left out.
///
/// # Errors
/// When there is none.
pub fn last_hidden(net: &Net) -> Result<String> {
    let last = net.layers.iter().rposition(|layer| matches!(layer.kind, Kind::Fc { .. }));
    let before =
        last.and_then(|last| net.layers[..last].iter().rev().find(|layer| !matches!(layer.kind, Kind::Dropout { .. })));
    Ok(before.with_context(|| format!("net {} has no hidden layer; give --layer", net.name))?.name.clone())
}

/// What `layer` gives to the centres of some images `[n, side, side, 3]`, the towers one after the other.
///
/// # Errors
/// When there is no such layer, and those of the device.
pub fn extract<D: Device>(
    network: &mut Network<D>,
    sampler: &Sampler,
    rgb: &[u8],
    images: usize,
    layer: &str,
) -> Result<Vec<Vec<f32>>> {
    let (labels, ids, draws) = (vec![0; images], vec![0; images], sampler.view(View::Centre, images));
    let towers = network.features(&mut Step { rgb: rgb.to_vec(), labels, ids, draws, ..Step::default() }, layer)?;
    let of_image = |image: usize| {
        towers
            .iter()
            .flat_map(|tower| &tower[tower.len() / images * image..][..tower.len() / images])
            .copied()
            .collect()
    };
    Ok((0..images).map(of_image).collect())
}

/// A search for the training images that are nearest to others in the last hidden layer.
pub struct Search {
    /// Training images to look at, spread evenly over all of them.
    pub looked_at: usize,
    /// Neighbours of each image.
    pub count: usize,
    /// Images at a time.
    pub batch: usize,
    /// Threads that decode.
    pub threads: usize,
}

impl Search {
    /// The neighbours of images `[side, side, 3]`, the nearest first; `row` is the number of a training image.
    ///
    /// # Errors
    /// When the net has no hidden layer, too many images cannot be read, and those of the device.
    pub fn nearest<D: Device>(
        &self,
        (network, sampler): (&mut Network<D>, &Sampler),
        (net, data): (&Net, &Dataset),
        queries: &[Vec<u8>],
    ) -> Result<Vec<Vec<Neighbour>>> {
        let layer = last_hidden(net)?;
        let query = |rgb: &Vec<u8>| Ok(extract(network, sampler, rgb, 1, &layer)?.remove(0));
        let queries: Vec<Vec<f32>> = queries.iter().map(query).collect::<Result<_>>()?;
        let (all, looked_at) = (data.train.len(), self.looked_at.min(data.train.len()));
        let order = (0..looked_at).map(|place| (place * all / looked_at) as u32).collect();
        let mut loader = Loader::start(Arc::clone(&data.train), data.side, order, self.batch, self.threads, AHEAD);
        let mut skips = Skips::new("training", looked_at);
        let progress = Progress::start("neighbours", looked_at);
        let mut found = vec![Vec::new(); queries.len()];
        let mut done = 0;
        while let Some(batch) = loader.next() {
            skips.add(&batch.skipped)?;
            done += batch.len() + batch.skipped.len();
            if !batch.is_empty() {
                let rows = extract(network, sampler, &batch.rgb, batch.len(), &layer)?;
                for (&id, values) in batch.ids.iter().zip(&rows) {
                    for (query, found) in queries.iter().zip(&mut found) {
                        let new = Neighbour { row: id as usize, distance: square(query, values) };
                        offer(found, self.count, new);
                    }
                }
            }
            progress.set(done, String::new);
            loader.recycle(batch);
        }
        found.iter_mut().flatten().for_each(|neighbour| neighbour.distance = neighbour.distance.sqrt());
        Ok(found)
    }
}
