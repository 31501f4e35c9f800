//! Which shard computes which tower, and where values are.

use std::ops::Range;

use crate::Error;
use crate::net::Net;
use crate::ops::Span;

/// Towers shared out to shards, as many to each, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    towers: usize,
    pub(super) shards: usize,
}

impl Placement {
    /// All towers on one shard.
    pub(super) fn whole(net: &Net) -> Placement {
        Placement { towers: net.towers, shards: 1 }
    }

    pub(super) fn new(net: &Net, shards: usize) -> Result<Placement, Error> {
        if shards == 0 || !net.towers.is_multiple_of(shards) {
            let towers = format!("{} tower{}", net.towers, if net.towers == 1 { "" } else { "s" });
            let divisors = (1..net.towers).filter(|shards| net.towers.is_multiple_of(*shards));
            let others: Vec<String> = divisors.map(|shards| shards.to_string()).collect();
            let possible = match &others[..] {
                [] => net.towers.to_string(),
                others => format!("{} or {}", others.join(", "), net.towers),
            };
            return Err(Error::Placement { net: net.name.clone(), towers, shards, possible });
        }
        Ok(Placement { towers: net.towers, shards })
    }

    /// The shard that computes a tower of a layer with `towers`. A layer with one tower in a net with more, as fc8, is
    /// the first shard's.
    pub(super) fn shard_of(self, tower: usize, towers: usize) -> usize {
        if towers == self.towers { tower * self.shards / self.towers } else { 0 }
    }

    /// The towers that a shard computes of a layer with `towers`.
    pub(super) fn towers_on(self, shard: usize, towers: usize) -> Range<usize> {
        if towers == self.towers {
            let each = self.towers / self.shards;
            return shard * each..(shard + 1) * each;
        }
        if shard == 0 { 0..towers } else { 0..0 }
    }
}

/// What one tower of a layer gives: where it is computed, and the same on other shards.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) own: Span,
    pub(super) copies: Vec<Span>,
}

impl Value {
    pub(super) fn new(own: Span) -> Value {
        Value { own, copies: Vec::new() }
    }

    /// Where it is on a shard, if it is there.
    pub(super) fn find(&self, shard: usize) -> Option<Span> {
        self.all().find(|span| span.shard == shard)
    }

    /// Where it is on a shard.
    ///
    /// # Panics
    /// When it is not there: whoever reads it has to bring it first.
    pub(super) fn on(&self, shard: usize) -> Span {
        self.find(shard).expect("it was brought to the shard before")
    }

    /// All places where it is.
    pub(super) fn all(&self) -> impl Iterator<Item = Span> {
        [self.own].into_iter().chain(self.copies.iter().copied())
    }
}
