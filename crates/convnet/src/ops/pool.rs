//! Max pooling (paper, section 3.4): windows may overlap (`size > stride`), and are clipped at the border.
//!
//! The gradient goes to the first maximum of a window in row-major order, as in PyTorch; an input that is the maximum
//! of several windows sums their gradients in row-major order of the windows.

use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// The shape of one tower's pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Rows of an input map.
    pub in_height: usize,
    /// Columns of an input map.
    pub in_width: usize,
    /// Maps of one tower.
    pub channels: usize,
    /// Rows of an output map.
    pub out_height: usize,
    /// Columns of an output map.
    pub out_width: usize,
    /// Side of a window.
    pub size: usize,
    /// Pixels between windows.
    pub stride: usize,
}

impl UnaryShape for PoolShape {
    const FORWARD: &'static str = "pool_forward";
    const BACKWARD: &'static str = "pool_backward";
    const SAVED: Saved = Saved::Input;
    const IN_PLACE: bool = false;

    fn is_proper(&self) -> bool {
        self.input_len() > 0 && self.output_len() > 0 && self.size > 0 && self.stride > 0
    }

    fn input_len(&self) -> usize {
        self.in_height * self.in_width * self.channels
    }

    fn output_len(&self) -> usize {
        self.out_height * self.out_width * self.channels
    }
}

/// Forward pass.
pub type PoolForward = UnaryForward<PoolShape>;
/// Gradient.
pub type PoolBackward = UnaryBackward<PoolShape>;
