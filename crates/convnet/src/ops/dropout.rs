//! Dropout (paper, section 4.2).
//!
//! A unit is kept when [`crate::philox::dropout_word`] of (seed, epoch, image id, layer, unit) is below
//! `keep * 2^32`. The mask is computed again by the gradient. Units are numbered over all towers:
//! unit `u` of the `t`-th tower of the net is `t * units + u`.

use super::unary::{Saved, UnaryBackward, UnaryForward, UnaryShape};

/// Where the factor goes that makes up for dropped units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Training masks only, a test multiplies by `keep`: the paper and the 2012 code.
    Test,
    /// Training divides kept units by `keep`, a test does nothing.
    Train,
}

/// The shape of one tower's dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutShape {
    /// Units of one tower.
    pub units: usize,
    /// Which tower of the net the operation's first one is.
    pub first_tower: usize,
    /// Which dropout layer of the net this is, counted from 0.
    pub layer: u32,
    /// Probability that a unit is kept.
    pub keep: f32,
    /// Where the factor goes.
    pub scaling: Scaling,
    /// Whether units are dropped (training) or not (test).
    pub training: bool,
}

impl DropoutShape {
    /// The same for an operation whose first tower is another one of the net.
    pub fn from_tower(self, first_tower: usize) -> DropoutShape {
        DropoutShape { first_tower, ..self }
    }

    /// What a kept unit is multiplied by.
    pub fn factor(&self) -> f32 {
        match (self.training, self.scaling) {
            (true, Scaling::Train) => 1.0 / self.keep,
            (false, Scaling::Test) => self.keep,
            (true, Scaling::Test) | (false, Scaling::Train) => 1.0,
        }
    }

    /// A unit is kept when its random word is below this.
    pub fn threshold(&self) -> u64 {
        (f64::from(self.keep) * 4_294_967_296.0) as u64
    }
}

impl UnaryShape for DropoutShape {
    const FORWARD: &'static str = "dropout_forward";
    const BACKWARD: &'static str = "dropout_backward";
    const SAVED: Saved = Saved::Nothing;
    const IN_PLACE: bool = true;

    fn input_len(&self) -> usize {
        self.units
    }

    fn output_len(&self) -> usize {
        self.units
    }
}

/// Forward pass.
pub type DropoutForward = UnaryForward<DropoutShape>;
/// Gradient: the same mask and factor.
pub type DropoutBackward = UnaryBackward<DropoutShape>;
