//! A plotters backend whose lines and circles are smooth.
//!
//! The bitmap backend of plotters draws without anti-aliasing and rounds to whole pixels, so lines
//! are jagged and their width depends on their slope. Here a coordinate is a small part of a
//! pixel, and a pixel is covered as far as it is within a shape. Text is drawn elsewhere.

use std::convert::Infallible;

use image::{Rgb, RgbImage};
use plotters::prelude::DrawingBackend;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingErrorKind};

use super::{Point, blend};

/// Coordinates, widths and radii of this backend are in parts of a pixel of this number.
pub(super) const PARTS: u32 = 16;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

pub(super) struct Smooth<'a>(pub &'a mut RgbImage);

impl Smooth<'_> {
    /// Mixes `color` into every pixel by its distance from a shape; at 0 a pixel's centre is on
    /// the edge. `distance` is asked within `corners` and a pixel around them.
    fn cover(&mut self, corners: [Point; 2], color: BackendColor, distance: impl Fn(Point) -> f32) {
        let clip = |low: f32, high: f32, limit: u32| {
            let limit = limit as f32;
            (low - 1.0).clamp(0.0, limit) as u32..(high + 2.0).clamp(0.0, limit) as u32
        };
        let [low, high] = corners;
        let (red, green, blue) = color.rgb;
        let columns = clip(low.0, high.0, self.0.width());
        for row in clip(low.1, high.1, self.0.height()) {
            for column in columns.clone() {
                let outside = distance((column as f32 + 0.5, row as f32 + 0.5));
                let coverage = (0.5 - outside).clamp(0.0, 1.0) * color.alpha as f32;
                if coverage > 0.0 {
                    blend(self.0.get_pixel_mut(column, row), Rgb([red, green, blue]), coverage);
                }
            }
        }
    }

    /// A line with round ends and joints, in one go so that its joints are not darker.
    fn stroke(&mut self, path: &[Point], width: f32, color: BackendColor) {
        let radius = width / 2.0;
        let Some(&first) = path.first() else { return };
        let (low, high) = path.iter().fold((first, first), |(low, high), it| {
            ((low.0.min(it.0), low.1.min(it.1)), (high.0.max(it.0), high.1.max(it.1)))
        });
        let corner = ((low.0 - radius - 1.0).floor(), (low.1 - radius - 1.0).floor());
        let (columns, rows) =
            ((high.0 + radius + 2.0 - corner.0).ceil() as usize, (high.1 + radius + 2.0 - corner.1).ceil() as usize);
        // Distances are wanted only near the line: beyond a pixel all are the same.
        let mut nearest = vec![f32::INFINITY; columns * rows];
        let segments = path.windows(2).map(|it| (it[0], it[1]));
        for (from, to) in segments.chain((path.len() == 1).then_some((first, first))) {
            let span = |from: f32, to: f32, corner: f32, limit: usize| {
                let low = (from.min(to) - radius - 1.0 - corner).max(0.0) as usize;
                low..((from.max(to) + radius + 2.0 - corner) as usize).min(limit)
            };
            for row in span(from.1, to.1, corner.1, rows) {
                for column in span(from.0, to.0, corner.0, columns) {
                    let center = (corner.0 + column as f32 + 0.5, corner.1 + row as f32 + 0.5);
                    let nearest = &mut nearest[row * columns + column];
                    *nearest = nearest.min(distance_to_segment(center, from, to));
                }
            }
        }
        self.cover([(low.0 - radius, low.1 - radius), (high.0 + radius, high.1 + radius)], color, |it| {
            let (column, row) = ((it.0 - corner.0) as usize, (it.1 - corner.1) as usize);
            nearest.get(row * columns + column).copied().unwrap_or(f32::INFINITY) - radius
        });
    }
}

impl DrawingBackend for Smooth<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.width() * PARTS, self.0.height() * PARTS)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    /// One part of a pixel.
    fn draw_pixel(&mut self, at: BackendCoord, mut color: BackendColor) -> Drawn {
        color.alpha /= f64::from(PARTS * PARTS);
        let center = at_pixel(at);
        let center = (center.0.floor() + 0.5, center.1.floor() + 0.5);
        self.cover([center; 2], color, |it| if it == center { -1.0 } else { 1.0 });
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let path: Vec<_> = path.into_iter().map(at_pixel).collect();
        self.stroke(&path, pixels(style.stroke_width()), style.color());
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (center, radius) = (at_pixel(center), pixels(radius));
        let half = if fill { 0.0 } else { pixels(style.stroke_width()) / 2.0 };
        let reach = radius + half;
        let corners = [(center.0 - reach, center.1 - reach), (center.0 + reach, center.1 + reach)];
        self.cover(corners, style.color(), |it| {
            let from_edge = (it.0 - center.0).hypot(it.1 - center.1) - radius;
            if fill { from_edge } else { from_edge.abs() - half }
        });
        Ok(())
    }
}

fn pixels(parts: u32) -> f32 {
    parts as f32 / PARTS as f32
}

fn at_pixel(at: BackendCoord) -> Point {
    (at.0 as f32 / PARTS as f32, at.1 as f32 / PARTS as f32)
}

fn distance_to_segment(point: Point, from: Point, to: Point) -> f32 {
    let (along, off) = ((to.0 - from.0, to.1 - from.1), (point.0 - from.0, point.1 - from.1));
    let length_squared = along.0 * along.0 + along.1 * along.1;
    let fraction =
        if length_squared > 0.0 { ((along.0 * off.0 + along.1 * off.1) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
    (off.0 - fraction * along.0).hypot(off.1 - fraction * along.1)
}

#[cfg(test)]
mod tests {
    use plotters::style::{BLACK, Color, RGBAColor, ShapeStyle};

    use super::super::WHITE;
    use super::*;

    const INK: RGBAColor = RGBAColor(0, 0, 0, 1.0);

    /// Darkness of all pixels, in whole pixels.
    fn ink(draw: impl Fn(&mut Smooth<'_>, &ShapeStyle) -> Drawn) -> f64 {
        let mut image = RgbImage::from_pixel(60, 60, WHITE);
        draw(&mut Smooth(&mut image), &Color::stroke_width(&BLACK, 2 * PARTS)).unwrap();
        image.pixels().map(|it| f64::from(255 - it.0[0]) / 255.0).sum()
    }

    fn part(pixels: f64) -> i32 {
        (pixels * f64::from(PARTS)).round() as i32
    }

    #[test]
    fn a_line_has_the_same_weight_at_every_slope() {
        for angle in 0..60 {
            let (sin, cos) = (f64::from(angle) * 0.1).sin_cos();
            let end = |length: f64| (part(30.2 + cos * length), part(29.7 + sin * length));
            let ink = ink(|backend, style| backend.draw_line(end(-20.0), end(20.0), style));
            // 40 long, 2 wide, with round ends.
            let expected = 80.0 + std::f64::consts::PI;
            assert!((ink - expected).abs() < 3.0, "angle {angle}: {ink}");
        }
    }

    #[test]
    fn joints_are_not_darker() {
        let straight = ink(|backend, style| backend.draw_path([(80, 83), (720, 405)], style));
        let in_parts = ink(|backend, style| {
            backend.draw_path((0..=640).step_by(8).map(|it| (80 + it, 83 + it * 322 / 640)), style)
        });
        assert!((straight - in_parts).abs() < 1.5, "{straight} {in_parts}");
    }

    #[test]
    fn circles_have_their_area() {
        let center = (part(30.3), part(29.6));
        let disc = ink(|backend, style| backend.draw_circle(center, 10 * PARTS, style, true));
        assert!((disc - 314.2).abs() < 3.0, "{disc}");
        let ring = ink(|backend, style| backend.draw_circle(center, 10 * PARTS, style, false));
        assert!((ring - 125.7).abs() < 3.0, "{ring}");
    }

    #[test]
    fn what_is_outside_is_left_out() {
        for far in [-100_000, -8, 968, 100_000] {
            ink(|backend, style| backend.draw_circle((far, far), 20 * PARTS, style, true));
            ink(|backend, style| backend.draw_path([(far, 10)], style));
            ink(|backend, _| backend.draw_pixel((far, far), INK.to_backend_color()));
        }
        assert_eq!(ink(|backend, style| backend.draw_path([], style)), 0.0);
    }

    #[test]
    fn a_thin_line_on_a_pixel_s_centre_is_sharp() {
        let mut image = RgbImage::from_pixel(9, 9, WHITE);
        let style = Color::stroke_width(&BLACK, PARTS);
        Smooth(&mut image).draw_line((part(4.5), part(-5.0)), (part(4.5), part(20.0)), &style).unwrap();
        assert!((0..9).all(|row| image.get_pixel(4, row).0 == [0; 3]));
        assert!((0..9).all(|row| *image.get_pixel(3, row) == WHITE && *image.get_pixel(5, row) == WHITE));
    }
}
