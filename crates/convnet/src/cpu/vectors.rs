//! Loops over rows of maps in vectors, the last of which may be shorter.

use pulp::Simd;

/// Calls `work` with the place and length of each vector of a row of `len` floats.
#[inline(always)]
pub(super) fn each_vector<S: Simd>(len: usize, mut work: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at + S::F32_LANES <= len {
        work(at, S::F32_LANES);
        at += S::F32_LANES;
    }
    if at < len {
        work(at, len - at);
    }
}

/// The `valid` floats from `at` on, and zeros behind them. Without a check: two comparisons for each of a dozen loads
/// take as long as the arithmetic between them.
///
/// # Safety
/// They are in the row, and no more than a vector.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(simd: S, row: &[f32], at: usize, valid: usize) -> S::f32s {
    debug_assert!(at + valid <= row.len());
    // SAFETY: the caller's word; any bits are floats.
    unsafe {
        if valid == S::F32_LANES {
            row.as_ptr().add(at).cast::<S::f32s>().read_unaligned()
        } else {
            simd.partial_load_f32s(row.get_unchecked(at..at + valid))
        }
    }
}

/// Writes the first `valid` floats of a vector from `at` on.
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(simd: S, row: &mut [f32], at: usize, valid: usize, values: S::f32s) {
    debug_assert!(at + valid <= row.len());
    // SAFETY: the caller's word.
    unsafe {
        if valid == S::F32_LANES {
            row.as_mut_ptr().add(at).cast::<S::f32s>().write_unaligned(values);
        } else {
            simd.partial_store_f32s(row.get_unchecked_mut(at..at + valid), values);
        }
    }
}
