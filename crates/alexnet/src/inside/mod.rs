//! Looking inside: what the pictures of a run, `show` and `report` are drawn from.

mod confusion;
mod hidden;
mod specialisation;

use std::path::{Path, PathBuf};

use anyhow::Result;
use convnet::ops::Device;
use convnet::plan::Parameter;
use dataset::{Dataset, Images};

use crate::checkpoint::EpochRecord;
use crate::evaluate::{self, Classifier};
use crate::pictures::{EpochPoint, Filter, Prediction};

pub use confusion::{Confusion, Mistake};
pub use hidden::{Search, extract, last_hidden};
pub use specialisation::colours;

/// Images in a picture of predictions, as in the paper's figure 4.
const SHOWN: usize = 8;
/// Labels for each of them.
const LABELS: usize = 5;

/// Loss and errors over the epochs.
pub fn points(history: &[EpochRecord]) -> Vec<EpochPoint> {
    let point = |(index, record): (usize, &EpochRecord)| EpochPoint {
        epoch: (index + 1) as f64,
        train_loss: record.train_loss,
        train_top1: record.train_top1,
        val_loss: record.val_loss,
        val_top1: record.val_top1,
        val_top5: record.val_top5,
        rate: record.rate,
    };
    history.iter().enumerate().map(point).collect()
}

/// The kernels of the first layer, tower by tower; none if it is no convolution of colours. `read` gives the numbers
/// of a parameter.
///
/// # Errors
/// Those of `read`.
pub fn filters(
    parameters: &[Parameter],
    read: impl Fn(&Parameter) -> Result<Vec<f32>>,
) -> Result<Option<Vec<Vec<Filter>>>> {
    let Some(first) = parameters.first().map(|parameter| &parameter.layer) else { return Ok(None) };
    let mut towers = Vec::new();
    for parameter in parameters.iter().filter(|it| it.layer == *first && !it.bias) {
        let &[height, width, 3, count] = parameter.dims.as_slice() else { return Ok(None) };
        let values = read(parameter)?;
        // Filters are innermost in the network and apart in the picture.
        let filter = |filter: usize| values.iter().skip(filter).step_by(count).copied().collect();
        towers.push((0..count).map(|index| Filter { height, width, rgb: filter(index) }).collect());
    }
    Ok(Some(towers))
}

/// Validation images of different classes with their most probable labels. One that cannot be read is left out.
///
/// # Errors
/// Those of the device.
pub fn predictions<D: Device>(classifier: &mut Classifier<D>, data: &Dataset) -> Result<Vec<Prediction>> {
    let mut rgb = vec![0; data.side * data.side * 3];
    let mut items = Vec::new();
    for index in spread(data.val.as_ref(), data.classes.len(), SHOWN) {
        if data.val.read(index, &mut rgb).is_err() {
            continue;
        }
        let label = data.val.label(index);
        let probabilities = classifier.classify(&rgb, &[label])?.probabilities;
        items.push(Prediction {
            rgb: rgb.clone(),
            side: data.side,
            truth: Some(data.classes[label as usize].clone()),
            top: evaluate::top(&probabilities, &data.classes, LABELS),
        });
    }
    Ok(items)
}

/// A validation image as a file: its own, or one that is written to `folder`. None if there is none.
pub fn example(data: &Dataset, folder: &Path) -> Option<PathBuf> {
    let index = *spread(data.val.as_ref(), data.classes.len(), SHOWN).first()?;
    let own = PathBuf::from(data.val.name(index));
    if own.is_file() {
        return Some(own);
    }
    let path = folder.join("example.png");
    let mut rgb = vec![0; data.side * data.side * 3];
    data.val.read(index, &mut rgb).ok()?;
    let side = data.side as u32;
    image::save_buffer(&path, &rgb, side, side, image::ColorType::Rgb8).ok()?;
    Some(path)
}

/// Up to `count` images of a split, of classes as different as there are and from within each class.
pub fn spread(images: &dyn Images, classes: usize, count: usize) -> Vec<usize> {
    let mut by_class = vec![Vec::new(); classes];
    (0..images.len()).for_each(|index| by_class[images.label(index) as usize].push(index));
    by_class.retain(|members| !members.is_empty());
    let classes = by_class.len();
    let picks = (0..count.min(images.len())).map(|pick| {
        let class = if classes >= count { pick * classes / count } else { pick % classes };
        let round = if classes >= count { 0 } else { pick / classes };
        let members = &by_class[class];
        let rounds = count.div_ceil(classes);
        members[(2 * round + 1) * members.len() / (2 * rounds) % members.len()]
    });
    let mut picks: Vec<usize> = picks.collect();
    picks.dedup();
    picks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_images_are_spread_over_the_classes() {
        let demo = Dataset::demo();
        let picks = spread(demo.val.as_ref(), 10, 8);
        let labels: Vec<u32> = picks.iter().map(|&index| demo.val.label(index)).collect();
        assert_eq!(labels, [0, 1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(spread(demo.val.as_ref(), 10, 40).len(), 40);
    }
}
