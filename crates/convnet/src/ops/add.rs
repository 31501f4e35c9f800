//! Sums of partial gradients: `target = ((target + addend 0) + addend 1) + ...`, element by element.
//!
//! On one device the input gradient of a layer that reads all towers adds one partial per consuming tower itself. On
//! several, each device computes the partials of its own towers, they are exchanged, and this adds them in the same
//! order: so the bits are the same.

use super::{Access, Operation, Span, expect_images, proper};
use crate::Error;

/// Adds partial gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// Floats of one image.
    pub len: usize,
    /// The operands of each tower; as many addends for each.
    pub towers: Vec<AddTower>,
}

/// The operands of one tower of [`Add`].
#[derive(Clone, Debug, PartialEq)]
pub struct AddTower {
    /// The first partial, which becomes the sum.
    pub target: Span,
    /// The other partials, in order.
    pub addends: Vec<Span>,
}

impl Operation for Add {
    const NAME: &'static str = "add";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        for tower in &mut self.towers {
            f(Access::Update, &mut tower.target);
            tower.addends.iter_mut().for_each(|span| f(Access::Read, span));
        }
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        proper(Self::NAME, self.len > 0, self.towers.len())?;
        let addends = self.towers[0].addends.len();
        for tower in &self.towers {
            if tower.addends.len() != addends {
                return Err(Error::Sources { op: Self::NAME, expected: addends, got: tower.addends.len() });
            }
            expect_images(Self::NAME, "target", &tower.target, images * self.len)?;
            tower.addends.iter().try_for_each(|span| expect_images(Self::NAME, "addend", span, images * self.len))?;
        }
        Ok(())
    }
}
