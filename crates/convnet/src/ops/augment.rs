//! From stored pixels to the network's input: crop, flip, mean, colour noise (paper, section 4.1).
//!
//! `out[n, y, x, c] = (rgb[n, top + y, left + (flip ? crop - 1 - x : x), c] - mean[y, x, c]) * scale + shift[c]`.
//! The mean is subtracted by position in the crop, never flipped (`convdata.py`, 2012).
//! Written as pixels, `[N, crop, crop, 3]`, or as [`Blocks`] of them.

use super::{Access, Blocks, Operation, Span, Step, expect, expect_images};
use crate::Error;

/// What happens to one image: made by [`crate::augment`], read by the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// First row of the crop.
    pub top: u32,
    /// First column of the crop.
    pub left: u32,
    /// Whether the crop is mirrored.
    pub flip: bool,
    /// Factor of the centred pixels.
    pub scale: f32,
    /// Added to red, green and blue.
    pub shift: [f32; 3],
}

/// Fills the network's input from the step's pixels and draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Augment {
    /// Side of a stored image.
    pub side: usize,
    /// Side of the crop.
    pub crop: usize,
    /// `[crop, crop, 3]`
    pub mean: Span,
    /// The blocks that the output is written in, if any.
    pub blocks: Option<Blocks>,
    /// `[N, crop, crop, 3]`, or `[N, rows, columns, side * side * 3]` of the blocks; overwritten.
    pub output: Span,
}

impl Operation for Augment {
    const NAME: &'static str = "augment";

    fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
        f(Access::Read, &mut self.mean);
        f(Access::Write, &mut self.output);
    }

    fn check_shapes(&self, images: usize) -> Result<(), Error> {
        let len = self.crop * self.crop * 3;
        expect(Self::NAME, "mean", &self.mean, len)?;
        let image_len = self.blocks.map_or(len, |blocks| blocks.image_len(3));
        expect_images(Self::NAME, "output", &self.output, images * image_len)
    }

    fn check_step(&self, step: &Step) -> Result<(), Error> {
        let images = step.images();
        let expected = images * self.side * self.side * 3;
        if step.rgb.len() != expected {
            let (got, side) = (step.rgb.len(), self.side);
            return Err(Error::Step(format!("{got} bytes of pixels, expected {images} images of {side}x{side}x3")));
        }
        if step.draws.len() != images {
            return Err(Error::Step(format!("{} draws for {images} images", step.draws.len())));
        }
        let Some(last) = self.side.checked_sub(self.crop) else {
            return Err(Error::Step(format!("a crop of {} is larger than images of {}", self.crop, self.side)));
        };
        match step.draws.iter().find(|draw| draw.top as usize > last || draw.left as usize > last) {
            Some(draw) => Err(Error::Step(format!("crop at ({}, {}) is outside 0..={last}", draw.top, draw.left))),
            None => Ok(()),
        }
    }
}
