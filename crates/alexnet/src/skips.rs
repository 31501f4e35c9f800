//! Images that cannot be read: named, counted, and too many at some point.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use dataset::Skipped;

use crate::console;

/// Images that are named before they are only counted.
const NAMED: usize = 10;
/// As many may fail in any case, and a twentieth of larger sets.
const FEW: usize = 10;

/// The images of a split that could not be read.
#[derive(Debug)]
pub struct Skips {
    split: &'static str,
    total: usize,
    names: BTreeSet<String>,
}

impl Skips {
    /// None yet, of `total` images of the split called `split`.
    pub fn new(split: &'static str, total: usize) -> Skips {
        Skips { split, total, names: BTreeSet::new() }
    }

    /// Takes note of images; one that fails again counts once.
    ///
    /// # Errors
    /// When too many have failed: more than 5 %, and at least 10.
    pub fn add(&mut self, skipped: &[Skipped]) -> Result<()> {
        for Skipped { name, reason } in skipped {
            if !self.names.insert(name.clone()) {
                continue;
            }
            match self.names.len() {
                1..=NAMED => console::warn(format_args!("left out {name}: {reason}")),
                n if n == NAMED + 1 => console::warn("further images that cannot be read are counted only"),
                _ => {}
            }
        }
        let (failed, total, split) = (self.count(), self.total, self.split);
        if failed >= FEW && failed * 20 > total {
            bail!(
                "{failed} of {total} {split} images could not be read; more than 5 % is too many to go on. \
                 The first ones are named above: repair or remove them"
            );
        }
        Ok(())
    }

    /// How many failed.
    pub fn count(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(range: std::ops::Range<usize>) -> Vec<Skipped> {
        range.map(|i| Skipped { name: i.to_string(), reason: "test".to_string() }).collect()
    }

    #[test]
    fn a_twentieth_and_at_least_ten_are_too_many() {
        assert!(Skips::new("training", 12).add(&skipped(0..9)).is_ok());
        assert!(Skips::new("training", 12).add(&skipped(0..10)).is_err());
        assert!(Skips::new("training", 1000).add(&skipped(0..50)).is_ok());
        assert!(Skips::new("training", 1000).add(&skipped(0..51)).is_err());
    }

    #[test]
    fn an_image_counts_once() {
        let mut skips = Skips::new("training", 12);
        for _ in 0..3 {
            skips.add(&skipped(0..9)).unwrap();
        }
        assert_eq!(skips.count(), 9);
    }
}
