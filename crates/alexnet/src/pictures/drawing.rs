//! A picture as a list of shapes, before it is pixels ([`super::raster`]) or text ([`super::svg`]).

use std::path::Path;

use image::{Rgb, RgbImage};

use super::text::{Align, Style};
use super::{Error, Format, MAX_PIXELS, output, raster, svg};

/// A position in a picture, in pixels; the centre of the first pixel is (0.5, 0.5).
pub(super) type Point = (f32, f32);

/// A picture on white; later shapes cover earlier ones.
pub(super) struct Drawing {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) shapes: Vec<Shape>,
}

pub(super) enum Shape {
    Rect {
        corner: (i64, i64),
        extent: (u32, u32),
        color: Rgb<u8>,
    },
    /// With round ends and joints.
    Line {
        points: Vec<Point>,
        width: f32,
        color: Rgb<u8>,
    },
    /// A disc, or a ring of the width `stroke`.
    Circle {
        center: Point,
        radius: f32,
        stroke: Option<f32>,
        color: Rgb<u8>,
    },
    /// One line of text; `at` is on its baseline.
    Text {
        text: String,
        at: Point,
        align: Align,
        style: Style,
    },
    /// An image, scaled to `extent`; `sharp` keeps its pixels visible.
    Image {
        image: RgbImage,
        corner: (i64, i64),
        extent: (u32, u32),
        sharp: bool,
    },
}

impl Drawing {
    /// An empty picture, if it is not too large.
    pub(super) fn new(width: u64, height: u64, path: &Path) -> Result<Drawing, Error> {
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(w), Ok(h)) if width.saturating_mul(height) <= MAX_PIXELS => {
                Ok(Drawing { width: w, height: h, shapes: Vec::new() })
            }
            _ => Err(Error::TooLarge { path: path.to_owned(), width, height }),
        }
    }

    pub(super) fn rect(&mut self, corner: (i64, i64), extent: (u32, u32), color: Rgb<u8>) {
        self.shapes.push(Shape::Rect { corner, extent, color });
    }

    pub(super) fn text(&mut self, text: &str, at: Point, align: Align, style: Style) {
        self.shapes.push(Shape::Text { text: text.to_owned(), at, align, style });
    }

    pub(super) fn image(&mut self, image: RgbImage, corner: (i64, i64), extent: (u32, u32), sharp: bool) {
        self.shapes.push(Shape::Image { image, corner, extent, sharp });
    }

    /// Writes the picture in the format that the end of its name says, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        let encoded = match Format::of(path) {
            Some(Format::Png) => output::png(&raster::render(self)),
            Some(Format::Svg) => svg::render(self).map(String::into_bytes),
            None => return Err(Error::Format { path: path.to_owned() }),
        };
        let bytes = encoded.map_err(|source| Error::Encode { path: path.to_owned(), source })?;
        output::write(&bytes, path).map_err(|source| Error::Write { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pictures_are_refused() {
        let error = Drawing::new(1 << 40, 1 << 40, Path::new("a.png")).err();
        assert!(matches!(error, Some(Error::TooLarge { .. })));
    }

    #[test]
    fn the_name_says_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let drawing = Drawing::new(3, 2, folder.path()).unwrap();
        let start = |name: &str| {
            let path = folder.path().join(name);
            drawing.save(&path).unwrap();
            std::fs::read(path).unwrap()[..4].to_vec()
        };
        assert_eq!([start("a.png"), start("a.SVG")], [b"\x89PNG".to_vec(), b"<svg".to_vec()]);
        let error = drawing.save(&folder.path().join("a.jpg")).unwrap_err().to_string();
        assert!(error.ends_with("a.jpg: expected a name that ends in .png or .svg"), "{error}");
    }
}
