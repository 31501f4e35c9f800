//! Ranges, ticks and numbers of an axis.

/// The ends of an axis and the distance of its ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub step: f64,
}

impl Axis {
    /// An axis for values such as losses: ends on ticks, starts at 0 unless the values are far
    /// from it.
    pub(super) fn for_values(values: impl Iterator<Item = f64>, limit: f64) -> Axis {
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |it, value| (it.0.min(value), it.1.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low > 0.0 && low < 0.7 * high {
            low = 0.0;
        }
        if high - low < 1e-3 * high.abs() || high == low {
            // A single value, or a flat line, lies in the middle.
            let margin = if high == 0.0 { 0.5 } else { 0.05 * high.abs() };
            (low, high) = (low - margin, high + margin);
        }
        let step = step(high - low, 6.0);
        let low = (low / step).floor() * step;
        Axis { low, high: ((high / step).ceil() * step).min(limit), step }
    }

    /// An axis for epochs, which ends at the last one.
    pub(super) fn for_epochs(first: f64, last: f64) -> Axis {
        let low = if first > 0.5 * last && first < last { first.floor() } else { first.min(0.0) };
        let high = if last > low { last } else { low + 1.0 };
        let range = high - low;
        // Whole epochs, unless there is only a part of one.
        let step = step(range, 9.0).max(if range < 1.0 { 0.0 } else { 1.0 });
        Axis { low, high, step }
    }

    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step).ceil();
        let n_ticks = (self.high / self.step + 1e-9 - first).floor().clamp(0.0, 20.0) as u32;
        // A value and not a sum of steps, so that 0.3 is not 0.30000000000000004.
        (0..=n_ticks).map(move |it| (first + f64::from(it)) * self.step)
    }

    /// The text of a tick: as many decimals as the step has.
    pub(super) fn text(self, tick: f64) -> String {
        if self.low.abs().max(self.high.abs()) >= 1e5 {
            return minus(&format!("{tick:.1e}"));
        }
        let decimals = (-self.step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
        minus(&format!("{:.decimals$}", if tick == 0.0 { 0.0 } else { tick }))
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that makes at most `max_ticks` steps of `range`.
fn step(range: f64, max_ticks: f64) -> f64 {
    let power = 10f64.powf((range / max_ticks).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|it| it * power);
    steps.into_iter().find(|it| range / it <= max_ticks + 1e-9).unwrap_or(10.0 * power)
}

fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// A number with three significant digits, or those before the point if they are more, and no
/// trailing zeros behind it; tiny and huge ones as `1e−5`.
pub(super) fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded != 0.0 && (rounded.abs() < 1e-4 || rounded.abs() >= 1e5) {
        return minus(&format!("{rounded:e}"));
    }
    if rounded.abs() >= 100.0 {
        // An epoch such as 1234 keeps all its digits.
        return minus(&format!("{value:.0}"));
    }
    minus(&rounded.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: Axis) -> Vec<String> {
        axis.ticks().map(|it| axis.text(it)).collect()
    }

    fn values(values: &[f64], limit: f64) -> Vec<String> {
        ticks(Axis::for_values(values.iter().copied(), limit))
    }

    #[test]
    fn losses_and_errors() {
        assert_eq!(values(&[2.3, 0.4], f64::INFINITY), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(values(&[6.9, 1.7], f64::INFINITY), ["0", "2", "4", "6", "8"]);
        assert_eq!(values(&[99.8, 38.1], 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(values(&[99.9, 97.7], 100.0), ["97.5", "98.0", "98.5", "99.0", "99.5", "100.0"]);
        assert_eq!(values(&[], 100.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn unusual_values_have_few_ticks() {
        for it in [&[0.0][..], &[-1.0, 4.0], &[1e9, 1.0], &[1e-12], &[100.0, 100.0], &[-3.0]] {
            let texts = values(it, f64::INFINITY);
            assert!((2..=9).contains(&texts.len()), "{it:?}: {texts:?}");
            let mut distinct = texts.clone();
            distinct.dedup();
            assert!(distinct.len() == texts.len() || it == [1e-12], "{texts:?}");
        }
    }

    #[test]
    fn epochs() {
        assert_eq!(ticks(Axis::for_epochs(1.0, 90.0)).last().map(String::as_str), Some("90"));
        assert_eq!(ticks(Axis::for_epochs(1.0, 2.0)), ["0", "1", "2"]);
        assert_eq!(ticks(Axis::for_epochs(1.0, 5.0)), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(ticks(Axis::for_epochs(60.0, 66.0)), ["60", "61", "62", "63", "64", "65", "66"]);
        assert!(ticks(Axis::for_epochs(0.0, 0.0)).len() > 1);
        assert!(ticks(Axis::for_epochs(7.0, 7.0)).len() > 1);
    }

    #[test]
    fn short_numbers() {
        let texts = [0.01, 0.001_000_000_2, 0.01 / 1000.0, 2.306, 0.0, 18.34, 74.0, 1234.0].map(short);
        assert_eq!(texts, ["0.01", "0.001", "1e−5", "2.31", "0", "18.3", "74", "1234"]);
    }
}
