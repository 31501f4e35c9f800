//! Operations that have passed their check: a step runs the same ones every time, and a check makes lists of operands.

use std::any::Any;

use crate::Error;
use crate::ops::{Operation, Region};

/// Operations that are remembered; a network has a few hundred at most.
const MOST: usize = 1000;

/// Copies of what has passed, and for how many images. Memory only grows, and fewer images need less: what passed once
/// passes again.
#[derive(Default)]
pub(super) struct Passed(Vec<(usize, Box<dyn Any + Send + Sync>)>);

impl Passed {
    /// [`Operation::check`], unless the very same operation has passed for as many images.
    pub(super) fn check<O: Operation + PartialEq + Send + Sync + 'static>(
        &mut self,
        op: &O,
        images: usize,
        available: &dyn Fn(Region) -> usize,
    ) -> Result<(), Error> {
        let same = |(most, passed): &(usize, Box<dyn Any + Send + Sync>)| {
            images <= *most && passed.downcast_ref::<O>().is_some_and(|passed| passed == op)
        };
        if !self.0.iter().any(same) {
            op.check(images, available)?;
            if self.0.len() == MOST {
                self.0.clear();
            }
            self.0.push((images, Box::new(op.clone())));
        }
        Ok(())
    }
}
