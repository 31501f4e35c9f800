//! The pictures of a run, drawn from plain data: [`curves()`], [`filters()`], [`predictions()`],
//! [`sheet()`] and [`neighbours()`]; and that of several runs: [`comparison()`].
//!
//! Each function writes one PNG file, about 1600 pixels wide, on white.
//! The file is complete or it is not there: it is encoded in memory, written under a temporary
//! name in the same folder, and renamed.
//! Text is set in an embedded subset of DejaVu Sans, so nothing of the system is needed.
//! The colours are told apart by people with any of the common colour blindnesses
//! (the palette of Okabe and Ito), and no meaning rests on colour alone.

mod axis;
mod comparison;
mod curves;
mod filters;
mod neighbours;
mod output;
mod predictions;
mod sheet;
mod smooth;
mod text;

use std::io;
use std::path::PathBuf;

use image::{Rgb, RgbImage};
use plotters::style::RGBColor;

pub use comparison::{Arm, Level, comparison};
pub use curves::{EpochPoint, curves};
pub use filters::{Filter, filters};
pub use neighbours::neighbours;
pub use predictions::{Prediction, most_predictions, predictions};
pub use sheet::sheet;

/// The most pixels a picture may have: 300 predictions or 80,000 small filters.
pub const MAX_PIXELS: u64 = 1 << 26;

const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([34, 34, 34]);
const GREY: Rgb<u8> = Rgb([104, 104, 104]);
const FAINT: Rgb<u8> = Rgb([226, 226, 226]);
const BLUE: Rgb<u8> = Rgb([0, 114, 178]);
const VERMILLION: Rgb<u8> = Rgb([213, 94, 0]);
const GREEN: Rgb<u8> = Rgb([0, 158, 115]);

/// Why a picture could not be made; each names the picture's file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was nothing to draw.
    #[error("{}: nothing to draw, there are no {what}", path.display())]
    Empty {
        /// The picture's file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// An item does not hold as many values as its extents say.
    #[error("{}: {what} {index} holds {got} values, its extents say {expected}", path.display())]
    Length {
        /// The picture's file.
        path: PathBuf,
        /// What kind of item it is.
        what: &'static str,
        /// Which item, from 0.
        index: usize,
        /// The number of values that its extents ask for.
        expected: usize,
        /// The number of values that it holds.
        got: usize,
    },
    /// Items that share a picture differ in their extents.
    #[error(
        "{}: {what} {index} is {}x{}, the others are {}x{}",
        path.display(), got.0, got.1, expected.0, expected.1
    )]
    Extents {
        /// The picture's file.
        path: PathBuf,
        /// What kind of item it is.
        what: &'static str,
        /// Which item, from 0.
        index: usize,
        /// Height and width of the first item.
        expected: (usize, usize),
        /// Height and width of this item.
        got: (usize, usize),
    },
    /// The picture would have more than [`MAX_PIXELS`] pixels.
    #[error("{}: a picture of {width}x{height} pixels is too large to draw", path.display())]
    TooLarge {
        /// The picture's file.
        path: PathBuf,
        /// The width it would have.
        width: u64,
        /// The height it would have.
        height: u64,
    },
    /// The plotting library failed.
    #[error("{}: cannot be drawn", path.display())]
    Draw {
        /// The picture's file.
        path: PathBuf,
        /// The library's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The picture could not be encoded as PNG.
    #[error("{}: cannot be encoded", path.display())]
    Encode {
        /// The picture's file.
        path: PathBuf,
        /// The encoder's reason.
        source: image::ImageError,
    },
    /// The picture could not be written; nothing was left in its folder.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The picture's file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A position in a picture, in pixels; the centre of the first pixel is (0.5, 0.5).
type Point = (f32, f32);

fn rgb(color: Rgb<u8>) -> RGBColor {
    RGBColor(color.0[0], color.0[1], color.0[2])
}

/// Fills the part of a rectangle that is inside the picture.
fn fill_rect(image: &mut RgbImage, (x, y): (i64, i64), (width, height): (u32, u32), c: Rgb<u8>) {
    let clip = |low: i64, extent: u32, limit: u32| {
        let high = (low + i64::from(extent)).clamp(0, i64::from(limit));
        low.clamp(0, i64::from(limit)) as u32..high as u32
    };
    let columns = clip(x, width, image.width());
    for row in clip(y, height, image.height()) {
        for column in columns.clone() {
            image.put_pixel(column, row, c);
        }
    }
}

/// Mixes `color` into a pixel; `coverage` is from 0 to 1.
fn blend(pixel: &mut Rgb<u8>, color: Rgb<u8>, coverage: f32) {
    for (old, new) in pixel.0.iter_mut().zip(color.0) {
        let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * coverage;
        *old = mixed.round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_clipped() {
        let mut image = RgbImage::from_pixel(4, 4, WHITE);
        fill_rect(&mut image, (-2, 3), (3, 9), INK);
        let inked: Vec<_> = image.enumerate_pixels().filter(|it| *it.2 == INK).map(|it| (it.0, it.1)).collect();
        assert_eq!(inked, [(0, 3)]);
        fill_rect(&mut image, (9, -9), (3, 3), INK);
    }

    #[test]
    fn messages_name_the_file() {
        let error = Error::Empty { path: "runs/a/curves.png".into(), what: "epochs" };
        assert_eq!(error.to_string(), "runs/a/curves.png: nothing to draw, there are no epochs");
    }
}
