//! The instructions: whether the processor has them, the register tile, rounding.

pub(in crate::cpu) use detected::Bf16;

#[cfg(target_arch = "x86_64")]
mod detected {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };

    use half::bf16;
    use pulp::x86::V4;

    use super::super::Pair;
    use crate::cpu::tile::{Block, TileShape};

    /// Sums in a vector.
    const LANES: usize = 16;

    /// The instructions for products of bf16: having one of these means that the processor has them.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::cpu) struct Bf16(());

    impl Bf16 {
        /// The instructions, if the processor has them, and all with which tiles of f32 are 512 bits wide, too: both have
        /// the same shapes.
        pub(in crate::cpu) fn detect() -> Option<Bf16> {
            let found = V4::try_new().is_some() && is_x86_feature_detected!("avx512bf16");
            found.then_some(Bf16(()))
        }

        /// Rounds, and makes pairs of neighbours in rows of `len` floats; an odd last one goes with zero.
        pub(in crate::cpu::bf16) fn pair_neighbours(self, len: usize, source: &[f32], target: &mut [Pair]) {
            // SAFETY: the processor has the features.
            unsafe { pair_neighbours(len, source, target) }
        }

        /// Rounds, and makes pairs of two rows, element by element.
        pub(in crate::cpu::bf16) fn pair(self, first: &[f32], second: &[f32], target: &mut [Pair]) {
            // SAFETY: the processor has the features.
            unsafe { pair(first, second, target) }
        }

        /// Computes one block for one tile of `shape`, as [`crate::cpu::tile::tile`] does of floats.
        ///
        /// # Safety
        /// - Every row's terms lie in memory that may be read, and so do `run_len * runs` rows of `shape.columns` pairs
        ///   of B.
        /// - The `rows` x `columns` valid elements of C may be written, and are read before only if `add`.
        pub(in crate::cpu::bf16) unsafe fn tile(self, shape: TileShape, block: &Block<Pair>) {
            // SAFETY: the caller's word is passed on, and the processor has the features.
            unsafe {
                match (shape.rows, shape.columns / LANES) {
                    (6, 4) => sized::<6, 4>(block),
                    (8, 3) => sized::<8, 3>(block),
                    (8, 2) => sized::<8, 2>(block),
                    _ => sized::<8, 1>(block),
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn pair_neighbours(len: usize, source: &[f32], target: &mut [Pair]) {
        let target: &mut [u16] = bytemuck::cast_slice_mut(target);
        // What is written out is a length that the compiler knows, and makes vectors of: three are the colours of a pixel.
        match len {
            3 => rows(3, source, target),
            len if len.is_multiple_of(2) => rows(source.len(), source, target),
            len => rows(len, source, target),
        }
    }

    #[inline(always)]
    fn rows(len: usize, source: &[f32], target: &mut [u16]) {
        for (row, target) in source.chunks_exact(len).zip(target.chunks_exact_mut(len.next_multiple_of(2))) {
            target.iter_mut().zip(row).for_each(|(target, &x)| *target = bf16::from_f32(x).to_bits());
            target[len..].fill(0);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn pair(first: &[f32], second: &[f32], target: &mut [Pair]) {
        let bits = |x: f32| Pair::from(bf16::from_f32(x).to_bits());
        for ((target, &first), &second) in target.iter_mut().zip(first).zip(second) {
            *target = bits(first) | bits(second) << 16;
        }
    }

    /// # Safety
    /// As [`Bf16::tile`], for `R` rows and `V` vectors.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn sized<const R: usize, const V: usize>(block: &Block<Pair>) {
        // SAFETY: vectors of 512 bits have no invalid values.
        let as_pairs = |x: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(x) };
        let mut acc = [[_mm512_setzero_ps(); V]; R];
        for run in 0..block.runs {
            let mut offset = run * block.a_run;
            let mut b = block.b.wrapping_add(run * block.b_run);
            for _ in 0..block.run_len {
                let mut vectors = [as_pairs(_mm512_set1_epi32(0)); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    // SAFETY: B has `runs` runs of `run_len` rows, each of V vectors.
                    *vector = as_pairs(unsafe { _mm512_loadu_si512(b.add(v * LANES).cast()) });
                }
                for (sums, row) in acc.iter_mut().zip(&block.a) {
                    // SAFETY: the term is one of this row's.
                    let broadcast = as_pairs(_mm512_set1_epi32(unsafe { *row.add(offset) } as i32));
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = _mm512_dpbf16_ps(*sum, broadcast, vector);
                    }
                }
                offset += block.a_step;
                b = b.wrapping_add(block.b_step);
            }
        }
        for (r, sums) in acc.iter().enumerate().take(block.rows) {
            for (v, &sum) in sums.iter().enumerate() {
                let valid = block.columns.saturating_sub(v * LANES).min(LANES);
                let mask = ((1_u32 << valid) - 1) as u16;
                let c = block.c.wrapping_add(r * block.c_stride + v * LANES);
                // SAFETY: rows and columns that the mask lets through are valid.
                unsafe {
                    let sum = if block.add { _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), sum) } else { sum };
                    _mm512_mask_storeu_ps(c, mask, sum);
                }
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod detected {
    use super::super::Pair;
    use crate::cpu::tile::{Block, TileShape};

    /// There are no such instructions here, so there is no value of this type.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::cpu) enum Bf16 {}

    impl Bf16 {
        pub(in crate::cpu) fn detect() -> Option<Bf16> {
            None
        }

        pub(in crate::cpu::bf16) fn pair_neighbours(self, _: usize, _: &[f32], _: &mut [Pair]) {
            match self {}
        }

        pub(in crate::cpu::bf16) fn pair(self, _: &[f32], _: &[f32], _: &mut [Pair]) {
            match self {}
        }

        pub(in crate::cpu::bf16) unsafe fn tile(self, _: TileShape, _: &Block<Pair>) {
            match self {}
        }
    }
}
