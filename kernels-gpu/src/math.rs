//! Functions made of a GPU's approximations, accurate to a few units of the last place.
//!
//! The host's tests run the same formulas with exact instructions in place of the approximations, so they bound the
//! error of the formulas; the documented errors of the instructions come on top, and are small beside the limits.

#[cfg(target_arch = "nvptx64")]
use crate::arch::{exp2_approx, fma, log2_approx, rcp_approx, rsqrt_approx};
#[cfg(not(target_arch = "nvptx64"))]
use tests::{exp2_approx, fma, log2_approx, rcp_approx, rsqrt_approx};

/// `e^x` for `x <= 0`, within 3 units of the last place. NaN stays.
///
/// `x = n ln 2 + r` with `n` whole and `ln 2` in two parts, so that `r` is nearly exact; then `2^n * 2^(r / ln 2)`,
/// because `ex2` of a large argument would carry the argument's rounding.
#[inline(always)]
pub(crate) fn exp_of_negative(x: f32) -> f32 {
    // Below, the result is 0; minus infinity would become NaN.
    let x = if x < -104.0 { -104.0 } else { x };
    // Adding 1.5 * 2^23 leaves no place for a fraction.
    let n = fma(x, core::f32::consts::LOG2_E, 12_582_912.0) - 12_582_912.0;
    let r = fma(n, -0.693_145_75, x);
    let r = fma(n, -1.428_606_8e-6, r);
    exp2_approx(r * core::f32::consts::LOG2_E) * exp2_approx(n)
}

/// The natural logarithm, within 2 units of the last place, near 1 within an absolute 2e-7.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    log2_approx(x) * core::f32::consts::LN_2
}

/// `tanh x`, within 3 units of the last place. NaN stays.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    if size < 0.55 {
        // A fit of tanh(x) / x with a relative error below 4e-8; `1 - 2 / (e^2x + 1)` would cancel here.
        let square = x * x;
        let p = fma(square, 0.016_437_58, -0.052_671_81);
        let p = fma(square, p, 0.133_207_25);
        let p = fma(square, p, -0.333_329_47);
        fma(x * square, p, x)
    } else {
        // With e = e^-2|x|: (1 - e) / (1 + e), which does not overflow.
        let e = exp_of_negative(-2.0 * size);
        let y = (1.0 - e) * rcp_approx(1.0 + e);
        y.copysign(x)
    }
}

/// `s^-beta` for `s > 0`. With 0.75, the paper's beta, `1 / (sqrt s * sqrt sqrt s)` from two reciprocal roots, within
/// a relative 4e-7. Otherwise by logarithm, within a relative `4e-7 * (1 + beta * |log2 s|)`.
#[inline(always)]
pub(crate) fn inverse_power(s: f32, beta: f32) -> f32 {
    if beta == 0.75 {
        let inverse_root = rsqrt_approx(s);
        inverse_root * rsqrt_approx(s * inverse_root)
    } else {
        exp2_approx(-beta * log2_approx(s))
    }
}

#[cfg(not(target_arch = "nvptx64"))]
mod tests {
    extern crate std;

    pub(super) fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    pub(super) fn exp2_approx(x: f32) -> f32 {
        x.exp2()
    }

    pub(super) fn log2_approx(x: f32) -> f32 {
        x.log2()
    }

    pub(super) fn rcp_approx(x: f32) -> f32 {
        1.0 / x
    }

    pub(super) fn rsqrt_approx(x: f32) -> f32 {
        1.0 / x.sqrt()
    }

    /// The largest relative error over numbers from `from` to `to`.
    fn error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let numbers = (0..=100_000).map(|i| from + (to - from) * (i as f32 / 100_000.0));
        let error = |x: f32| {
            let exact = exact(f64::from(x));
            if exact == 0.0 { f64::from(f(x)).abs() } else { (f64::from(f(x)) / exact - 1.0).abs() }
        };
        numbers.map(error).fold(0.0, f64::max)
    }

    const ULP: f64 = 1.2e-7;

    #[test]
    fn exponentials_are_accurate() {
        assert!(error(super::exp_of_negative, f64::exp, -87.0, 0.0) < 2.0 * ULP);
        assert_eq!([-150.0, -1e30, f32::NEG_INFINITY].map(super::exp_of_negative), [0.0; 3]);
        assert_eq!(super::exp_of_negative(0.0), 1.0);
        assert!(super::exp_of_negative(f32::NAN).is_nan());
    }

    #[test]
    fn hyperbolic_tangents_are_accurate() {
        assert!(error(super::tanh, f64::tanh, -0.6, 0.6) < 2.0 * ULP);
        assert!(error(super::tanh, f64::tanh, -9.0, 9.0) < 2.0 * ULP);
        assert_eq!([f32::NEG_INFINITY, -50.0, 0.0, 50.0, f32::INFINITY].map(super::tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        assert_eq!(super::tanh(1e-30), 1e-30);
        assert!(super::tanh(f32::NAN).is_nan());
    }

    #[test]
    fn powers_are_accurate() {
        for (beta, limit) in [(0.75, 2.0), (0.5, 2.0), (1.0, 6.0), (0.1, 2.0), (1.4, 8.0)] {
            for (from, to) in [(0.5, 2.0), (1.999, 2.001), (1.0, 60.0)] {
                let error = error(|s| super::inverse_power(s, beta), |s| s.powf(-f64::from(beta)), from, to);
                assert!(error < limit * ULP, "s^-{beta} from {from} to {to}: {error:.1e}");
            }
        }
    }

    #[test]
    fn logarithms_are_accurate() {
        assert!(error(super::ln, f64::ln, 1.5, 1e6) < 2.0 * ULP);
        assert_eq!(super::ln(1.0), 0.0);
    }
}
