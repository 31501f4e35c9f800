//! What both response normalisations share: powers of the bracket.

/// The exponent of a normalisation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Power {
    /// 0.75, the paper's: two square roots.
    ThreeQuarters,
    /// Any other.
    Other(f32),
}

impl Power {
    pub(super) fn new(beta: f32) -> Power {
        if beta == 0.75 { Power::ThreeQuarters } else { Power::Other(beta) }
    }

    /// `powers = brackets^-beta`.
    #[inline(always)]
    pub(super) fn negative(self, brackets: &[f32], powers: &mut [f32]) {
        match self {
            Power::ThreeQuarters => powers.iter_mut().zip(brackets).for_each(|(power, bracket)| {
                let root = bracket.sqrt();
                *power = 1.0 / (root * root.sqrt());
            }),
            Power::Other(beta) => {
                powers.iter_mut().zip(brackets).for_each(|(power, bracket)| *power = bracket.powf(-beta));
            }
        }
    }
}
