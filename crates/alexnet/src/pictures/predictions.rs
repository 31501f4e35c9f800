//! Images with their most probable labels: the left half of the paper's figure 4.

use std::path::Path;

use image::{Rgb, RgbImage};

use super::drawing::Drawing;
use super::text::{self, Align, Style};
use super::{Error, INK, MAX_PIXELS};

const MARGIN: u32 = 36;
const COLUMNS: usize = 4;
const COLUMN_GAP: u32 = 32;
const ROW_GAP: u32 = 40;
/// The largest side of an image: four of them, with gaps and margins, are 1600 pixels.
const SIDE: u32 = 358;
/// Up to this side an image is enlarged by a whole factor, with its pixels visible.
const TINY: u32 = 64;
/// The space between image and bars with and without a true label.
const TRUTH: u32 = 42;
const NO_TRUTH: u32 = 14;
const BAR: u32 = 26;
const BAR_GAP: u32 = 5;
const BARS: usize = 5;
const PAD: u32 = 7;

const TRUTH_STYLE: Style = Style::bold(18.0, INK);
const LABEL_STYLE: Style = Style::regular(15.0, INK);
const TRUE_LABEL_STYLE: Style = Style::bold(15.0, INK);

const FRAME: Rgb<u8> = Rgb([205, 205, 205]);
const TRACK: Rgb<u8> = Rgb([243, 245, 248]);
const TRUE_BAR: Rgb<u8> = Rgb([240, 132, 132]);
const OTHER_BAR: Rgb<u8> = Rgb([172, 190, 212]);

/// One image and what the network says about it.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The image, `[side, side, 3]`: red, green, blue.
    pub rgb: Vec<u8>,
    /// Rows and columns of the image.
    pub side: usize,
    /// Its true label, where that is known.
    pub truth: Option<String>,
    /// The most probable labels with their probabilities from 0 to 1, the most probable first; five are drawn.
    pub top: Vec<(String, f32)>,
}

/// Draws images, four in a row, each with its true label and a bar for each of its five most
/// probable labels.
///
/// The bar of the true label is red and its text bold, the others are blue-grey.
/// Labels that are too long end in an ellipsis.
/// Images of up to 64 pixels keep their pixels visible, larger ones are resampled smoothly.
///
/// # Errors
/// No items, an item with the wrong number of values, more items than [`super::MAX_PIXELS`]
/// holds, or a file that cannot be written.
pub fn predictions(items: &[Prediction], path: &Path) -> Result<(), Error> {
    check(items, path)?;
    let side = items.iter().map(|it| shown_side(it.side)).max().unwrap_or(SIDE);
    let truth_height = if items.iter().any(|it| it.truth.is_some()) { TRUTH } else { NO_TRUTH };
    let n_bars = items.iter().map(|it| it.top.len()).max().unwrap_or(0).min(BARS) as u32;
    let (step_x, step_y) = (side + COLUMN_GAP, side + truth_height + n_bars * (BAR + BAR_GAP) + ROW_GAP);
    let columns = items.len().min(COLUMNS) as u64;
    let rows = items.len().div_ceil(COLUMNS) as u64;
    let mut canvas = Drawing::new(
        u64::from(2 * MARGIN - COLUMN_GAP) + columns * u64::from(step_x),
        u64::from(2 * MARGIN - ROW_GAP) + rows * u64::from(step_y),
        path,
    )?;
    for (idx, item) in items.iter().enumerate() {
        let (column, row) = ((idx % COLUMNS) as u32, (idx / COLUMNS) as u32);
        let cell = Cell { x: MARGIN + column * step_x, y: MARGIN + row * step_y, side };
        draw_image(&mut canvas, item, &cell);
        if let Some(truth) = &item.truth {
            let truth = text::fit(truth, TRUTH_STYLE, side as f32);
            let center = (cell.x as f32 + side as f32 / 2.0, (cell.y + side + 27) as f32);
            canvas.text(&truth, center, Align::Center, TRUTH_STYLE);
        }
        for (bar_idx, (label, probability)) in item.top.iter().take(BARS).enumerate() {
            let y = cell.y + side + truth_height + bar_idx as u32 * (BAR + BAR_GAP);
            let is_true = item.truth.as_ref() == Some(label);
            draw_bar(&mut canvas, label, *probability, is_true, &Cell { y, ..cell });
        }
    }
    canvas.save(path)
}

/// How many images of this side, without true labels, [`predictions`] can draw on one picture.
pub fn most_predictions(side: usize) -> usize {
    let side = shown_side(side);
    let width = u64::from(2 * MARGIN - COLUMN_GAP + COLUMNS as u32 * (side + COLUMN_GAP));
    let step_y = u64::from(side + NO_TRUTH + BARS as u32 * (BAR + BAR_GAP) + ROW_GAP);
    let rows = (MAX_PIXELS / width - u64::from(2 * MARGIN - ROW_GAP)) / step_y;
    rows as usize * COLUMNS
}

/// Where an item, or a part of it, is drawn.
struct Cell {
    x: u32,
    y: u32,
    /// The width of the whole item and of its bars, and the height of its image.
    side: u32,
}

/// The side of an image on the picture; that of a tiny one is a whole multiple of its own.
fn shown_side(side: usize) -> u32 {
    match side as u32 {
        side @ 1..=TINY => side * (SIDE / side),
        _ => SIDE,
    }
}

fn check(items: &[Prediction], path: &Path) -> Result<(), Error> {
    if items.is_empty() {
        return Err(Error::Empty { path: path.to_owned(), what: "predictions" });
    }
    for (index, item) in items.iter().enumerate() {
        // An image without pixels is wrong however its extents add up.
        let side = item.side.max(1);
        let (expected, got) = (side.saturating_mul(side).saturating_mul(3), item.rgb.len());
        if got != expected || u32::try_from(side).is_err() {
            let path = path.to_owned();
            return Err(Error::Length { path, what: "prediction", index, expected, got });
        }
    }
    Ok(())
}

/// Draws the image in the middle of a square, with a thin frame.
fn draw_image(canvas: &mut Drawing, item: &Prediction, cell: &Cell) {
    let side = item.side as u32;
    let Some(image) = RgbImage::from_raw(side, side, item.rgb.clone()) else { return };
    let shown = shown_side(item.side);
    let inset = (cell.side - shown) / 2;
    let (x, y) = (i64::from(cell.x + inset), i64::from(cell.y + inset));
    canvas.rect((x - 1, y - 1), (shown + 2, shown + 2), FRAME);
    canvas.image(image, (x, y), (shown, shown), side <= TINY);
}

fn draw_bar(canvas: &mut Drawing, label: &str, probability: f32, is_true: bool, cell: &Cell) {
    let (color, style) = if is_true { (TRUE_BAR, TRUE_LABEL_STYLE) } else { (OTHER_BAR, LABEL_STYLE) };
    // NaN fills nothing.
    let probability = probability.clamp(0.0, 1.0);
    let filled = (probability * cell.side as f32).round() as u32;
    let corner = (i64::from(cell.x), i64::from(cell.y));
    canvas.rect(corner, (cell.side, BAR), TRACK);
    canvas.rect(corner, (filled, BAR), color);

    let figure = percent(probability);
    let baseline = style.baseline(cell.y as f32 + BAR as f32 / 2.0);
    let right = (cell.x + cell.side - PAD) as f32;
    canvas.text(&figure, (right, baseline), Align::Right, style);
    let room = (cell.side - 3 * PAD) as f32 - text::width(&figure, style);
    let label = text::fit(label, style, room);
    canvas.text(&label, ((cell.x + PAD) as f32, baseline), Align::Left, style);
}

fn percent(probability: f32) -> String {
    let percent = probability * 100.0;
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".to_owned();
    }
    format!("{percent:.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(side: usize, truth: Option<&str>, top: &[(&str, f32)]) -> Prediction {
        Prediction {
            rgb: [10, 200, 30].repeat(side * side),
            side,
            truth: truth.map(str::to_owned),
            top: top.iter().map(|it| (it.0.to_owned(), it.1)).collect(),
        }
    }

    fn draw(items: &[Prediction]) -> RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.png");
        predictions(items, &path).unwrap();
        image::open(&path).unwrap().to_rgb8()
    }

    const TOP: [(&str, f32); 5] = [("coat", 0.5), ("shirt", 0.3), ("bag", 0.1), ("boot", 0.0001), ("dress", 0.0)];

    #[test]
    fn sizes_follow_the_number_of_items() {
        let cell = 336 + TRUTH + 5 * 31;
        for (items, width, rows) in [(1, 408, 1), (3, 1144, 1), (4, 1512, 1), (5, 1512, 2), (32, 1512, 8)] {
            let image = draw(&vec![item(28, Some("coat"), &TOP); items]);
            assert_eq!(image.dimensions(), (width, 72 + rows * (cell + ROW_GAP) - ROW_GAP));
        }
        let photographs = vec![item(227, None, &TOP[..3]); 4];
        assert_eq!(draw(&photographs).dimensions(), (1600, 72 + SIDE + NO_TRUTH + 3 * 31));
        // A smaller image among larger ones is in the middle of its cell.
        let image = draw(&[item(227, None, &TOP), item(28, None, &TOP)]);
        let left = MARGIN + SIDE + COLUMN_GAP;
        let color = |x: u32| *image.get_pixel(x, MARGIN + SIDE / 2);
        assert_eq!([color(left + 10), color(left + 11)], [FRAME, Rgb([10, 200, 30])]);
    }

    #[test]
    fn only_the_true_label_is_red() {
        let image = draw(&[item(28, Some("shirt"), &TOP)]);
        let bar = |idx: u32, fraction: f32| {
            let x = MARGIN + (336.0 * fraction) as u32;
            // The first row of a bar is above its text.
            *image.get_pixel(x, MARGIN + 336 + TRUTH + idx * (BAR + BAR_GAP))
        };
        assert_eq!([bar(0, 0.0), bar(0, 0.49), bar(0, 0.51)], [OTHER_BAR, OTHER_BAR, TRACK]);
        assert_eq!([bar(1, 0.0), bar(1, 0.29), bar(1, 0.31)], [TRUE_BAR, TRUE_BAR, TRACK]);
        assert_eq!([bar(2, 0.0), bar(2, 0.11)], [OTHER_BAR, TRACK]);
        assert_eq!(bar(4, 0.0), TRACK);
        let [red, green, blue] = TRUE_BAR.0;
        assert!(red > green + 60 && red > blue + 60);
    }

    #[test]
    fn images_of_any_size_keep_their_colour() {
        for side in [1, 28, 64, 65, 227, 500] {
            let image = draw(&[item(side, None, &TOP)]);
            assert_eq!(image.get_pixel(MARGIN + SIDE / 2, MARGIN + SIDE / 2).0, [10, 200, 30]);
        }
        // The pixels of a tiny image stay sharp: 358 / 2 = 179.
        let mut two = item(2, None, &TOP);
        two.rgb[..3].copy_from_slice(&[255, 0, 0]);
        let image = draw(&[two]);
        assert_eq!(image.get_pixel(MARGIN + 178, MARGIN + 178).0, [255, 0, 0]);
        assert_eq!(image.get_pixel(MARGIN + 179, MARGIN + 178).0, [10, 200, 30]);
    }

    #[test]
    fn long_labels_stay_in_their_cell() {
        let long = "a label that is far too long for its cell, ".repeat(20);
        let top = [(long.as_str(), 1.0), ("W".repeat(500).leak(), 0.1)];
        let image = draw(&[item(227, Some(&long), &top), item(28, Some(&long), &top)]);
        let gap = MARGIN + SIDE..MARGIN + SIDE + COLUMN_GAP;
        // The frames of the images are outside of the cells.
        let texts = image.enumerate_pixels().filter(|it| it.1 > MARGIN + SIDE);
        for (column, _, pixel) in texts {
            let outside = column < MARGIN || gap.contains(&column) || column >= image.width() - MARGIN;
            assert!(!outside || pixel.0 == [255; 3], "column {column}");
        }
    }

    #[test]
    fn unusual_items_are_drawn() {
        draw(&[item(3, None, &[])]);
        draw(&[item(3, Some(""), &[("", f32::NAN), ("x", -1.0), ("y", 2.0), ("z", f32::INFINITY)])]);
        draw(&[item(3, None, &[("x", 0.1); 9])]);
    }

    #[test]
    fn as_many_as_can_be_drawn_are() {
        for side in [32, 256] {
            let most = most_predictions(side);
            let mut items = vec![item(side, None, &TOP); most];
            draw(&items);
            items.push(item(side, None, &TOP));
            let error = predictions(&items, Path::new("missing/predictions.png")).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{most}: {error}");
        }
    }

    #[test]
    fn percentages() {
        let figures = [1.0, 0.1234, 0.001, 0.0009, 0.0, f32::NAN].map(percent);
        assert_eq!(figures, ["100.0 %", "12.3 %", "0.1 %", "< 0.1 %", "0.0 %", "NaN %"]);
    }

    #[test]
    fn wrong_input_is_refused() {
        let path = Path::new("missing/predictions.png");
        assert!(matches!(predictions(&[], path), Err(Error::Empty { .. })));
        assert!(matches!(predictions(&[item(0, None, &TOP)], path), Err(Error::Length { .. })));
        let mut short = item(28, None, &TOP);
        short.rgb.pop();
        let error = predictions(&[item(28, None, &TOP), short], path).unwrap_err();
        let expected = "missing/predictions.png: prediction 1 holds 2351 values, its extents say 2352";
        assert_eq!(error.to_string(), expected);
        let error = predictions(&[item(28, None, &TOP)], path).unwrap_err();
        assert!(matches!(error, Error::Write { .. }));
    }
}
