//! The matrix of confusions: a row for each true class, a column for each class that was most probable.

use std::path::Path;

use image::Rgb;

use super::drawing::Drawing;
use super::text::{self, Align, Style};
use super::{BLUE, Error, FAINT, GREY, INK, VERMILLION};
use crate::inside::Confusion;

const MARGIN: u32 = 36;
/// The side of the matrix comes close to this, in cells of this size at most.
const SIDE: u32 = 1000;
const CELL: u32 = 64;
/// Cells from this size have their share as text and their class as a name.
const LABELLED: u32 = 22;
/// The most space for names, the space beside them, above for numbers, and to the right for errors.
const NAME_ROOM: f32 = 300.0;
const NAME_GAP: u32 = 46;
const NUMBERS: u32 = 62;
const ERRORS: u32 = 110;

const TITLE: Style = Style::bold(17.0, INK);
const NAME: Style = Style::regular(15.0, INK);
const NUMBER: Style = Style::regular(14.0, GREY);

/// Draws the matrix. A cell is as dark as the share of its row's images that are in it: blue on the diagonal, where the
/// network is right, orange elsewhere. Rows have names and errors as far as there is room; columns have the numbers
/// of the rows.
///
/// # Errors
/// No classes, too many to draw, or a file that cannot be written.
pub fn confusion(confusion: &Confusion, path: &Path) -> Result<(), Error> {
    let classes = confusion.classes.len() as u32;
    if classes == 0 {
        return Err(Error::Empty { path: path.to_owned(), what: "classes" });
    }
    let cell = (SIDE / classes).clamp(1, CELL);
    let (side, labelled) = (cell * classes, cell >= LABELLED);
    let names = if labelled { name_width(confusion) } else { 0 };
    let (left, top) = (MARGIN + names, MARGIN + NUMBERS);
    let right = if labelled { ERRORS } else { 0 };
    let title = "rows: true class; columns: most probable class";
    let width = (left + side + right).max(MARGIN + text::width(title, TITLE) as u32) + MARGIN;
    let mut canvas = Drawing::new(width.into(), (top + side + MARGIN).into(), path)?;
    canvas.text(title, (MARGIN as f32, (MARGIN + 14) as f32), Align::Left, TITLE);
    let corner = |truth: usize, class: usize| {
        (i64::from(left) + class as i64 * i64::from(cell), i64::from(top) + truth as i64 * i64::from(cell))
    };
    // White cells are the page; a frame shows where they are.
    canvas.rect((i64::from(left) - 1, i64::from(top) - 1), (side + 2, side + 2), FAINT);
    canvas.rect(corner(0, 0), (side, side), Rgb([255; 3]));
    for truth in 0..confusion.classes.len() {
        let row = confusion.row(truth);
        let images: u32 = row.iter().sum();
        for (class, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = f64::from(count) / f64::from(images);
            let color = if class == truth { BLUE } else { VERMILLION };
            canvas.rect(corner(truth, class), (cell, cell), shade(color, share));
            if labelled {
                let (x, y) = middle(corner(truth, class), cell);
                let style = Style::regular(13.0, if share > 0.5 { Rgb([255; 3]) } else { INK });
                canvas.text(&count.to_string(), (x, style.baseline(y)), Align::Center, style);
            }
        }
        if labelled {
            let (x, y) = middle(corner(truth, 0), cell);
            let names = (left - 10) as f32;
            let number = format!("{}", truth + 1);
            canvas.text(&number, (names, NUMBER.baseline(y)), Align::Right, NUMBER);
            let name = text::fit(&confusion.classes[truth], NAME, NAME_ROOM);
            canvas.text(&name, (names - 34.0, NAME.baseline(y)), Align::Right, NAME);
            let above = (x + (truth as u32 * cell) as f32, (top - 9) as f32);
            canvas.text(&number, above, Align::Center, NUMBER);
            if let Some(error) = confusion.error(truth) {
                let at = ((left + side + right) as f32, NAME.baseline(y));
                canvas.text(&format!("{:.1} %", error * 100.0), at, Align::Right, NAME);
            }
        }
    }
    if labelled {
        let at = ((left + side + right) as f32, (top - 9) as f32);
        canvas.text("error", at, Align::Right, NUMBER);
    }
    canvas.save(path)
}

/// The space for the names and numbers of the rows.
fn name_width(confusion: &Confusion) -> u32 {
    let widest = confusion.classes.iter().map(|name| text::width(name, NAME).min(NAME_ROOM)).fold(0.0, f32::max);
    widest as u32 + NAME_GAP
}

fn middle((x, y): (i64, i64), cell: u32) -> (f32, f32) {
    (x as f32 + cell as f32 / 2.0, y as f32 + cell as f32 / 2.0)
}

/// White for 0, `color` for 1; small shares are seen.
fn shade(color: Rgb<u8>, share: f64) -> Rgb<u8> {
    let strength = share.sqrt();
    Rgb(color.0.map(|level| (255.0 - (255.0 - f64::from(level)) * strength).round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(classes: usize) -> Confusion {
        let names: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        let mut confusion = Confusion::new(&names);
        for truth in 0..classes {
            (0..3).for_each(|_| confusion.add(truth, truth));
            confusion.add(truth, (truth + 1) % classes);
        }
        confusion
    }

    #[test]
    fn the_diagonal_is_blue_and_mistakes_are_orange() {
        let folder = tempfile::tempdir().unwrap();
        for classes in [3, 20, 300] {
            let path = folder.path().join("c.png");
            let sample = sample(classes);
            confusion(&sample, &path).unwrap();
            let drawn = image::open(&path).unwrap().to_rgb8();
            let cell = (SIDE / classes as u32).clamp(1, CELL);
            let left = MARGIN + if cell >= LABELLED { name_width(&sample) } else { 0 };
            // Beside the text in the middle of a cell.
            let color = |truth: u32, class: u32| *drawn.get_pixel(left + class * cell, MARGIN + NUMBERS + truth * cell);
            assert_eq!(color(1, 1), shade(BLUE, 0.75), "{classes}");
            assert_eq!(color(1, 2), shade(VERMILLION, 0.25), "{classes}");
            assert_eq!(color(1, 0), Rgb([255; 3]), "{classes}");
        }
    }

    #[test]
    fn nothing_is_refused() {
        let error = confusion(&Confusion::new(&[]), Path::new("c.png")).unwrap_err();
        assert_eq!(error.to_string(), "c.png: nothing to draw, there are no classes");
    }
}
