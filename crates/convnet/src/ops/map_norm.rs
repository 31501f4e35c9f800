//! Local response normalisation within each map: `rnorm` of the 2012 code, after conv2's LRN.
//!
//! `y[p] = x[p] / (k + alpha * sum of x[q]^2 for q in the size x size window around p)^beta`; the window is clipped
//! at the border. The gradient has the form of [`super::LrnShape`]'s with this window.

use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// The shape of one tower's normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapNormShape {
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// Maps of one tower.
    pub channels: usize,
    /// Side of the window, odd.
    pub size: usize,
    /// Added to the sum.
    pub k: f32,
    /// Factor of the sum of squares (already divided by `size * size` where a net says so).
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
}

impl UnaryShape for MapNormShape {
    const FORWARD: &'static str = "map_norm_forward";
    const BACKWARD: &'static str = "map_norm_backward";
    const SAVED: Saved = Saved::Input;
    const IN_PLACE: bool = false;

    fn is_proper(&self) -> bool {
        self.input_len() > 0 && self.output_len() > 0 && self.size > 0
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn output_len(&self) -> usize {
        self.input_len()
    }
}

/// Forward pass.
pub type MapNormForward = UnaryForward<MapNormShape>;
/// Gradient.
pub type MapNormBackward = UnaryBackward<MapNormShape>;
