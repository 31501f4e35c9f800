//! Local response normalisation across maps (paper, section 3.3).
//!
//! `y[i] = x[i] / (k + alpha * sum of x[j]^2 for |j - i| <= size / 2)^beta`, `j` over the maps of the joined towers.
//!
//! Gradient, with `s` the bracket: `dx[i] = dy[i] * s[i]^-beta - 2 * alpha * beta * x[i] * sum of
//! dy[j] * x[j] * s[j]^(-beta - 1) for |j - i| <= size / 2`.

use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// The shape of one tower's normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnShape {
    /// Rows times columns.
    pub pixels: usize,
    /// Maps of one tower.
    pub channels: usize,
    /// How many consecutive towers share their windows: 1 stops windows at the tower's border (2012),
    /// the number of towers lets them run over all maps of the layer (paper).
    pub joined: usize,
    /// Maps in a window, odd.
    pub size: usize,
    /// Added to the sum.
    pub k: f32,
    /// Factor of the sum of squares (already divided by `size` where a net says so).
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
}

impl UnaryShape for LrnShape {
    const FORWARD: &'static str = "lrn_forward";
    const BACKWARD: &'static str = "lrn_backward";
    const SAVED: Saved = Saved::Input;
    const IN_PLACE: bool = false;

    fn is_proper(&self) -> bool {
        self.input_len() > 0 && self.output_len() > 0 && self.size > 0
    }

    fn input_len(&self) -> usize {
        self.pixels * self.channels
    }

    fn output_len(&self) -> usize {
        self.input_len()
    }

    fn joined(&self) -> usize {
        self.joined
    }
}

/// Forward pass: a multiple of `joined` towers, in order.
pub type LrnForward = UnaryForward<LrnShape>;
/// Gradient: a multiple of `joined` towers, in order.
pub type LrnBackward = UnaryBackward<LrnShape>;
