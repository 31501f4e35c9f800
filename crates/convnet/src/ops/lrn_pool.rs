//! Response normalisation across maps and the max pooling of its outputs as one operation, for devices that keep what
//! lies between in their caches ([`super::Device::pools_normalised`]).
//!
//! Forward: [`super::PoolForward`] of [`super::LrnForward`]. Gradient: [`super::LrnBackward`] of
//! [`super::PoolBackward`], with the normalisation computed again from its input; where the input is that of a ReLU
//! (`rectified`), `dx = 0` where `x <= 0`.

use super::lrn::LrnShape;
use super::pool::PoolShape;
use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// The shape of one tower's normalisation and pooling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnPoolShape {
    /// The normalisation.
    pub lrn: LrnShape,
    /// The pooling, of as many pixels and maps.
    pub pool: PoolShape,
    /// Whether the gradient goes through a ReLU before the normalisation, too.
    pub rectified: bool,
}

impl UnaryShape for LrnPoolShape {
    const FORWARD: &'static str = "lrn_pool_forward";
    const BACKWARD: &'static str = "lrn_pool_backward";
    const SAVED: Saved = Saved::Input;
    const IN_PLACE: bool = false;

    fn is_proper(&self) -> bool {
        let fits = self.lrn.input_len() == self.pool.input_len() && self.lrn.channels == self.pool.channels;
        fits && self.lrn.is_proper() && self.pool.is_proper()
    }

    fn input_len(&self) -> usize {
        self.pool.input_len()
    }

    fn output_len(&self) -> usize {
        self.pool.output_len()
    }

    fn joined(&self) -> usize {
        self.lrn.joined
    }
}

/// Forward pass: a multiple of `lrn.joined` towers, in order.
pub type LrnPoolForward = UnaryForward<LrnPoolShape>;
/// Gradient: a multiple of `lrn.joined` towers, in order.
pub type LrnPoolBackward = UnaryBackward<LrnPoolShape>;
