//! Loss and error over the epochs of a run.

use std::path::Path;

use image::Rgb;
use plotters::coord::Shift;
use plotters::prelude::{ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, PathElement, RGBColor, WHITE};

use super::axis::{Axis, short};
use super::drawing::{Drawing, Point};
use super::text::{self, Align, Style};
use super::{BLUE, Error, FAINT, GREEN, GREY, INK, VERMILLION};

mod labels;
mod smooth;

use smooth::{PARTS, Smooth};

const WIDTH: u32 = 1600;
const HEIGHT: u32 = 660;
/// The left end and the extent of each panel's plot; its labels are to the right.
const PLOT_LEFT: [u32; 2] = [90, 860];
const PLOT_WIDTH: u32 = 510;
const PLOT_BOTTOM: u32 = HEIGHT - 78;
/// The top of the plot where no rate is labelled above it.
const PLOT_TOP: u32 = 116;
/// More points than this are drawn without a dot for each.
const MAX_DOTS: usize = 24;

/// A rate with more values than this is not one that is divided now and then.
const MAX_RATES: usize = 13;
/// The width of a line and the radii of a dot and of the ring around a best value.
const LINE: u32 = 9 * PARTS / 4;
const DOT: u32 = 4 * PARTS;
const RING: u32 = 11 * PARTS / 2;
const RATE_LINE: Rgb<u8> = Rgb([190, 190, 190]);

const TITLE: Style = Style::bold(23.0, INK);
const PANEL: Style = Style::bold(17.0, INK);
const TICK: Style = Style::regular(15.0, INK);

/// What was measured at one time of a run. A value that is not known is NaN.
#[derive(Clone, Copy, Debug)]
pub struct EpochPoint {
    /// How many epochs were done.
    pub epoch: f64,
    /// Cross-entropy of the training batches since the previous point, in nats.
    pub train_loss: f64,
    /// Fraction of these training images whose most probable label was wrong.
    pub train_top1: f64,
    /// Cross-entropy of the validation images, in nats.
    pub val_loss: f64,
    /// Fraction of the validation images whose most probable label was wrong.
    pub val_top1: f64,
    /// Fraction of the validation images with a true label not among the five most probable.
    pub val_top5: f64,
    /// The learning rate between the previous point and this one.
    pub rate: f64,
}

/// One line of a panel.
struct Series {
    name: &'static str,
    color: Rgb<u8>,
    /// Sorted by epoch, all finite, at least one.
    points: Vec<(f64, f64)>,
    /// Whether the smallest value matters.
    has_best: bool,
}

impl Series {
    fn best(&self) -> Option<(f64, f64)> {
        let best = self.points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|_| self.has_best && self.points.len() > 1)
    }
}

/// Where the learning rate changed, or where it was first known.
struct RateChange {
    epoch: f64,
    rate: f64,
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    left: u32,
    top: u32,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

impl Panel {
    /// Where a value is in the picture.
    fn place(&self, (epoch, value): (f64, f64)) -> Point {
        let across = (epoch - self.x.low) / (self.x.high - self.x.low);
        let up = (value - self.y.low) / (self.y.high - self.y.low);
        let x = 0.5 + f64::from(self.left) + across * f64::from(PLOT_WIDTH);
        let y = 0.5 + f64::from(PLOT_BOTTOM) - up * f64::from(PLOT_BOTTOM - self.top);
        (x as f32, y as f32)
    }
}

/// Draws the losses (left) and the errors (right) of a run over its epochs.
///
/// Every line is named at its end, with its last value; the best validation values are ringed.
/// Faint vertical lines show where the learning rate changed, with the new rate above as far as
/// there is room; a rate that changes smoothly or more than a dozen times is not marked. Values that are not finite are skipped, and a line goes on behind them.
///
/// # Errors
/// No points, or a file that cannot be written.
pub fn curves(history: &[EpochPoint], title: &str, path: &Path) -> Result<(), Error> {
    if history.is_empty() {
        return Err(Error::Empty { path: path.to_owned(), what: "epochs" });
    }
    let mut history: Vec<_> = history.iter().copied().filter(|it| is_drawable(it.epoch)).collect();
    history.sort_by(|a, b| a.epoch.total_cmp(&b.epoch));

    let changes = rate_changes(&history);
    let epochs = history.first().map_or(0.0, |it| it.epoch)..history.last().map_or(1.0, |it| it.epoch);
    let x = Axis::for_epochs(epochs.start, epochs.end);
    let rates =
        labels::place_rates(&changes, |epoch| ((epoch - x.low) / (x.high - x.low) * f64::from(PLOT_WIDTH)) as f32);
    let top = PLOT_TOP + labels::rates_height(&rates);
    let panels = panels(&history, x, top);

    let mut canvas = Drawing::new(WIDTH.into(), HEIGHT.into(), path)?;
    draw_shapes(&mut canvas, &panels, &rates).map_err(|source| Error::Draw { path: path.to_owned(), source })?;
    let title = text::fit(title, TITLE, (WIDTH - 72) as f32);
    canvas.text(&title, (36.0, 46.0), Align::Left, TITLE);
    for panel in &panels {
        draw_axis_texts(&mut canvas, panel);
        labels::draw_rates(&mut canvas, &rates, panel);
        labels::draw_names(&mut canvas, panel);
    }
    canvas.save(path)
}

/// Whether a value has a place on an axis; huge ones would overflow its arithmetic.
fn is_drawable(value: f64) -> bool {
    value.abs() < 1e30
}

/// The first learning rate and its steps; nothing if there are no steps, or so many that it is
/// not a rate with steps.
fn rate_changes(history: &[EpochPoint]) -> Vec<RateChange> {
    let known: Vec<_> = history.iter().filter(|it| is_drawable(it.rate) && it.rate > 0.0).collect();
    let mut changes = Vec::new();
    if let Some(first) = known.first() {
        changes.push(RateChange { epoch: f64::NEG_INFINITY, rate: first.rate });
    }
    for pair in known.windows(2) {
        let factor = pair[1].rate / pair[0].rate;
        // A rate that falls smoothly has no steps to mark.
        if !(1.0 / 1.4..1.4).contains(&factor) {
            changes.push(RateChange { epoch: pair[0].epoch, rate: pair[1].rate });
        }
    }
    if (2..=MAX_RATES).contains(&changes.len()) { changes } else { Vec::new() }
}

fn panels(history: &[EpochPoint], x: Axis, top: u32) -> [Panel; 2] {
    let series = |name, color, has_best, value: fn(&EpochPoint) -> f64| {
        let points = history.iter().map(|it| (it.epoch, value(it)));
        let points = points.filter(|it| is_drawable(it.1)).collect();
        Series { name, color, points, has_best }
    };
    let losses = vec![
        series("training", BLUE, false, |it| it.train_loss),
        series("validation", VERMILLION, true, |it| it.val_loss),
    ];
    let errors = vec![
        series("training top-1", BLUE, false, |it| 100.0 * it.train_top1),
        series("validation top-1", VERMILLION, true, |it| 100.0 * it.val_top1),
        series("validation top-5", GREEN, true, |it| 100.0 * it.val_top5),
    ];
    let panel = |idx: usize, title, unit, mut series: Vec<Series>, limit| {
        series.retain(|it| !it.points.is_empty());
        let values = series.iter().flat_map(|it| &it.points).map(|it| it.1);
        let y = Axis::for_values(values, limit);
        Panel { title, unit, left: PLOT_LEFT[idx], top, x, y, series }
    };
    [panel(0, "Loss (cross-entropy, nats)", "", losses, f64::INFINITY), panel(1, "Error (%)", " %", errors, 100.0)]
}

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Everything but text.
fn draw_shapes(canvas: &mut Drawing, panels: &[Panel], rates: &[labels::RateLabel]) -> Drawn {
    let root = Smooth(canvas).into_drawing_area();
    for panel in panels {
        draw_frame(&root, panel, rates)?;
        let area = root.clone().shrink(
            (panel.left * PARTS + PARTS / 2, panel.top * PARTS + PARTS / 2),
            (PLOT_WIDTH * PARTS + 1, (PLOT_BOTTOM - panel.top) * PARTS + 1),
        );
        let mut chart =
            ChartBuilder::on(&area).build_cartesian_2d(panel.x.low..panel.x.high, panel.y.low..panel.y.high)?;
        for series in &panel.series {
            let color = rgb(series.color);
            chart.draw_series([PathElement::new(series.points.clone(), color.stroke_width(LINE))])?;
            if series.points.len() <= MAX_DOTS {
                chart.draw_series(series.points.iter().map(|it| Circle::new(*it, DOT, color.filled())))?;
            }
        }
        for series in &panel.series {
            let rings = series.best().into_iter().flat_map(|it| {
                let white = Circle::new(it, RING, WHITE.filled());
                [white, Circle::new(it, RING, rgb(series.color).stroke_width(LINE))]
            });
            chart.draw_series(rings)?;
        }
    }
    root.present()?;
    Ok(())
}

/// Grid, axes, the lines of the rates and those from the series to their names.
fn draw_frame(root: &DrawingArea<Smooth<'_>, Shift>, panel: &Panel, rates: &[labels::RateLabel]) -> Drawn {
    let part = |pixel: f32| (pixel * PARTS as f32).round() as i32;
    let line = |from: Point, to: Point, color| {
        let ends = [from, to].map(|it| (part(it.0), part(it.1)));
        root.draw(&PathElement::new(ends, rgb(color).stroke_width(PARTS)))
    };
    // A thin line is sharp where it covers whole pixels.
    let sharp = |pixel: f32| pixel.floor() + 0.5;
    let (left, right) = (sharp(panel.left as f32), sharp((panel.left + PLOT_WIDTH) as f32));
    let (top, bottom) = (sharp(panel.top as f32), sharp(PLOT_BOTTOM as f32));
    for tick in panel.y.ticks() {
        let y = sharp(panel.place((panel.x.low, tick)).1);
        line((left, y), (right, y), FAINT)?;
    }
    for tick in panel.x.ticks() {
        let x = sharp(panel.place((tick, panel.y.low)).0);
        line((x, bottom), (x, bottom + 6.0), GREY)?;
    }
    for rate in rates {
        let x = sharp(panel.left as f32 + rate.x);
        line((x, rate.line_top(panel.top)), (x, bottom), RATE_LINE)?;
    }
    line((left, top), (left, bottom), GREY)?;
    line((left, bottom), (right, bottom), GREY)?;
    for ([from, to], color) in labels::leaders(panel) {
        line(from, to, color)?;
    }
    Ok(())
}

fn rgb(color: Rgb<u8>) -> RGBColor {
    RGBColor(color.0[0], color.0[1], color.0[2])
}

fn draw_axis_texts(canvas: &mut Drawing, panel: &Panel) {
    let left = panel.left as f32;
    canvas.text(panel.title, (left - 54.0, 92.0), Align::Left, PANEL);
    for tick in panel.y.ticks() {
        let y = panel.place((panel.x.low, tick)).1;
        let at = (left - 10.0, TICK.baseline(y));
        canvas.text(&panel.y.text(tick), at, Align::Right, TICK);
    }
    for tick in panel.x.ticks() {
        let x = panel.place((tick, panel.y.low)).0;
        let at = (x, (PLOT_BOTTOM + 26) as f32);
        canvas.text(&panel.x.text(tick), at, Align::Center, TICK);
    }
    let middle = (left + PLOT_WIDTH as f32 / 2.0, (PLOT_BOTTOM + 52) as f32);
    canvas.text("epoch", middle, Align::Center, TICK);
    if panel.series.is_empty() {
        let middle = (middle.0, ((panel.top + PLOT_BOTTOM) / 2) as f32);
        canvas.text("no finite values", middle, Align::Center, Style::regular(15.0, GREY));
    }
}

#[cfg(test)]
mod tests;
