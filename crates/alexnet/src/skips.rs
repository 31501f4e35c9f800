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
        self.note(skipped).into_iter().for_each(console::warn);
        self.check()
    }

    /// Takes note of images; gives what to warn of.
    fn note(&mut self, skipped: &[Skipped]) -> Vec<String> {
        let mut warnings = Vec::new();
        for Skipped { name, reason } in skipped {
            if !self.names.insert(name.clone()) {
                continue;
            }
            match self.names.len() {
                1..=NAMED => warnings.push(format!("left out {name}: {reason}")),
                n if n == NAMED + 1 => warnings.push("further images that cannot be read are counted only".to_string()),
                _ => {}
            }
        }
        warnings
    }

    fn check(&self) -> Result<()> {
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
        let goes_on = |total, failed| {
            let mut skips = Skips::new("training", total);
            skips.note(&skipped(0..failed));
            skips.check().is_ok()
        };
        assert!(goes_on(12, 9) && !goes_on(12, 10));
        assert!(goes_on(1000, 50) && !goes_on(1000, 51));
    }

    #[test]
    fn an_image_counts_once_and_ten_are_named() {
        let mut skips = Skips::new("training", 12);
        assert_eq!(skips.note(&skipped(0..9)).len(), 9);
        assert!(skips.note(&skipped(0..9)).is_empty());
        assert_eq!(skips.count(), 9);
        assert_eq!(skips.note(&skipped(5..30)).len(), 2);
    }
}
