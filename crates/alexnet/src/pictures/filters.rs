//! The first layer's kernels as tiles: the paper's figure 3.

use std::path::Path;

use image::{Rgb, RgbImage};

use super::drawing::Drawing;
use super::text::{Align, Style};
use super::{Error, INK};

const MARGIN: u64 = 36;
const GAP: u64 = 8;
const LABEL: u64 = 40;
const TOWER_GAP: u64 = 28;
const COLUMNS: usize = 16;
/// The side a tile comes close to: 16 of them and their gaps are 1528 pixels wide.
const TILE: usize = 88;
const LABEL_STYLE: Style = Style::bold(20.0, INK);

/// One kernel of the first layer.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Weights, `[height, width, 3]`: red, green, blue.
    pub rgb: Vec<f32>,
}

impl Filter {
    /// One pixel for each weight: 0 is mid grey, the largest magnitude is full black or full colour.
    /// Weights that are not finite are drawn as 0.
    pub(crate) fn image(&self) -> RgbImage {
        let finite = self.rgb.iter().filter(|it| it.is_finite());
        let largest = finite.fold(0f32, |largest, it| largest.max(it.abs()));
        RgbImage::from_fn(self.width as u32, self.height as u32, |column, row| {
            let weights = &self.rgb[(row as usize * self.width + column as usize) * 3..];
            Rgb([0, 1, 2].map(|channel| level(weights[channel], largest)))
        })
    }
}

/// Draws the first layer's kernels, 16 in a row, one block of tiles for each tower.
///
/// Each kernel has its own scale: 0 is mid grey, its largest magnitude is full black or full
/// colour. So the sign of a weight shows, and kernels of different strength look alike.
/// Weights that are not finite are drawn as 0.
/// Kernels are enlarged by a whole factor, so every weight is a square of one colour.
///
/// # Errors
/// No kernels, kernels of different extents or with the wrong number of weights, or a file that
/// cannot be written.
pub fn filters(towers: &[Vec<Filter>], path: &Path) -> Result<(), Error> {
    let (height, width) = check(towers, path)?;
    let factor = (TILE / height.max(width)).max(1) as u64;
    let (tile_height, tile_width) = (height as u64 * factor, width as u64 * factor);

    let columns = towers.iter().map(Vec::len).max().unwrap_or(0).min(COLUMNS) as u64;
    // One tower needs no name.
    let label = if towers.len() > 1 { LABEL } else { 0 };
    let block_height = |tower: &Vec<Filter>| label + tower.len().div_ceil(COLUMNS) as u64 * (tile_height + GAP) - GAP;
    let mut canvas = Drawing::new(
        2 * MARGIN + columns * (tile_width + GAP) - GAP,
        2 * MARGIN + towers.iter().map(block_height).sum::<u64>() + (towers.len() as u64 - 1) * TOWER_GAP,
        path,
    )?;

    let mut top = MARGIN;
    for (tower_idx, tower) in towers.iter().enumerate() {
        if label > 0 {
            let at = (MARGIN as f32, (top + 20) as f32);
            canvas.text(&format!("tower {}", tower_idx + 1), at, Align::Left, LABEL_STYLE);
        }
        for (idx, filter) in tower.iter().enumerate() {
            let corner = (
                MARGIN + (idx % COLUMNS) as u64 * (tile_width + GAP),
                top + label + (idx / COLUMNS) as u64 * (tile_height + GAP),
            );
            let corner = (corner.0 as i64, corner.1 as i64);
            canvas.image(filter.image(), corner, (tile_width as u32, tile_height as u32), true);
        }
        top += block_height(tower) + TOWER_GAP;
    }
    canvas.save(path)
}

/// The extents that all kernels share.
fn check(towers: &[Vec<Filter>], path: &Path) -> Result<(usize, usize), Error> {
    let path = || path.to_owned();
    let what = "filter";
    let mut expected = None;
    for (index, filter) in towers.iter().flatten().enumerate() {
        let got = (filter.height, filter.width);
        let expected = *expected.get_or_insert(got);
        if got != expected {
            return Err(Error::Extents { path: path(), what, index, expected, got });
        }
        let (expected, got) = (got.0.saturating_mul(got.1).saturating_mul(3), filter.rgb.len());
        if got != expected {
            return Err(Error::Length { path: path(), what, index, expected, got });
        }
    }
    match expected {
        Some((height, width)) if height * width > 0 && towers.iter().all(|it| !it.is_empty()) => Ok((height, width)),
        _ => Err(Error::Empty { path: path(), what: "filters" }),
    }
}

/// `-largest..=largest` to black..=white.
fn level(weight: f32, largest: f32) -> u8 {
    if !weight.is_finite() || largest == 0.0 {
        return 128;
    }
    (127.5 + 127.5 * (weight / largest)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(side: usize, color: [f32; 3]) -> Filter {
        Filter { height: side, width: side, rgb: color.repeat(side * side) }
    }

    fn draw(towers: &[Vec<Filter>]) -> RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filters.png");
        filters(towers, &path).unwrap();
        image::open(&path).unwrap().to_rgb8()
    }

    #[test]
    fn the_paper_s_layout() {
        let tower = vec![uniform(11, [1.0, 0.0, 0.0]); 48];
        let image = draw(&[tower.clone(), tower]);
        let block = 40 + 3 * 96 - 8;
        assert_eq!(image.dimensions(), (1600, 72 + 2 * block + 28));
    }

    #[test]
    fn a_tile_has_its_kernel_s_colour() {
        let kernels = [[0.2, -0.2, -0.2], [0.0; 3], [9.0; 3], [1.0, 0.0, f32::NAN], [f32::NAN; 3]];
        let image = draw(&[kernels.iter().map(|it| uniform(5, *it)).collect()]);
        let side = 17 * 5;
        let at = |tile: u32| {
            let left = 36 + tile * (side + 8);
            let corners = [(left, 36), (left + side - 1, 36 + side - 1)];
            let [first, last] = corners.map(|it| image.get_pixel(it.0, it.1).0);
            assert_eq!(first, last);
            first
        };
        assert_eq!(at(0), [255, 0, 0]);
        assert_eq!(at(1), [128; 3]);
        assert_eq!(at(2), [255; 3]);
        assert_eq!(at(3), [255, 128, 128]);
        assert_eq!(at(4), [128; 3]);
    }

    #[test]
    fn weights_keep_their_place() {
        let mut filter = uniform(2, [0.0; 3]);
        filter.width = 3;
        filter.rgb.extend([0.0; 6]);
        filter.rgb[5 * 3 + 2] = 0.5; // row 1, column 2, blue
        let image = draw(&[vec![filter]]);
        let factor = 88 / 3;
        let color = |row: u32, column: u32| image.get_pixel(36 + column * factor, 36 + row * factor).0;
        assert_eq!(color(1, 2), [128, 128, 255]);
        assert_eq!(color(1, 1), [128; 3]);
        assert_eq!(color(0, 2), [128; 3]);
    }

    #[test]
    fn unusual_towers_are_drawn() {
        draw(&[vec![uniform(3, [1.0; 3])]]);
        draw(&[vec![uniform(120, [1.0; 3]); 17]]);
        draw(&[vec![uniform(1, [1.0; 3]); 3], vec![uniform(1, [-1.0; 3]); 40]]);
    }

    #[test]
    fn wrong_input_is_refused() {
        let path = Path::new("missing/filters.png");
        for none in [&[][..], &[vec![]], &[vec![uniform(3, [0.0; 3])], vec![]]] {
            assert!(matches!(filters(none, path), Err(Error::Empty { .. })));
        }
        let flat = Filter { height: 0, width: 0, rgb: vec![] };
        assert!(matches!(filters(&[vec![flat]], path), Err(Error::Empty { .. })));
        let short = Filter { height: 3, width: 3, rgb: vec![0.0; 26] };
        let error = filters(&[vec![uniform(3, [0.0; 3]), short]], path).unwrap_err();
        let expected = "missing/filters.png: filter 1 holds 26 values, its extents say 27";
        assert_eq!(error.to_string(), expected);
        let mixed = [vec![uniform(3, [0.0; 3])], vec![uniform(5, [0.0; 3])]];
        assert!(matches!(filters(&mixed, path), Err(Error::Extents { index: 1, .. })));
        let fine = [vec![uniform(3, [0.0; 3])]];
        assert!(matches!(filters(&fine, path), Err(Error::Write { .. })));
    }
}
