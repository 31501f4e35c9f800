//! Fully connected forward for few images: what counts is the memory that weights come from, so they are read once, in
//! long pieces of their rows, and not packed.
//!
//! The sums are those of the tile, in the same order: bits do not depend on which of the two computes. In bf16, too:
//! there both factors are rounded in registers, and of each pair of inputs the second is added first.

use half::bf16;
use pulp::{Simd, WithSimd};

use crate::ops::{FcShape, SumBlock, sum_blocks};

/// The most images.
pub(super) const IMAGES: usize = 4;

/// Columns that a task owns at most: half of a page of each row of weights.
pub(super) const TASK_COLUMNS: usize = 512;

/// Rows of weights that pass at once, so that sums are loaded and stored a fourth as often.
const ROWS: usize = 4;

/// The sums of some columns over one source, in f32 or bf16.
pub(super) struct ThinTask<'a> {
    pub shape: FcShape,
    /// `[image][inputs]`
    pub input: &'a [f32],
    pub weight: &'a [f32],
    /// The columns of this task.
    pub first: usize,
    pub columns: usize,
    /// Room for the sums of a block.
    pub block: &'a mut [f32],
    /// `[image][stride]`
    pub sums: &'a mut [f32],
    pub stride: usize,
    /// Whether sums are added to or overwritten.
    pub add: bool,
    /// Whether factors are rounded to bf16.
    pub bf16: bool,
}

impl WithSimd for ThinTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.bf16 { self.sum::<S, true>(simd) } else { self.sum::<S, false>(simd) }
    }
}

impl ThinTask<'_> {
    #[inline(always)]
    fn sum<S: Simd, const BF16: bool>(self, simd: S) {
        let FcShape { inputs, outputs } = self.shape;
        // Inputs of a term.
        let width = if BF16 { 2 } else { 1 };
        for SumBlock { start, len, .. } in sum_blocks(1, inputs.div_ceil(width)) {
            let (start, end) = (start * width, inputs.min((start + len) * width));
            self.block.fill(0.0);
            for first in (start..end).step_by(ROWS) {
                let rows = ROWS.min(end - first);
                let row = |k: usize| &self.weight[(first + k) * outputs + self.first..][..self.columns];
                for (input, block) in self.input.chunks_exact(inputs).zip(self.block.chunks_exact_mut(self.stride)) {
                    let block = &mut block[..self.columns];
                    let x = |k: usize| if BF16 { bf16::from_f32(input[first + k]).to_f32() } else { input[first + k] };
                    // The inputs in the order in which they are added.
                    let k = |i: usize| if BF16 && i ^ 1 < rows { i ^ 1 } else { i };
                    if rows == ROWS {
                        let x: [f32; ROWS] = std::array::from_fn(|i| x(k(i)));
                        add_rows::<S, BF16, ROWS>(simd, x, std::array::from_fn(|i| row(k(i))), block);
                    } else {
                        (0..rows).for_each(
                            #[inline(always)]
                            |i| add_rows::<S, BF16, 1>(simd, [x(k(i))], [row(k(i))], block),
                        );
                    }
                }
            }
            for (sums, block) in self.sums.chunks_exact_mut(self.stride).zip(self.block.chunks_exact(self.stride)) {
                if self.add || start > 0 {
                    sums.iter_mut().zip(block).for_each(|(sum, block)| *sum += block);
                } else {
                    sums.copy_from_slice(block);
                }
            }
        }
    }
}

/// `sums += x[0] * rows[0] + x[1] * rows[1] + ...`, by fused multiply-adds in this order.
#[inline(always)]
fn add_rows<S: Simd, const BF16: bool, const N: usize>(simd: S, x: [f32; N], rows: [&[f32]; N], sums: &mut [f32]) {
    let x = x.map(|x| simd.splat_f32s(x));
    let (vectors, rest) = S::as_mut_simd_f32s(sums);
    let split = rows.map(|row| S::as_simd_f32s(row));
    for (index, sum) in vectors.iter_mut().enumerate() {
        // In a register: written back once.
        let mut total = *sum;
        for k in 0..N {
            total = simd.mul_add_e_f32s(x[k], factor::<S, BF16>(simd, split[k].0[index]), total);
        }
        *sum = total;
    }
    let mut sum = simd.partial_load_f32s(rest);
    for k in 0..N {
        sum = simd.mul_add_e_f32s(x[k], factor::<S, BF16>(simd, simd.partial_load_f32s(split[k].1)), sum);
    }
    simd.partial_store_f32s(rest, sum);
}

/// Weights as a product takes them: in bf16 rounded to nearest, ties to even; a NaN stays.
#[inline(always)]
fn factor<S: Simd, const BF16: bool>(simd: S, weights: S::f32s) -> S::f32s {
    if !BF16 {
        return weights;
    }
    let bits = simd.transmute_u32s_f32s(weights);
    let odd = simd.and_u32s(simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16)), simd.splat_u32s(1));
    let up = simd.add_u32s(bits, simd.add_u32s(simd.splat_u32s(0x7fff), odd));
    let rounded = simd.transmute_f32s_u32s(simd.and_u32s(up, simd.splat_u32s(0xffff_0000)));
    simd.select_f32s(simd.equal_f32s(weights, weights), rounded, weights)
}
