//! What both response normalisations share: powers of the bracket.

use pulp::{Scalar, Simd};

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
        powers.iter_mut().zip(brackets).for_each(|(power, &bracket)| *power = self.of(Scalar::new(), bracket));
    }

    /// `s^-beta`
    #[inline(always)]
    pub(super) fn of<S: Simd>(self, simd: S, mut s: S::f32s) -> S::f32s {
        match self {
            Power::ThreeQuarters => three_quarters(simd, s),
            Power::Other(beta) => {
                let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut s));
                lanes.iter_mut().for_each(|lane| *lane = lane.powf(-beta));
                s
            }
        }
    }
}

/// `s^-0.75` to 2e-7, for positive normal `s`: from the bits within 5 %, then three steps of Newton's method for
/// `y^-4 = s^3`. Two square roots and a division take six times as long.
#[inline(always)]
pub(super) fn three_quarters<S: Simd>(simd: S, s: S::f32s) -> S::f32s {
    let quarter = simd.wrapping_dyn_shr_u32s(simd.transmute_u32s_f32s(s), simd.splat_u32s(2));
    let bits = simd.add_u32s(quarter, simd.add_u32s(quarter, quarter));
    let mut y = simd.transmute_f32s_u32s(simd.sub_u32s(simd.splat_u32s(0x6f15_0000), bits));
    for _ in 0..3 {
        // y^4 * s^3 as a square, so that nothing overflows on the way.
        let root = simd.mul_f32s(simd.mul_f32s(y, s), y);
        let square = simd.mul_f32s(simd.mul_f32s(root, root), s);
        let factor = simd.sub_f32s(simd.splat_f32s(1.25), simd.mul_f32s(simd.splat_f32s(0.25), square));
        y = simd.mul_f32s(y, factor);
    }
    y
}
