//! The operations of a network, and the interface of the devices that run them.
//!
//! An operation is plain data: a shape and the [`Span`]s of memory that it reads and writes. A
//! [`crate::plan::Plan`] is a list of them; a [`Device`] has one method for each.
//!
//! # Layouts
//! - Activations: NHWC, one span `[N, H, W, C]` per tower, where `C` counts the maps of one tower. The input alone may be
//!   in [`Blocks`] of pixels.
//! - Convolution weights: one span `[size, size, C, F]` per (consuming tower, source tower), filters innermost.
//! - Fully connected weights: one span `[inputs, outputs]` per (consuming tower, source tower).
//! - Spans that hold images may be longer than a step's images need; only the first `n` images are touched.
//!
//! # The order of sums
//! Terms lie in runs: the pixels and maps under one row of a filter, the output pixels of one row, the inputs of a
//! fully connected layer. [`sum_blocks`] cuts them into blocks of at most [`SUM_BLOCK`] terms. A block is summed from
//! zero by fused multiply-adds in ascending order; block sums are added in order to one f32.
//! - Forward: for each source, own tower first, then the others in cyclic order, the blocks of its terms: `size` runs
//!   of `size * channels` for a convolution, one run of `inputs` for a fully connected layer. Then the bias.
//! - Input gradient: one partial per consuming tower, each from zero: `size` runs of `size * filters`, or one run of
//!   `outputs`. Partials are added own tower first, then cyclic.
//! - Weight gradient of a convolution: images are taken in groups of [`GRADIENT_GROUP`]. A group sums, image by image,
//!   the blocks of the output's pixels: `out_height` runs of `out_width`. Groups are added in order. Of a fully
//!   connected layer: the blocks of one run, the whole batch.
//! - Bias gradient: a running sum over images and pixels in order, for a convolution in groups as above.

mod activation;
mod add;
mod augment;
mod blocks;
mod conv;
mod device;
mod dropout;
mod exchange;
mod fc;
mod fc_update;
mod lrn;
mod lrn_pool;
mod map_norm;
mod pool;
mod softmax;
mod span;
mod unary;
mod update;
mod weighted;

pub use activation::{Activation, ActivationBackward, ActivationForward, ActivationShape};
pub use add::{Add, AddTower};
pub use augment::{Augment, Draw};
pub use blocks::Blocks;
pub use conv::{ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad};
pub(crate) use device::for_each_operation;
pub use device::{Device, List, Op, Operations, Pass, Planned};
pub use dropout::{DropoutBackward, DropoutForward, DropoutShape, Scaling};
pub use exchange::{Exchange, Transfer};
pub use fc::{FcForward, FcInputGrad, FcShape, FcWeightGrad};
pub use fc_update::{FcWeightUpdate, FcWeightUpdateTower, UpdatedWeights};
pub use lrn::{LrnBackward, LrnForward, LrnShape};
pub use lrn_pool::{LrnPoolBackward, LrnPoolForward, LrnPoolShape};
pub use map_norm::{MapNormBackward, MapNormForward, MapNormShape};
pub use pool::{PoolBackward, PoolForward, PoolShape};
pub use softmax::{SoftmaxBackward, SoftmaxForward};
pub use span::{Access, Region, Span};
pub use unary::{Saved, UnaryBackward, UnaryForward, UnaryGradTower, UnaryShape, UnaryTower};
pub use update::Update;
pub use weighted::{Forward, ForwardTower, InputGrad, InputGradSource, WeightGrad, WeightGradTower, WeightedShape};

use crate::Error;

/// Terms in one block of a sum. Short blocks keep the rounding error near that of a blocked matrix product
/// (a plain running sum over fc6's 9216 inputs would miss the parity limit of 2e-6), long ones save traffic.
pub const SUM_BLOCK: usize = 256;

/// Images in one group of a convolution's weight gradient. Groups are what threads share out, so the size is fixed.
pub const GRADIENT_GROUP: usize = 16;

/// A block of a sum: terms `start..start + len` of runs `run..run + runs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumBlock {
    /// The first run.
    pub run: usize,
    /// How many runs; 1 where runs are longer than a block.
    pub runs: usize,
    /// The first term of each run.
    pub start: usize,
    /// Terms of each run.
    pub len: usize,
}

/// Cuts a sum over `runs` runs of `len` terms into blocks, in order: as many whole runs as fit into [`SUM_BLOCK`]
/// terms, or, where not even one does, each run into as few pieces as possible, all but the last of equal length.
pub fn sum_blocks(runs: usize, len: usize) -> impl Iterator<Item = SumBlock> {
    let together = (SUM_BLOCK / len.max(1)).max(1);
    let piece = len.div_ceil(len.div_ceil(SUM_BLOCK).max(1)).max(1);
    (0..runs).step_by(together).flat_map(move |run| {
        let runs = together.min(runs - run);
        (0..len).step_by(piece).map(move |start| SumBlock { run, runs, start, len: piece.min(len - start) })
    })
}

/// What every operation tells about itself.
pub trait Operation: Clone {
    /// The operation's name, as in the interface.
    const NAME: &'static str;
    /// Whether an output may lie exactly on the operand that is visited before it.
    const IN_PLACE: bool = false;
    /// Calls `f` with every span and how it is used.
    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span));

    /// Every span and how it is used, in the order of [`Operation::visit`].
    fn operands(&self) -> Vec<(Access, Span)> {
        let mut operands = Vec::new();
        self.clone().visit(&mut |access, span| operands.push((access, *span)));
        operands
    }

    /// Checks that every span holds what the shape needs for `images` images.
    ///
    /// # Errors
    /// [`Error::Shape`] for the first span that does not.
    fn check_shapes(&self, images: usize) -> Result<(), Error>;

    /// Checks the step against the operation.
    ///
    /// # Errors
    /// [`Error::Step`] when it lacks what the operation reads.
    fn check_step(&self, _step: &Step) -> Result<(), Error> {
        Ok(())
    }

    /// Checks shapes, bounds (`available` gives the floats of a region), that all operands are on one shard, and that no
    /// output overlaps another operand.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`], [`Error::Shards`] or [`Error::Overlap`].
    fn check(&self, images: usize, available: &dyn Fn(Region) -> usize) -> Result<(), Error> {
        self.check_shapes(images)?;
        let spans = self.operands();
        for (i, &(access, span)) in spans.iter().enumerate() {
            if span.end() > available(span.region) {
                let (op, available) = (Self::NAME, available(span.region));
                return Err(Error::OutOfRange { op, span: span.to_string(), available });
            }
            if span.shard != spans[0].1.shard {
                let (first, second) = (spans[0].1.to_string(), span.to_string());
                return Err(Error::Shards { op: Self::NAME, first, second });
            }
            for (j, &(other_access, other)) in spans[..i].iter().enumerate() {
                let written = access != Access::Read || other_access != Access::Read;
                let in_place = Self::IN_PLACE && span == other && j + 1 == i && access == Access::Write;
                if written && span.overlaps(&other) && !in_place {
                    let (first, second) = (other.to_string(), span.to_string());
                    return Err(Error::Overlap { op: Self::NAME, first, second });
                }
            }
        }
        Ok(())
    }
}

/// What changes from step to step: the batch, its random draws and the learning rates.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Pixels, `[n, side, side, 3]`, interleaved RGB.
    pub rgb: Vec<u8>,
    /// The right class of each image.
    pub labels: Vec<u32>,
    /// The identity of each image in its data set; with seed and epoch it selects the dropout mask.
    pub ids: Vec<u32>,
    /// Crop, flip and colour noise of each image.
    pub draws: Vec<Draw>,
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, counted from 0.
    pub epoch: u32,
    /// The learning rate of each parameter, by its index in the plan.
    pub rates: Vec<f32>,
}

impl Step {
    /// Images in the step.
    pub fn images(&self) -> usize {
        self.labels.len()
    }

    /// Becomes a copy of another step, in its own buffers.
    pub fn copy_from(&mut self, step: &Step) {
        let Step { rgb, labels, ids, draws, seed, epoch, rates } = step;
        self.rgb.clone_from(rgb);
        self.labels.clone_from(labels);
        self.ids.clone_from(ids);
        self.draws.clone_from(draws);
        self.rates.clone_from(rates);
        (self.seed, self.epoch) = (*seed, *epoch);
    }

    /// Checks that every part is there for every image. Pixels and draws may be missing altogether, in a step whose
    /// input is not made by [`Augment`].
    ///
    /// # Errors
    /// [`Error::Step`] for the first part that disagrees with the labels.
    pub fn check(&self) -> Result<(), Error> {
        let images = self.images();
        if self.ids.len() != images {
            return Err(Error::Step(format!("{} ids for {images} labels", self.ids.len())));
        }
        if !self.draws.is_empty() && self.draws.len() != images {
            return Err(Error::Step(format!("{} draws for {images} labels", self.draws.len())));
        }
        Ok(())
    }
}

/// The extent of a sliding window's output: `ceil` is what cuda-convnet uses for convolution and pooling, so that
/// 224 pixels give 55 positions of an 11-pixel window at stride 4 (`layer.py`, 2012); `floor` is everyone else's.
pub fn window_count(input: usize, pad: usize, size: usize, stride: usize, ceil: bool) -> usize {
    let padded = (input + 2 * pad).max(size);
    let steps = if ceil { (padded - size).div_ceil(stride) } else { (padded - size) / stride };
    let mut count = steps + 1;
    // A last window that would start beyond the image and its left padding sees nothing: leave it out.
    while count > 1 && (count - 1) * stride >= input + pad {
        count -= 1;
    }
    count
}

/// Refuses operations with an extent of 0 or without towers.
fn proper(op: &'static str, shape: bool, towers: usize) -> Result<(), Error> {
    if shape && towers > 0 { Ok(()) } else { Err(Error::Empty { op }) }
}

/// For a device that takes pixels only.
pub(crate) fn expect_pixels(op: &'static str, in_blocks: bool) -> Result<(), Error> {
    if in_blocks { Err(Error::Blocks { op }) } else { Ok(()) }
}

fn expect(op: &'static str, what: &'static str, span: &Span, expected: usize) -> Result<(), Error> {
    if span.len == expected { Ok(()) } else { Err(Error::Shape { op, what, expected, got: span.len }) }
}

fn expect_images(op: &'static str, what: &'static str, span: &Span, expected: usize) -> Result<(), Error> {
    if span.len >= expected { Ok(()) } else { Err(Error::Shape { op, what, expected, got: span.len }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sum_blocks_take_every_term_once_in_order(runs in 1_usize..40, len in 1_usize..1500) {
            let mut terms = Vec::new();
            for block in sum_blocks(runs, len) {
                prop_assert!(block.runs * block.len <= SUM_BLOCK);
                for run in block.run..block.run + block.runs {
                    terms.extend((block.start..block.start + block.len).map(|term| (run, term)));
                }
            }
            let all: Vec<_> = (0..runs).flat_map(|run| (0..len).map(move |term| (run, term))).collect();
            prop_assert_eq!(terms, all);
        }
    }
}
