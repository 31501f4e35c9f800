//! A plotters backend that draws shapes in parts of a pixel.
//!
//! The bitmap backend of plotters rounds to whole pixels; here a coordinate is a small part of one.
//! Text is drawn elsewhere.

use std::convert::Infallible;

use image::Rgb;
use plotters::prelude::DrawingBackend;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingErrorKind};

use super::super::drawing::{Drawing, Point, Shape};

/// Coordinates, widths and radii of this backend are in parts of a pixel of this number.
pub(super) const PARTS: u32 = 16;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

pub(super) struct Smooth<'a>(pub &'a mut Drawing);

impl DrawingBackend for Smooth<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.width * PARTS, self.0.height * PARTS)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    /// One part of a pixel.
    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn {
        let shape = Shape::Circle { center: at_pixel(at), radius: pixels(1) / 2.0, stroke: None, color: opaque(color) };
        self.0.shapes.push(shape);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let points = path.into_iter().map(at_pixel).collect();
        self.0.shapes.push(Shape::Line { points, width: pixels(style.stroke_width()), color: opaque(style.color()) });
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let stroke = (!fill).then(|| pixels(style.stroke_width()));
        let (center, radius, color) = (at_pixel(center), pixels(radius), opaque(style.color()));
        self.0.shapes.push(Shape::Circle { center, radius, stroke, color });
        Ok(())
    }
}

/// The curves are drawn in full colours only.
fn opaque(color: BackendColor) -> Rgb<u8> {
    let (red, green, blue) = color.rgb;
    Rgb([red, green, blue])
}

fn pixels(parts: u32) -> f32 {
    parts as f32 / PARTS as f32
}

fn at_pixel(at: BackendCoord) -> Point {
    (at.0 as f32 / PARTS as f32, at.1 as f32 / PARTS as f32)
}
