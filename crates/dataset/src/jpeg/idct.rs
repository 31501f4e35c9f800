//! The inverse cosine transform in f32, by the algorithm of Arai, Agui and Nakajima: five multiplications for
//! eight values, the others folded into the quantiser. More exact than libjpeg's integers: results differ by one
//! where those round the other way.

use std::f32::consts::SQRT_2;

/// What the algorithm leaves to be multiplied, for each row and each column.
pub(super) const SCALES: [f32; 8] =
    [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];

/// Factors of the coefficients of a block, as [`transform`] wants them.
#[derive(Clone, Copy)]
pub(super) struct Quantiser([f32; 64]);

impl Quantiser {
    /// From the factors that the file has, row by row.
    pub(super) fn new(factors: [f32; 64]) -> Quantiser {
        Quantiser(std::array::from_fn(|i| factors[i] * SCALES[i / 8] * SCALES[i % 8] / 8.0))
    }
}

/// Transforms a block, stored row by row, into eight columns of samples that lie `stride` apart. `n_used` says
/// how many coefficients of the file's order may not be zero.
#[inline(always)]
pub(super) fn transform(
    block: &[i16; 64],
    Quantiser(factors): &Quantiser,
    n_used: usize,
    samples: &mut [u8],
    stride: usize,
) {
    if n_used == 1 {
        let value = nearest(f32::from(block[0]) * factors[0] + 128.0);
        samples.chunks_mut(stride).take(8).for_each(|column| column[..8].fill(value));
        return;
    }
    let mut values = [0.0; 64];
    for ((value, &coefficient), factor) in values.iter_mut().zip(block).zip(factors) {
        *value = f32::from(coefficient) * factor;
    }
    // Columns, then rows, each eight at once: value `i` of each lies at `i * 8`.
    let half = pass(&values);
    for row in 0..8 {
        for column in 0..8 {
            values[column * 8 + row] = half[row * 8 + column];
        }
    }
    let whole = pass(&values);
    for (column, values) in samples.chunks_mut(stride).zip(whole.as_chunks::<8>().0) {
        for (to, &value) in column[..8].iter_mut().zip(values) {
            *to = nearest(value + 128.0);
        }
    }
}

/// The nearest byte: adding 1.5 * 2^23 leaves the rounded value in the lowest bits.
#[inline(always)]
pub(super) fn nearest(value: f32) -> u8 {
    const MAGIC: f32 = 12_582_912.0;
    let bits = (value + MAGIC).to_bits() as i32;
    bits.wrapping_sub(MAGIC.to_bits() as i32).clamp(0, 255) as u8
}

/// The transform of eight columns at once: value `i` of a column lies at `i * 8`.
#[inline(always)]
fn pass(input: &[f32; 64]) -> [f32; 64] {
    let mut output = [0.0; 64];
    for lane in 0..8 {
        let at = |i: usize| input[i * 8 + lane];
        // Even coefficients.
        let (sum, difference) = (at(0) + at(4), at(0) - at(4));
        let t = at(2) + at(6);
        let u = (at(2) - at(6)) * SQRT_2 - t;
        let even = [sum + t, difference + u, difference - u, sum - t];
        // Odd ones.
        let (a, b) = (at(5) + at(3), at(5) - at(3));
        let (c, d) = (at(1) + at(7), at(1) - at(7));
        let z = (b + d) * 1.847_759_1;
        let o0 = c + a;
        let o1 = (z - b * 2.613_126) - o0;
        let o2 = (c - a) * SQRT_2 - o1;
        let o3 = (z - d * 1.082_392_2) - o2;
        for (i, odd) in [o0, o1, o2, o3].into_iter().enumerate() {
            output[i * 8 + lane] = even[i] + odd;
            output[(7 - i) * 8 + lane] = even[i] - odd;
        }
    }
    output
}
