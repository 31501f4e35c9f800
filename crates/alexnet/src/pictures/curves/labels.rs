//! Labels beside and above the plots, placed so that none covers another.

use image::Rgb;

use super::super::drawing::{Drawing, Point};
use super::super::text::{self, Align, Style};
use super::super::{GREY, INK};
use super::{PLOT_BOTTOM, PLOT_WIDTH, Panel, RateChange, Series, short};

const RATE: Style = Style::regular(13.0, GREY);
const RATE_ROW: u32 = 18;
const MAX_RATE_ROWS: usize = 3;

const NAME_LEFT: f32 = 30.0;
const NAME_SIZE: f32 = 15.0;
const VALUE: Style = Style::regular(14.0, INK);
const LINE: f32 = 19.0;
const BLOCK_GAP: f32 = 12.0;

/// The line of one change of the rate, and where its label stands.
pub(super) struct RateLabel {
    /// From the left end of the plot.
    pub x: f32,
    text: String,
    /// Rows are counted from the top; without one the label is left out.
    row: Option<usize>,
    /// Rows of the whole picture.
    n_rows: usize,
}

impl RateLabel {
    /// Where the vertical line starts: beside its label.
    pub(super) fn line_top(&self, plot_top: u32) -> f32 {
        let rows = self.row.map_or(0, |row| self.n_rows - row);
        plot_top as f32 - rows as f32 * RATE_ROW as f32
    }
}

/// Gives each label a row below all labels that reach over it, so that its line crosses none.
pub(super) fn place_rates(changes: &[RateChange], place: impl Fn(f64) -> f32) -> Vec<RateLabel> {
    let mut ends = [f32::NEG_INFINITY; MAX_RATE_ROWS];
    let mut labels = Vec::with_capacity(changes.len());
    for change in changes {
        // The first rate stands at the left end.
        let x = place(change.epoch).max(0.0);
        let text = if labels.is_empty() { format!("rate {}", short(change.rate)) } else { short(change.rate) };
        let row = ends.iter().rposition(|end| x < end + 4.0).map_or(0, |it| it + 1);
        let row = (row < MAX_RATE_ROWS).then_some(row);
        if let Some(row) = row {
            ends[row] = x + 5.0 + text::width(&text, RATE);
        }
        labels.push(RateLabel { x, text, row, n_rows: 0 });
    }
    let n_rows = labels.iter().filter_map(|it| it.row).max().map_or(0, |it| it + 1);
    for label in &mut labels {
        label.n_rows = n_rows;
    }
    labels
}

/// The space that the labels need above a plot.
pub(super) fn rates_height(rates: &[RateLabel]) -> u32 {
    rates.first().map_or(0, |it| it.n_rows as u32 * RATE_ROW)
}

pub(super) fn draw_rates(canvas: &mut Drawing, rates: &[RateLabel], panel: &Panel) {
    for rate in rates.iter().filter(|it| it.row.is_some()) {
        let middle = rate.line_top(panel.top) + RATE_ROW as f32 / 2.0 - 2.0;
        let at = (panel.left as f32 + rate.x + 5.0, RATE.baseline(middle));
        canvas.text(&rate.text, at, Align::Left, RATE);
    }
}

/// Lines of text beside the end of one series.
struct Block<'a> {
    series: &'a Series,
    lines: Vec<String>,
    /// Middle of the first line.
    y: f32,
}

/// Each block beside the end of its line, moved up or down until none overlaps.
fn blocks(panel: &Panel) -> Vec<Block<'_>> {
    let mut blocks: Vec<_> = panel.series.iter().filter_map(|it| block(panel, it)).collect();
    blocks.sort_by(|a, b| a.y.total_cmp(&b.y));
    // From the bottom up, none ends below the plot; then from the top down, none starts above it.
    let mut limit = PLOT_BOTTOM as f32 + LINE / 2.0;
    for block in blocks.iter_mut().rev() {
        block.y = block.y.min(limit - block.lines.len() as f32 * LINE + LINE / 2.0);
        limit = block.y - LINE / 2.0 - BLOCK_GAP;
    }
    let mut limit = panel.top as f32;
    for block in &mut blocks {
        block.y = block.y.max(limit + LINE / 2.0);
        limit = block.y + block.lines.len() as f32 * LINE - LINE / 2.0 + BLOCK_GAP;
    }
    blocks
}

fn block<'a>(panel: &Panel, series: &'a Series) -> Option<Block<'a>> {
    let last = *series.points.last()?;
    let value = |it: f64| format!("{}{}", figure(panel, it), panel.unit);
    let mut lines = vec![series.name.to_owned()];
    match series.best() {
        Some(best) if best == last => lines.push(format!("last and best {}", value(last.1))),
        Some(best) => {
            lines.push(format!("last {}", value(last.1)));
            lines.push(format!("best {} at epoch {}", value(best.1), short(best.0)));
        }
        None => lines.push(format!("last {}", value(last.1))),
    }
    Some(Block { series, lines, y: panel.place(last).1 })
}

/// Losses with three decimals, percentages with one.
fn figure(panel: &Panel, value: f64) -> String {
    match value.abs() {
        it if it >= 1e4 => short(value),
        _ if panel.unit.is_empty() => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// Lines from the ends of the series to their names.
pub(super) fn leaders(panel: &Panel) -> Vec<([Point; 2], Rgb<u8>)> {
    let right = (panel.left + PLOT_WIDTH) as f32;
    let leader = |it: Block<'_>| {
        let end = panel.place(*it.series.points.last()?);
        let from = (end.0.max(right) + 9.0, end.1);
        Some(([from, (right + NAME_LEFT - 5.0, it.y)], it.series.color))
    };
    blocks(panel).into_iter().filter_map(leader).collect()
}

pub(super) fn draw_names(canvas: &mut Drawing, panel: &Panel) {
    let left = (panel.left + PLOT_WIDTH) as f32 + NAME_LEFT;
    for block in blocks(panel) {
        for (idx, line) in block.lines.iter().enumerate() {
            let style = if idx == 0 { Style::bold(NAME_SIZE, block.series.color) } else { VALUE };
            let at = (left, style.baseline(block.y + idx as f32 * LINE));
            canvas.text(line, at, Align::Left, style);
        }
    }
}

#[cfg(test)]
impl RateLabel {
    /// Left end, right end and middle of the text, where it is drawn.
    pub(super) fn area(&self) -> Option<(f32, f32, f32)> {
        let left = self.x + 5.0;
        let middle = self.line_top(0) + RATE_ROW as f32 / 2.0;
        self.row.map(|_| (left, left + text::width(&self.text, RATE), middle))
    }
}

/// Top and bottom of each block of text.
#[cfg(test)]
pub(super) fn name_areas(panel: &Panel) -> Vec<(f32, f32)> {
    let area = |it: Block<'_>| (it.y - LINE / 2.0, it.y + (it.lines.len() as f32 - 0.5) * LINE);
    blocks(panel).into_iter().map(area).collect()
}
