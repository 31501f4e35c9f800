//! Text on pictures: one embedded family in two weights, measured, shortened and drawn.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScaleFont, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::raster::blend;

/// Height of a capital letter in ems; used to centre a line on a bar or a tick.
const CAP_HEIGHT: f32 = 0.729;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Which side of the text lies at the given position.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Pixels per em.
    pub size: f32,
    pub weight: Weight,
    pub color: Rgb<u8>,
}

impl Style {
    pub(super) const fn regular(size: f32, color: Rgb<u8>) -> Style {
        Style { size, weight: Weight::Regular, color }
    }

    pub(super) const fn bold(size: f32, color: Rgb<u8>) -> Style {
        Style { size, weight: Weight::Bold, color }
    }

    /// The baseline of a line whose capitals are centred on `y`.
    pub(super) fn baseline(self, y: f32) -> f32 {
        y + self.size * CAP_HEIGHT / 2.0
    }

    fn font(self) -> PxScaleFont<&'static FontRef<'static>> {
        static FONTS: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
        let [regular, bold] = FONTS.get_or_init(|| {
            [include_bytes!("fonts/DejaVuSans.ttf").as_slice(), include_bytes!("fonts/DejaVuSans-Bold.ttf").as_slice()]
                .map(|it| FontRef::try_from_slice(it).expect("the embedded font is whole"))
        });
        let font = if self.weight == Weight::Bold { bold } else { regular };
        // The library's scale is the height of a line, not the em.
        let em = font.units_per_em().unwrap_or(1.0);
        font.as_scaled(self.size * font.height_unscaled() / em)
    }
}

/// Glyphs with the x at which each starts, and the width of the whole.
fn layout(text: &str, style: Style) -> (Vec<(GlyphId, f32)>, f32) {
    let font = style.font();
    let (mut x, mut previous, mut glyphs) = (0.0, None, Vec::new());
    for c in text.chars() {
        // A tab or line break in a label would be drawn as an empty box.
        let id = font.glyph_id(if c.is_control() { ' ' } else { c });
        if let Some(previous) = previous.replace(id) {
            x += font.kern(previous, id);
        }
        glyphs.push((id, x));
        x += font.h_advance(id);
    }
    (glyphs, x)
}

/// The width of `text` in pixels.
pub(super) fn width(text: &str, style: Style) -> f32 {
    layout(text, style).1
}

/// `text`, or as much of its beginning as fits into `limit` pixels with an ellipsis behind it.
///
/// Empty if not even the ellipsis fits.
pub(super) fn fit(text: &str, style: Style, limit: f32) -> String {
    let (glyphs, total) = layout(text, style);
    if total <= limit {
        return text.to_owned();
    }
    let ellipsis = width("…", style);
    if ellipsis > limit {
        return String::new();
    }
    // A glyph starts where the text before it ends.
    let kept = glyphs.iter().filter(|it| it.1 + ellipsis <= limit).count().saturating_sub(1);
    let kept: String = text.chars().take(kept).collect();
    format!("{}…", kept.trim_end_matches(|c: char| c.is_whitespace() || ",;-_".contains(c)))
}

/// Draws one line of text with its baseline at `y`; what is outside the picture is left out.
pub(super) fn draw(image: &mut RgbImage, text: &str, (x, y): (f32, f32), align: Align, style: Style) {
    let (glyphs, total) = layout(text, style);
    let font = style.font();
    let left = match align {
        Align::Left => x,
        Align::Center => x - total / 2.0,
        Align::Right => x - total,
    };
    for (id, offset) in glyphs {
        // A baseline between two rows of pixels would blur every letter.
        let position = point(left + offset, y.round());
        let glyph = Glyph { id, scale: font.scale(), position };
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|column, row, coverage| {
            let (column, row) = (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
            let (Ok(column), Ok(row)) = (u32::try_from(column), u32::try_from(row)) else {
                return;
            };
            if let Some(pixel) = image.get_pixel_mut_checked(column, row) {
                blend(pixel, style.color, coverage.clamp(0.0, 1.0));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{INK, WHITE};
    use super::*;

    const STYLE: Style = Style::regular(16.0, INK);

    #[test]
    fn short_text_is_kept_and_long_text_fits() {
        assert_eq!(fit("tench", STYLE, 200.0), "tench");
        for limit in [0, 5, 20, 60, 61, 62, 63, 64, 100, 150] {
            let text = fit("German short-haired pointer, Vorstehhund", STYLE, limit as f32);
            assert!(width(&text, STYLE) <= limit as f32, "{text:?} at {limit}");
            assert!(text.is_empty() || text.ends_with('…'), "{text:?} at {limit}");
        }
        assert_eq!(fit("tench, Tinca tinca", STYLE, width("tench, ", STYLE) + width("…", STYLE)), "tench…");
        assert_eq!(fit("", STYLE, 0.0), "");
    }

    #[test]
    fn the_used_characters_are_in_the_font() {
        for weight in [Style::regular(16.0, INK), Style::bold(16.0, INK)] {
            let font = weight.font();
            for c in "azAZ09 …·×–−%äéßñłçЖλ".chars() {
                assert_ne!(font.glyph_id(c).0, 0, "{c:?}");
            }
        }
    }

    #[test]
    fn ink_stays_between_the_measured_ends_and_the_baseline() {
        let mut image = RgbImage::from_pixel(200, 40, WHITE);
        draw(&mut image, "HALL", (190.0, 30.0), Align::Right, STYLE);
        let left = 190.0 - width("HALL", STYLE);
        let mut inked = 0;
        for (column, row, pixel) in image.enumerate_pixels() {
            if *pixel != WHITE {
                inked += 1;
                assert!((left.floor()..=190.0).contains(&(column as f32)), "column {column}");
                assert!((17..30).contains(&row), "row {row}");
            }
        }
        assert!(inked > 100, "{inked}");
    }

    #[test]
    fn text_outside_the_picture_is_left_out() {
        let mut image = RgbImage::from_pixel(10, 10, WHITE);
        draw(&mut image, "a\tb\n\u{4e2d}", (-30.0, 4.0), Align::Center, STYLE);
        draw(&mut image, "outside", (5.0, 400.0), Align::Left, STYLE);
    }
}
