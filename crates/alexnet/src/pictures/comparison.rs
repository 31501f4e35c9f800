//! One number over the epochs of several runs of two nets.

use std::path::Path;

use image::Rgb;

use super::axis::{Axis, short};
use super::drawing::{Drawing, Point, Shape};
use super::text::{self, Align, Style};
use super::{BLUE, Error, FAINT, GREY, INK, VERMILLION};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 760;
const LEFT: f32 = 90.5;
const RIGHT: f32 = 930.5;
const TOP: f32 = 116.5;
const BOTTOM: f32 = 680.5;
/// Widths of lines: of a mean, of a single run.
const MEAN: f32 = 3.0;
const RUN: f32 = 1.0;
/// Pixels of a dash and of the gap behind it: the second net's lines are told apart without colours.
const DASH: [f32; 2] = [14.0, 9.0];
const LINE: f32 = 20.0;

const TITLE: Style = Style::bold(23.0, INK);
const PANEL: Style = Style::bold(17.0, INK);
const TICK: Style = Style::regular(15.0, INK);

/// The runs of one net.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What it is called.
    pub name: String,
    /// One value for each epoch of each run, from the first on.
    pub runs: Vec<Vec<f64>>,
}

/// A value that is marked.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// The value.
    pub value: f64,
    /// What it is called.
    pub name: &'static str,
}

impl Arm {
    /// The mean of the runs, as far as all of them go.
    fn mean(&self) -> Vec<f64> {
        let epochs = self.runs.iter().map(Vec::len).min().unwrap_or(0);
        let at = |epoch: usize| self.runs.iter().map(|run| run[epoch]).sum::<f64>() / self.runs.len() as f64;
        (0..epochs).map(at).collect()
    }
}

/// Draws the runs of two nets: each run as a thin line, their mean as a thick one; those of the second net are dashed.
/// The mean ends where the first of its runs ends.
///
/// # Errors
/// No values, or a file that cannot be written.
pub fn comparison(arms: &[Arm; 2], title: &str, axis: &str, level: Option<Level>, path: &Path) -> Result<(), Error> {
    let values = || arms.iter().flat_map(|arm| arm.runs.iter().flatten()).copied().filter(|value| value.is_finite());
    let epochs = arms.iter().flat_map(|arm| arm.runs.iter().map(Vec::len)).max().unwrap_or(0);
    if values().next().is_none() {
        return Err(Error::Empty { path: path.to_owned(), what: "epochs" });
    }
    let x = Axis::for_epochs(1.0, epochs as f64);
    let y = Axis::for_values(values().chain(level.map(|level| level.value)), 100.0);
    let frame = Frame { x, y };
    let mut canvas = Drawing::new(WIDTH.into(), HEIGHT.into(), path)?;
    frame.draw_lines(&mut canvas, arms, level);
    let title = text::fit(title, TITLE, (WIDTH - 72) as f32);
    canvas.text(&title, (36.0, 46.0), Align::Left, TITLE);
    canvas.text(axis, (36.0, 92.0), Align::Left, PANEL);
    frame.draw_texts(&mut canvas, level);
    frame.draw_names(&mut canvas, arms);
    canvas.save(path)
}

struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn place(&self, (epoch, value): (f64, f64)) -> Point {
        let across = (epoch - self.x.low) / (self.x.high - self.x.low);
        let up = (value - self.y.low) / (self.y.high - self.y.low);
        (LEFT + across as f32 * (RIGHT - LEFT), BOTTOM - up as f32 * (BOTTOM - TOP))
    }

    /// The line of values, cut where one is not finite.
    fn lines(&self, values: &[f64]) -> Vec<Vec<Point>> {
        let points: Vec<(f64, f64)> = (1..).map(f64::from).zip(values.iter().copied()).collect();
        let parts = points.split(|point| !point.1.is_finite()).filter(|part| !part.is_empty());
        parts.map(|part| part.iter().map(|&point| self.place(point)).collect()).collect()
    }

    fn draw_lines(&self, canvas: &mut Drawing, arms: &[Arm; 2], level: Option<Level>) {
        for tick in self.y.ticks() {
            let y = self.place((self.x.low, tick)).1.floor() + 0.5;
            stroke(canvas, vec![(LEFT, y), (RIGHT, y)], FAINT, RUN);
        }
        for tick in self.x.ticks() {
            let x = self.place((tick, self.y.low)).0.floor() + 0.5;
            stroke(canvas, vec![(x, BOTTOM), (x, BOTTOM + 6.0)], GREY, RUN);
        }
        if let Some(level) = level {
            let y = self.place((self.x.low, level.value)).1.floor() + 0.5;
            stroke(canvas, vec![(LEFT, y), (RIGHT, y)], GREY, RUN);
        }
        stroke(canvas, vec![(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], GREY, RUN);
        for ((arm, color), dashed) in arms.iter().zip(COLORS).zip([false, true]) {
            let runs = arm.runs.iter().map(|run| (run.clone(), pale(color), RUN));
            for (values, color, width) in runs.chain([(arm.mean(), color, MEAN)]) {
                for line in self.lines(&values) {
                    let parts = if dashed { dashes(&line) } else { vec![line] };
                    parts.into_iter().for_each(|part| stroke(canvas, part, color, width));
                }
            }
        }
    }

    fn draw_texts(&self, canvas: &mut Drawing, level: Option<Level>) {
        for tick in self.y.ticks() {
            let at = (LEFT - 10.0, TICK.baseline(self.place((self.x.low, tick)).1));
            canvas.text(&self.y.text(tick), at, Align::Right, TICK);
        }
        for tick in self.x.ticks() {
            let at = (self.place((tick, self.y.low)).0, BOTTOM + 26.0);
            canvas.text(&self.x.text(tick), at, Align::Center, TICK);
        }
        canvas.text("epoch", ((LEFT + RIGHT) / 2.0, BOTTOM + 52.0), Align::Center, TICK);
        if let Some(level) = level {
            // At the left, where lines of errors are far above it.
            let at = (LEFT + 8.0, self.place((self.x.low, level.value)).1 - 7.0);
            canvas.text(level.name, at, Align::Left, Style::regular(15.0, GREY));
        }
    }

    /// The names of the nets, beside the ends of their lines or below each other.
    fn draw_names(&self, canvas: &mut Drawing, arms: &[Arm; 2]) {
        let mut names: Vec<(f32, &Arm, Rgb<u8>, f64)> = Vec::new();
        for (arm, color) in arms.iter().zip(COLORS) {
            if let Some(&last) = arm.mean().last().filter(|last| last.is_finite()) {
                names.push((self.place((self.x.low, last)).1, arm, color, last));
            }
        }
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut limit = TOP;
        for (y, arm, color, last) in names {
            let y = y.min(BOTTOM - 2.0 * LINE).max(limit);
            let value = match arm.runs.len() {
                1 => format!("{} (1 run)", short(last)),
                runs => format!("{} (mean of {runs} runs)", short(last)),
            };
            let style = Style::bold(17.0, color);
            let name = text::fit(&arm.name, style, WIDTH as f32 - RIGHT - 30.0);
            canvas.text(&name, (RIGHT + 16.0, style.baseline(y)), Align::Left, style);
            canvas.text(&value, (RIGHT + 16.0, TICK.baseline(y + LINE)), Align::Left, TICK);
            limit = y + 2.5 * LINE;
        }
    }
}

const COLORS: [Rgb<u8>; 2] = [BLUE, VERMILLION];

fn stroke(canvas: &mut Drawing, points: Vec<Point>, color: Rgb<u8>, width: f32) {
    canvas.shapes.push(Shape::Line { points, width, color });
}

/// A colour half way to white.
fn pale(color: Rgb<u8>) -> Rgb<u8> {
    Rgb(color.0.map(|value| value / 2 + 128))
}

/// A line cut into dashes.
fn dashes(line: &[Point]) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = Vec::new();
    // Whether the pen is down, and the pixels until that changes.
    let (mut down, mut left) = (true, DASH[0]);
    let mut part = line.first().map_or(Vec::new(), |&first| vec![first]);
    for ends in line.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length < left {
                left -= length;
                break;
            }
            let share = left / length.max(f32::MIN_POSITIVE);
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if down {
                part.push(from);
                parts.push(std::mem::take(&mut part));
            } else {
                part = vec![from];
            }
            down = !down;
            left = DASH[usize::from(!down)];
        }
        if down {
            part.push(to);
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_have_their_lengths_around_corners() {
        let parts = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 40.0)]);
        assert_eq!(parts[0], [(0.0, 0.0), (10.0, 0.0), (10.0, 4.0)]);
        assert_eq!(parts[1], [(10.0, 13.0), (10.0, 27.0)]);
        assert_eq!(parts[2], [(10.0, 36.0), (10.0, 40.0)]);
        assert!(dashes(&[]).is_empty());
    }

    #[test]
    fn a_mean_goes_as_far_as_all_runs() {
        let arm = Arm { name: "relu".to_string(), runs: vec![vec![4.0, 2.0, 1.0], vec![2.0, 1.0]] };
        assert_eq!(arm.mean(), [3.0, 1.5]);
    }

    #[test]
    fn both_nets_are_seen_in_their_colours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("comparison.png");
        let arm = |name: &str, runs: Vec<Vec<f64>>| Arm { name: name.to_string(), runs };
        let arms = [
            arm("relu", vec![vec![60.0, 30.0, 20.0], vec![61.0, 33.0]]),
            arm("tanh", vec![vec![70.0, f64::NAN, 50.0, 48.0], vec![]]),
        ];
        comparison(&arms, "title", "error", Some(Level { value: 25.0, name: "25 %" }), &path).unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        let count = |color: Rgb<u8>| image.pixels().filter(|pixel| **pixel == color).count();
        assert!(count(BLUE) > 500, "{}", count(BLUE));
        // The second net has single runs only: thin, and mixed with white.
        assert!(image.pixels().any(|pixel| pixel.0[0] > 230 && pixel.0[2] < 170));
        let none = [arm("a", vec![]), arm("b", vec![vec![f64::NAN]])];
        assert!(comparison(&none, "", "", None, &path).unwrap_err().to_string().contains("nothing to draw"));
    }
}
