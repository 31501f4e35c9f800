//! Pictures, drawn from plain data: [`curves()`], [`filters()`], [`predictions()`], [`confusion()`],
//! [`sheet()`] and [`neighbours()`].
//!
//! Each function writes one file, PNG or SVG as its name says, about 1600 pixels wide, on white.
//! Both come from the same list of shapes.
//! The file is complete or it is not there: it is encoded in memory, written under a temporary
//! name in the same folder, and renamed.
//! Text of a PNG file is set in an embedded subset of DejaVu Sans, so nothing of the system is needed.
//! The colours are told apart by people with any of the common colour blindnesses
//! (the palette of Okabe and Ito), and no meaning rests on colour alone.

mod axis;
mod confusion;
mod curves;
mod drawing;
mod filters;
mod neighbours;
mod output;
mod predictions;
mod raster;
mod sheet;
mod svg;
mod text;

use std::io;
use std::path::{Path, PathBuf};

use image::Rgb;

pub use confusion::confusion;
pub use curves::{EpochPoint, curves};
pub use filters::{Filter, filters};
pub use neighbours::neighbours;
pub use predictions::{Prediction, most_predictions, predictions};
pub use sheet::sheet;

pub(crate) use output::png;

/// The most pixels a picture may have: 300 predictions or 80,000 small filters.
pub const MAX_PIXELS: u64 = 1 << 26;

const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([34, 34, 34]);
const GREY: Rgb<u8> = Rgb([104, 104, 104]);
const FAINT: Rgb<u8> = Rgb([226, 226, 226]);
const BLUE: Rgb<u8> = Rgb([0, 114, 178]);
const VERMILLION: Rgb<u8> = Rgb([213, 94, 0]);
const GREEN: Rgb<u8> = Rgb([0, 158, 115]);

/// What a picture's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Pixels.
    Png,
    /// Shapes.
    Svg,
}

impl Format {
    /// What the end of a name says.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "png" => Some(Format::Png),
            "svg" => Some(Format::Svg),
            _ => None,
        }
    }
}

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
    /// The end of the picture's name is not that of a format.
    #[error("{}: expected a name that ends in .png or .svg", path.display())]
    Format {
        /// The picture's file.
        path: PathBuf,
    },
    /// The picture could not be encoded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file() {
        let error = Error::Empty { path: "runs/a/curves.png".into(), what: "epochs" };
        assert_eq!(error.to_string(), "runs/a/curves.png: nothing to draw, there are no epochs");
    }
}
