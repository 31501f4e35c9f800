//! What both response normalisations share: powers of the bracket.

/// The exponent of a normalisation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Power {
    /// 0.75, the paper's.
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
            Power::ThreeQuarters => {
                powers.iter_mut().zip(brackets).for_each(|(power, &bracket)| *power = three_quarters(bracket));
            }
            Power::Other(beta) => {
                powers.iter_mut().zip(brackets).for_each(|(power, bracket)| *power = bracket.powf(-beta));
            }
        }
    }
}

/// `s^-0.75` to 2e-7, for positive normal `s`: from the bits within 5 %, then three steps of Newton's method for
/// `y^-4 = s^3`. Two square roots and a division take six times as long.
#[inline(always)]
fn three_quarters(s: f32) -> f32 {
    let mut y = f32::from_bits(0x6f15_0000_u32.wrapping_sub(s.to_bits() / 4 * 3));
    for _ in 0..3 {
        // y^4 * s^3 as a square, so that nothing overflows on the way.
        let root = y * s * y;
        y *= 1.25 - 0.25 * (root * root * s);
    }
    y
}
