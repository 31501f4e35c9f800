//! Convolution.
//!
//! `out[n, y, x, f] = bias[f] + sum over sources, ky, kx, c of
//! in[n, y * stride + ky - pad, x * stride + kx - pad, c] * weight[ky, kx, c, f]`, pixels outside the image are zero.
//! The output's extent is given, so a last window may hang over the right and bottom edge by any number of pixels:
//! that is how the 2012 code gets 55 positions from 224 pixels (`layer.py`, ceil).
//!
//! Layouts: inputs `[N, in_height, in_width, channels]`, output `[N, out_height, out_width, filters]`,
//! weights `[size, size, channels, filters]`, bias `[filters]`. Inputs may be in [`Blocks`] as wide as the stride, which
//! then have the padding, and whatever else windows reach, in them. The terms of a forward sum are ordered by source,
//! `ky`, `kx`, `c`; those of an input gradient by `ky`, `kx` (descending), `f`.

use super::Blocks;
use super::weighted::{Forward, InputGrad, WeightGrad, WeightedShape};

/// The shape of one tower's convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Rows of an input map.
    pub in_height: usize,
    /// Columns of an input map.
    pub in_width: usize,
    /// Maps of each source tower.
    pub channels: usize,
    /// Rows of an output map.
    pub out_height: usize,
    /// Columns of an output map.
    pub out_width: usize,
    /// Filters of this tower.
    pub filters: usize,
    /// The side of a filter, in pixels.
    pub size: usize,
    /// Pixels between windows.
    pub stride: usize,
    /// Zero pixels above and to the left of the image (and, as far as windows reach, below and to the right).
    pub pad: usize,
    /// Whether the input is in [`ConvShape::blocks`].
    pub in_blocks: bool,
}

impl ConvShape {
    /// The blocks of its input that windows reach.
    pub fn blocks(&self) -> Blocks {
        let ConvShape { out_height, out_width, size, stride: side, pad, .. } = *self;
        let taps = size.div_ceil(side);
        Blocks { side, pad, rows: out_height - 1 + taps, columns: out_width - 1 + taps }
    }

    /// Where the first map of a pixel lies in an image, if it is there. It is counted from the padding's corner.
    pub(crate) fn pixel(&self, row: usize, column: usize) -> Option<usize> {
        if self.in_blocks {
            return Some(self.blocks().pixel(self.channels, row, column));
        }
        let (row, column) = (row.checked_sub(self.pad)?, column.checked_sub(self.pad)?);
        let inside = row < self.in_height && column < self.in_width;
        inside.then(|| (row * self.in_width + column) * self.channels)
    }
}

impl WeightedShape for ConvShape {
    const FORWARD: &'static str = "conv_forward";
    const INPUT_GRAD: &'static str = "conv_input_grad";
    const WEIGHT_GRAD: &'static str = "conv_weight_grad";

    fn is_proper(&self) -> bool {
        self.size > 0 && self.stride > 0 && self.output_len() > 0 && self.input_len() > 0
    }

    fn input_len(&self) -> usize {
        if self.in_blocks {
            self.blocks().image_len(self.channels)
        } else {
            self.in_height * self.in_width * self.channels
        }
    }

    fn output_len(&self) -> usize {
        self.out_height * self.out_width * self.filters
    }

    fn weight_len(&self) -> usize {
        self.size * self.size * self.channels * self.filters
    }

    fn bias_len(&self) -> usize {
        self.filters
    }
}

/// Forward convolution.
pub type ConvForward = Forward<ConvShape>;
/// Gradient of a convolution's inputs.
pub type ConvInputGrad = InputGrad<ConvShape>;
/// Gradient of a convolution's weights and bias.
pub type ConvWeightGrad = WeightGrad<ConvShape>;
