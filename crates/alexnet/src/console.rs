//! What people read: lines, progress bars, and numbers as they are spoken.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The bar that is on the terminal: lines are printed above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Prints a line to standard output. A reader that has gone away is no reason to stop.
pub fn say(line: impl fmt::Display) {
    above_bar(|| {
        let _ = writeln!(io::stdout().lock(), "{line}");
    });
}

/// Prints a warning to standard error.
pub fn warn(line: impl fmt::Display) {
    above_bar(|| {
        let _ = writeln!(io::stderr().lock(), "warning: {line}");
    });
}

fn above_bar(print: impl FnOnce()) {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Progress of something that is counted: a bar on a terminal, a line every few seconds elsewhere.
#[derive(Debug)]
pub struct Progress {
    label: String,
    len: usize,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Starts at 0 of `len`.
    pub fn start(label: impl Into<String>, len: usize) -> Progress {
        let label = label.into();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(len as u64);
            let template = "{prefix} {wide_bar:.green/dim} {pos}/{len} {msg}";
            let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("━╸─"));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(label.clone());
            bar.tick();
            *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
            bar
        });
        Progress { label, len, bar, last_line: Mutex::new(Instant::now()) }
    }

    /// Says that `done` are done. `message` is asked only when it is shown.
    pub fn set(&self, done: usize, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.set_position(done as u64);
            return;
        }
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_INTERVAL {
            *last = Instant::now();
            say(format_args!("{} {done}/{} {}", self.label, self.len, message()));
        }
    }

    /// Whether there is room for long messages.
    pub fn is_wide(&self) -> bool {
        self.bar.is_none() || ::console::Term::stderr().size().1 >= 120
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
            bar.finish_and_clear();
        }
    }
}

/// A whole number with its thousands apart: `60,965,224`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time: `0:07`, `12:30`, `3:05:00`, `2d 04:00`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60),
        _ => format!("{days}d {:02}:{:02}", hours % 24, minutes % 60),
    }
}

/// A fraction as percent with one decimal: `14.2`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1}", fraction * 100.0)
}

/// A number of bytes: `490 MB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..=999 => format!("{count} bytes"),
        1_000..=999_999 => format!("{:.0} kB", count as f64 / 1e3),
        1_000_000..=9_999_999 => format!("{:.1} MB", count as f64 / 1e6),
        10_000_000..=999_999_999 => format!("{:.0} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// How a person starts this program: through cargo when cargo started it.
pub fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run -p alexnet --" } else { "alexnet" }
}

/// A path as an argument that a shell takes unchanged.
pub fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spoken() {
        assert_eq!([0, 999, 1000, 60_965_224].map(thousands), ["0", "999", "1,000", "60,965,224"]);
        let spoken = [7, 750, 11_100, 187_200].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(spoken, ["0:07", "12:30", "3:05:00", "2d 04:00"]);
        assert_eq!([12, 1_200, 5_660_000, 490_000_000].map(bytes), ["12 bytes", "1 kB", "5.7 MB", "490 MB"]);
        assert_eq!(percent(0.1417), "14.2");
    }

    #[test]
    fn odd_paths_are_quoted() {
        let spoken = ["runs/mini-1", "a b", "it's"].map(|path| quoted(path.as_ref()));
        assert_eq!(spoken, ["runs/mini-1", "'a b'", r"'it'\''s'"]);
    }
}
