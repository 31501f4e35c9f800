//! A part of a split: for validation, or for one of several readers.

use std::path::Path;
use std::sync::Arc;

use crate::order::mix;
use crate::prepare::relative;
use crate::{Dataset, Error, Images};

/// Some images of a split.
struct Subset {
    images: Arc<dyn Images>,
    /// Their indexes in it.
    indexes: Vec<u32>,
}

impl Images for Subset {
    fn len(&self) -> usize {
        self.indexes.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.images.label(self.indexes[index] as usize)
    }

    fn name(&self, index: usize) -> String {
        self.images.name(self.indexes[index] as usize)
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        self.images.read(self.indexes[index] as usize, rgb)
    }

    fn fetch(&self, index: usize) -> Result<usize, Error> {
        self.images.fetch(self.indexes[index] as usize)
    }
}

impl Dataset {
    /// Part `part` of `parts`: every `parts`-th image of each split, from number `part` on. The parts of a
    /// data set are disjoint and together have all its images.
    ///
    /// # Panics
    /// If `part` is not below `parts`.
    pub fn part(mut self, part: usize, parts: usize) -> Dataset {
        assert!(part < parts, "part {part} of {parts}");
        for images in [&mut self.train, &mut self.val] {
            let indexes = (part..images.len()).step_by(parts).map(|index| index as u32).collect();
            *images = Arc::new(Subset { images: Arc::clone(images), indexes });
        }
        self
    }
}

/// Splits `images` into training and validation images, about `fraction` of them. Which is which follows from
/// the name below `root` alone: it stays when other images come or go.
pub(crate) fn split(
    images: &Arc<dyn Images>,
    root: &Path,
    classes: &[String],
    fraction: f64,
) -> Result<(Arc<dyn Images>, Arc<dyn Images>), Error> {
    assert!(fraction > 0.0 && fraction < 1.0, "a validation fraction of {fraction}");
    let is_val = |&index: &u32| is_validation(&relative(images.as_ref(), index as usize, root), fraction);
    let (val, train): (Vec<u32>, Vec<u32>) = (0..images.len() as u32).partition(is_val);
    let mut counts = vec![0_usize; classes.len()];
    train.iter().for_each(|&index| counts[images.label(index as usize) as usize] += 1);
    if let Some(class) = counts.iter().position(|&count| count == 0) {
        return Err(Error::EmptySplit { split: "training", what: format!("class {}", classes[class]), fraction });
    }
    if val.is_empty() {
        return Err(Error::EmptySplit { split: "validation", what: format!("{} images", images.len()), fraction });
    }
    let subset = |indexes| Arc::new(Subset { images: Arc::clone(images), indexes }) as Arc<dyn Images>;
    Ok((subset(train), subset(val)))
}

/// Whether the image of this name is one for validation: its hash, FNV-1a and a finisher, lies in the lowest
/// `fraction` of all.
fn is_validation(name: &str, fraction: f64) -> bool {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv));
    ((hash >> 11) as f64) < fraction * (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_always_falls_to_the_same_side() {
        let names = (0..10_000).map(|i| format!("red/{i:05}.jpg"));
        let val: Vec<String> = names.filter(|name| is_validation(name, 0.1)).collect();
        // 1,000 give or take four standard deviations.
        assert!(val.len().abs_diff(1_000) < 120, "{}", val.len());
        // What is for validation stays so in a larger part.
        assert!(val.iter().all(|name| is_validation(name, 0.2)));
        // These are never to change: the split of a user's data would.
        assert_eq!(val[..3], ["red/00009.jpg", "red/00012.jpg", "red/00014.jpg"]);
    }
}
