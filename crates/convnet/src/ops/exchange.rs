//! What crosses between devices: activations before a layer that reads towers of other shards, and the partial
//! gradients of its inputs behind it. Weights never do.

use super::{Access, Operation, Region, Span, expect_images, proper};
use crate::Error;

/// Copies between shards. All may be under way at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Floats of one image of each span.
    pub len: usize,
    /// The copies.
    pub transfers: Vec<Transfer>,
}

/// One copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What is sent, on one shard.
    pub from: Span,
    /// Where it arrives, on another one; overwritten.
    pub to: Span,
}

impl Exchange {
    /// Floats that `from` sends to `to` for one image.
    pub fn floats_between(&self, from: usize, to: usize) -> usize {
        let between = |transfer: &&Transfer| (transfer.from.shard, transfer.to.shard) == (from, to);
        self.transfers.iter().filter(between).count() * self.len
    }
}

impl Operation for Exchange {
    const NAME: &'static str = "exchange";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for transfer in &mut self.transfers {
            f(Access::Read, &mut transfer.from);
            f(Access::Write, &mut transfer.to);
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.len > 0, self.transfers.len())?;
        for transfer in &self.transfers {
            expect_images(Self::NAME, "what is sent", &transfer.from, images * self.len)?;
            expect_images(Self::NAME, "what arrives", &transfer.to, images * self.len)?;
        }
        Ok(())
    }

    /// Only shapes: each device checks its own end of a copy.
    fn check(&self, images: usize, _available: &dyn Fn(Region) -> usize) -> Result<(), Error> {
        self.check_shapes(images)
    }
}
