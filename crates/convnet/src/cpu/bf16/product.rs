//! The product that every operation is, and its right factor in panels.

use std::array;

use half::bf16;

use super::{Bf16, Pair};
use crate::cpu::tile::{Block, MAX_ROWS, TileShape};
use crate::ops::SumBlock;

/// Where a block of terms lies in both factors.
pub(super) struct Terms {
    /// The first term, relative to the first of a row of A.
    pub a: usize,
    /// Pairs between terms in A.
    pub a_step: usize,
    /// Pairs between runs in A.
    pub a_run: usize,
    /// The row of B of the first term.
    pub b_row: usize,
    /// Rows of B between runs.
    pub b_run: usize,
    /// Terms of each run, and runs.
    pub block: SumBlock,
}

impl Terms {
    /// Those of a row of A as it lies in memory.
    pub(super) fn side_by_side(block: SumBlock) -> Terms {
        Terms { a: block.start, a_step: 1, a_run: 0, b_row: block.start, b_run: 0, block }
    }
}

/// The left factor: a row is where it begins in memory. Places are as wide as pairs, so that one buffer holds both.
pub(super) struct Left<'a> {
    pub pairs: &'a [Pair],
    pub rows: &'a [u32],
}

/// The right factor: `[panel][row][columns of a tile]`, zero behind the last column.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub pairs: &'a [Pair],
    pub rows: usize,
    pub columns: usize,
}

/// Where sums go: rows of `stride` floats.
pub(super) struct Sums<'a> {
    pub floats: &'a mut [f32],
    pub stride: usize,
    /// Whether they are added to what is there.
    pub add: bool,
}

impl Bf16 {
    /// Pairs of the first two rows of `len` floats, from a column on; one row alone goes with zeros.
    pub(super) fn pair_rows(self, rows: &[f32], len: usize, first: usize, target: &mut [Pair]) {
        match rows.get(len..) {
            Some(second) if !second.is_empty() => self.pair(&rows[first..len], &second[first..len], target),
            _ => {
                let pairs = target.iter_mut().zip(&rows[first..len]);
                pairs.for_each(|(pair, &x)| *pair = bf16::from_f32(x).to_bits().into());
            }
        }
    }

    /// `sums = (sums +) left * right`, block of terms by block, so that a panel's block stays in the first cache while
    /// all rows pass.
    pub(super) fn multiply(
        self,
        tile: TileShape,
        terms: impl Iterator<Item = Terms>,
        left: &Left,
        right: Panels,
        sums: Sums,
    ) {
        let Panels { pairs: b, rows: b_rows, columns } = right;
        for (index, Terms { a, a_step, a_run, b_row, b_run, block }) in terms.enumerate() {
            let SumBlock { len: run_len, runs, .. } = block;
            let a_last = a + (runs - 1) * a_run + (run_len - 1) * a_step;
            let b_len = ((runs - 1) * b_run + run_len) * tile.columns;
            for (panel, first_column) in (0..columns).step_by(tile.columns).enumerate() {
                let b = &b[(panel * b_rows + b_row) * tile.columns..][..b_len];
                let columns = tile.columns.min(columns - first_column);
                for (first, rows) in (0..).step_by(tile.rows).zip(left.rows.chunks(tile.rows)) {
                    let c = &mut sums.floats[first * sums.stride + first_column..];
                    assert!(c.len() >= (rows.len() - 1) * sums.stride + columns);
                    let block = Block {
                        a: array::from_fn::<_, MAX_ROWS, _>(|r| {
                            let row = rows[r.min(rows.len() - 1)] as usize;
                            left.pairs[row + a..=row + a_last].as_ptr()
                        }),
                        a_step,
                        a_run,
                        b: b.as_ptr(),
                        b_step: tile.columns,
                        b_run: b_run * tile.columns,
                        run_len,
                        runs,
                        c: c.as_mut_ptr(),
                        c_stride: sums.stride,
                        rows: rows.len(),
                        columns,
                        add: sums.add || index > 0,
                    };
                    // SAFETY: slices reach from the first term to the last of each row and of the panel, and the
                    // assertion says so of the sums.
                    unsafe { self.tile(tile, &block) };
                }
            }
        }
    }
}

/// Pairs of a right factor in panels.
pub(super) fn panels_len(tile: TileShape, rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(tile.columns) * rows
}

/// Packs some rows of a right factor: `fill` writes a row's pairs from a column on.
pub(super) fn pack(
    tile: TileShape,
    rows: usize,
    columns: usize,
    panels: &mut [Pair],
    fill: impl Fn(usize, usize, &mut [Pair]),
) {
    let width = tile.columns;
    for (panel, first) in panels.chunks_exact_mut(rows * width).zip((0..columns).step_by(width)) {
        let valid = width.min(columns - first);
        for (row, target) in panel.chunks_exact_mut(width).enumerate() {
            fill(row, first, &mut target[..valid]);
            target[valid..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

    use super::*;
    use crate::cpu::tile::Kernel;
    use crate::ops::sum_blocks;
    use crate::philox;

    /// The order that the module's head states, bit for bit, at edges of tiles and blocks.
    #[test]
    fn sums_are_those_of_fused_multiply_adds_the_second_of_a_pair_first() {
        let Some(bf16) = Bf16::detect() else { return };
        let (rows, columns, len) = (13, 70, 300);
        let random = |use_: u32, i: usize| philox::words(1, use_, i as u32, 99, 0)[0] & 0xbfff_bfff | 0x3000_3000;
        let left: Vec<Pair> = (0..rows * len).map(|i| random(0, i)).collect();
        let tile = Kernel::new(Arch::new()).shape(columns);
        let mut panels = vec![0; panels_len(tile, len, columns)];
        let right = |row: usize, column: usize| random(1, row * columns + column);
        pack(tile, len, columns, &mut panels, |row, first, target| {
            target.iter_mut().zip(first..).for_each(|(target, column)| *target = right(row, column));
        });
        let terms = || sum_blocks(1, len).map(Terms::side_by_side);
        assert!(terms().count() > 1);
        let starts: Vec<u32> = (0..rows).map(|row| (row * len) as u32).collect();
        let mut sums = vec![0.0; rows * columns];
        let factor = Left { pairs: &left, rows: &starts };
        let panels = Panels { pairs: &panels, rows: len, columns };
        bf16.multiply(tile, terms(), &factor, panels, Sums { floats: &mut sums, stride: columns, add: false });

        let first = |pair: Pair| f32::from_bits(pair << 16);
        let second = |pair: Pair| f32::from_bits(pair & 0xffff_0000);
        for (index, sum) in sums.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let of_block = |block: SumBlock| {
                (block.start..block.start + block.len).fold(0.0, |sum, k| {
                    let (a, b) = (left[row * len + k], right(k, column));
                    first(a).mul_add(first(b), second(a).mul_add(second(b), sum))
                })
            };
            let expected = sum_blocks(1, len).map(of_block).reduce(|sum, block| sum + block).unwrap_or_default();
            assert_eq!(sum.to_bits(), expected.to_bits(), "row {row}, column {column}: {sum} for {expected}");
        }
    }
}
