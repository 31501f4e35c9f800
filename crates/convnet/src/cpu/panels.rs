//! Packing B into panels: `[panel][row][columns of a tile]`, zero behind the last column.

use rayon::prelude::*;

use super::Tools;
use super::tile::TileShape;

/// Floats of `rows` rows of `columns` columns in panels.
pub(super) fn len(tile: TileShape, rows: usize, columns: usize) -> usize {
    columns.div_ceil(tile.columns) * rows * tile.columns
}

/// Packs a matrix of `rows` rows, each of `columns` floats: `row(k)` gives the `k`-th.
pub(super) fn pack<'a>(
    tools: &Tools,
    tile: TileShape,
    rows: usize,
    columns: usize,
    panels: &mut [f32],
    row: impl Fn(usize) -> &'a [f32] + Sync,
) {
    let width = tile.columns;
    let pack = |(index, panel): (usize, &mut [f32])| {
        let first = index * width;
        let valid = width.min(columns - first);
        for (k, target) in panel.chunks_exact_mut(width).enumerate() {
            target[..valid].copy_from_slice(&row(k)[first..first + valid]);
            target[valid..].fill(0.0);
        }
    };
    tools.threads.install(|| panels.par_chunks_mut(rows * width).enumerate().for_each(pack));
}

/// Packs a matrix of which `column(c)` gives the `c`-th column, `rows` floats.
pub(super) fn pack_columns<'a>(
    tools: &Tools,
    tile: TileShape,
    rows: usize,
    columns: usize,
    panels: &mut [f32],
    column: impl Fn(usize) -> &'a [f32] + Sync,
) {
    let width = tile.columns;
    let pack = |(index, panel): (usize, &mut [f32])| {
        let first = index * width;
        for c in 0..width {
            let target = panel[c..].iter_mut().step_by(width);
            if first + c < columns {
                target.zip(&column(first + c)[..rows]).for_each(|(target, &value)| *target = value);
            } else {
                target.for_each(|target| *target = 0.0);
            }
        }
    };
    tools.threads.install(|| panels.par_chunks_mut(rows * width).enumerate().for_each(pack));
}
