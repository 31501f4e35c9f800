//! From a drawing to pixels, with smooth lines and circles.
//!
//! A pixel is covered as far as it is within a shape, so that lines of all slopes have the same weight.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::drawing::{Drawing, Point, Shape};
use super::{WHITE, text};

/// The picture's pixels.
pub(super) fn render(drawing: &Drawing) -> RgbImage {
    let mut canvas = Canvas(RgbImage::from_pixel(drawing.width, drawing.height, WHITE));
    for shape in &drawing.shapes {
        match shape {
            Shape::Rect { corner, extent, color } => canvas.fill(*corner, *extent, *color),
            Shape::Line { points, width, color } => canvas.stroke(points, *width, *color),
            Shape::Circle { center, radius, stroke, color } => canvas.circle(*center, *radius, *stroke, *color),
            Shape::Text { text, at, align, style } => text::draw(&mut canvas.0, text, *at, *align, *style),
            Shape::Image { image, corner: (x, y), extent: (width, height), sharp } => {
                let filter = if *sharp { FilterType::Nearest } else { FilterType::CatmullRom };
                let scaled = imageops::resize(image, *width, *height, filter);
                imageops::replace(&mut canvas.0, &scaled, *x, *y);
            }
        }
    }
    canvas.0
}

struct Canvas(RgbImage);

impl Canvas {
    /// Fills the part of a rectangle that is inside the picture.
    fn fill(&mut self, (x, y): (i64, i64), (width, height): (u32, u32), color: Rgb<u8>) {
        let clip = |low: i64, extent: u32, limit: u32| {
            let high = (low + i64::from(extent)).clamp(0, i64::from(limit));
            low.clamp(0, i64::from(limit)) as u32..high as u32
        };
        let columns = clip(x, width, self.0.width());
        for row in clip(y, height, self.0.height()) {
            for column in columns.clone() {
                self.0.put_pixel(column, row, color);
            }
        }
    }

    /// A disc, or a ring of the width `stroke`.
    fn circle(&mut self, center: Point, radius: f32, stroke: Option<f32>, color: Rgb<u8>) {
        let reach = radius + stroke.map_or(0.0, |width| width / 2.0);
        let corners = [(center.0 - reach, center.1 - reach), (center.0 + reach, center.1 + reach)];
        self.cover(corners, color, |it| {
            let from_edge = (it.0 - center.0).hypot(it.1 - center.1) - radius;
            stroke.map_or(from_edge, |width| from_edge.abs() - width / 2.0)
        });
    }

    /// Mixes `color` into every pixel by its distance from a shape; at 0 a pixel's centre is on
    /// the edge. `distance` is asked within `corners` and a pixel around them.
    fn cover(&mut self, corners: [Point; 2], color: Rgb<u8>, distance: impl Fn(Point) -> f32) {
        let clip = |low: f32, high: f32, limit: u32| {
            let limit = limit as f32;
            (low - 1.0).clamp(0.0, limit) as u32..(high + 2.0).clamp(0.0, limit) as u32
        };
        let [low, high] = corners;
        let columns = clip(low.0, high.0, self.0.width());
        for row in clip(low.1, high.1, self.0.height()) {
            for column in columns.clone() {
                let outside = distance((column as f32 + 0.5, row as f32 + 0.5));
                let coverage = (0.5 - outside).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    blend(self.0.get_pixel_mut(column, row), color, coverage);
                }
            }
        }
    }

    /// A line with round ends and joints, in one go so that its joints are not darker.
    fn stroke(&mut self, path: &[Point], width: f32, color: Rgb<u8>) {
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

/// Mixes `color` into a pixel; `coverage` is from 0 to 1.
pub(super) fn blend(pixel: &mut Rgb<u8>, color: Rgb<u8>, coverage: f32) {
    for (old, new) in pixel.0.iter_mut().zip(color.0) {
        let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * coverage;
        *old = mixed.round() as u8;
    }
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
    use super::*;

    const INK: Rgb<u8> = Rgb([0; 3]);

    /// Darkness of all pixels, in whole pixels.
    fn ink(draw: impl Fn(&mut Canvas)) -> f64 {
        let mut canvas = Canvas(RgbImage::from_pixel(60, 60, WHITE));
        draw(&mut canvas);
        canvas.0.pixels().map(|it| f64::from(255 - it.0[0]) / 255.0).sum()
    }

    #[test]
    fn rectangles_are_clipped() {
        let mut canvas = Canvas(RgbImage::from_pixel(4, 4, WHITE));
        canvas.fill((-2, 3), (3, 9), INK);
        let inked: Vec<_> = canvas.0.enumerate_pixels().filter(|it| *it.2 == INK).map(|it| (it.0, it.1)).collect();
        assert_eq!(inked, [(0, 3)]);
        canvas.fill((9, -9), (3, 3), INK);
    }

    #[test]
    fn a_line_has_the_same_weight_at_every_slope() {
        for angle in 0..60 {
            let (sin, cos) = (angle as f32 * 0.1).sin_cos();
            let end = |length: f32| (30.2 + cos * length, 29.7 + sin * length);
            let ink = ink(|canvas| canvas.stroke(&[end(-20.0), end(20.0)], 2.0, INK));
            // 40 long, 2 wide, with round ends.
            let expected = 80.0 + std::f64::consts::PI;
            assert!((ink - expected).abs() < 3.0, "angle {angle}: {ink}");
        }
    }

    #[test]
    fn joints_are_not_darker() {
        let straight = ink(|canvas| canvas.stroke(&[(5.0, 5.2), (45.0, 25.3)], 2.0, INK));
        let point = |part: u8| (5.0 + f32::from(part) * 0.5, 5.2 + f32::from(part) * 20.1 / 80.0);
        let in_parts = ink(|canvas| canvas.stroke(&(0..=80).map(point).collect::<Vec<_>>(), 2.0, INK));
        assert!((straight - in_parts).abs() < 1.5, "{straight} {in_parts}");
    }

    #[test]
    fn circles_have_their_area() {
        let disc = ink(|canvas| canvas.circle((30.3, 29.6), 10.0, None, INK));
        assert!((disc - 314.2).abs() < 3.0, "{disc}");
        let ring = ink(|canvas| canvas.circle((30.3, 29.6), 10.0, Some(2.0), INK));
        assert!((ring - 125.7).abs() < 3.0, "{ring}");
    }

    #[test]
    fn what_is_outside_is_left_out() {
        for far in [-6000.0, -0.5, 60.5, 6000.0] {
            ink(|canvas| canvas.circle((far, far), 20.0, None, INK));
            ink(|canvas| canvas.stroke(&[(far, 0.6)], 2.0, INK));
        }
        assert_eq!(ink(|canvas| canvas.stroke(&[], 2.0, INK)), 0.0);
    }

    #[test]
    fn a_thin_line_on_a_pixel_s_centre_is_sharp() {
        let mut canvas = Canvas(RgbImage::from_pixel(9, 9, WHITE));
        canvas.stroke(&[(4.5, -5.0), (4.5, 20.0)], 1.0, INK);
        assert!((0..9).all(|row| canvas.0.get_pixel(4, row).0 == [0; 3]));
        assert!((0..9).all(|row| *canvas.0.get_pixel(3, row) == WHITE && *canvas.0.get_pixel(5, row) == WHITE));
    }
}
