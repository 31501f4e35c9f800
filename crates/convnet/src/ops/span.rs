//! Names for pieces of a device's memory.

use std::fmt;

/// One of the memory regions of a device, each an array of f32; a device may hold [`Region::Work`] in a shorter type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// What training does not change: the mean image.
    Constants,
    /// Weights and biases.
    Weights,
    /// The momentum of each weight.
    Momenta,
    /// Gradients of weights and biases, of those that are stored.
    Gradients,
    /// Activations and their gradients; contents live as long as the plan needs them.
    Work,
    /// What a step gives: probabilities, losses, ranks.
    Results,
}

impl Region {
    /// Every region.
    pub const ALL: [Region; 6] =
        [Region::Constants, Region::Weights, Region::Momenta, Region::Gradients, Region::Work, Region::Results];
}

/// A range of floats in a region of a shard's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The region.
    pub region: Region,
    /// The first float.
    pub start: usize,
    /// How many floats.
    pub len: usize,
    /// Which shard's memory it is in: 0 where there is one device. A device knows its own memory only and does not look
    /// at it; [`crate::shards::Shards`] does.
    pub shard: usize,
}

impl Span {
    /// `len` floats of `region` from `start`, on the first shard.
    pub fn new(region: Region, start: usize, len: usize) -> Span {
        Span { region, start, len, shard: 0 }
    }

    /// The first float behind the span.
    pub fn end(&self) -> usize {
        self.start.saturating_add(self.len)
    }

    /// Whether the two share a float.
    pub fn overlaps(&self, other: &Span) -> bool {
        (self.shard, self.region) == (other.shard, other.region) && self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shard > 0 {
            write!(f, "{}:", self.shard)?;
        }
        write!(f, "{:?}[{}..{}]", self.region, self.start, self.end())
    }
}

/// How an operation uses a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Overwrites it without reading what was there.
    Write,
    /// Reads and changes it.
    Update,
}
