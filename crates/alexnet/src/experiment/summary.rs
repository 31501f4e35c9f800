//! What an experiment found: a table with the paper's figures beside ours.

use std::fmt;

use super::{Done, Experiment, GOAL, epochs_to};
use crate::checkpoint::EpochRecord;

/// Mean and spread of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of one of them; none of a single one.
    pub deviation: Option<f64>,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// Of numbers; none of none.
    pub fn of(numbers: &[f64]) -> Option<Spread> {
        let count = numbers.len();
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        (count > 0).then_some(Spread { mean, deviation, count })
    }

    /// How far this mean is above another, with its standard error.
    fn above(&self, other: &Spread) -> Spread {
        let variance = |it: &Spread| it.deviation.map(|deviation| deviation.powi(2) / it.count as f64);
        let deviation = variance(self).zip(variance(other)).map(|(a, b)| (a + b).sqrt());
        Spread { mean: self.mean - other.mean, deviation, count: self.count.min(other.count) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(1);
        match f.sign_plus() {
            true => write!(f, "{:+.decimals$}", self.mean)?,
            false => write!(f, "{:.decimals$}", self.mean)?,
        }
        self.deviation.map_or(Ok(()), |deviation| write!(f, " ± {deviation:.decimals$}"))
    }
}

/// The runs of one arm, without those that searched.
fn of_arm<'a>(done: &'a [Done], arm: &str) -> Vec<&'a Done> {
    done.iter().filter(|done| done.job.arm == arm && !done.job.search).collect()
}

/// The table of an experiment in Markdown, with a sentence on how to read it.
pub fn table(experiment: Experiment, done: &[Done], classes: usize) -> String {
    let (header, mut rows, reading) = match experiment {
        Experiment::ReluVsTanh => speeds(experiment, done, classes),
        _ => errors(experiment, done),
    };
    rows.insert(0, header);
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    lines.insert(1, line(&rule));
    format!("{}\n\n{reading}\n", lines.join("\n"))
}

type Table = (Vec<String>, Vec<Vec<String>>, String);

fn words<const N: usize>(row: [&str; N]) -> Vec<String> {
    row.map(str::to_string).to_vec()
}

fn speeds(experiment: Experiment, done: &[Done], classes: usize) -> Table {
    let mut rows = Vec::new();
    let mut means = Vec::new();
    for arm in experiment.arms() {
        let runs = of_arm(done, arm);
        let reached: Vec<f64> = runs.iter().filter_map(|run| epochs_to(GOAL, &run.history, classes)).collect();
        let spread = Spread::of(&reached);
        let rate = runs.first().and_then(|run| run.job.rate).map_or(String::new(), |rate| rate.to_string());
        let epochs = match spread {
            Some(spread) if reached.len() == runs.len() => format!("{spread:.1}"),
            _ => {
                let most = runs.iter().map(|run| run.job.epochs).max().unwrap_or(0);
                format!("over {most} in {} of {} runs", runs.len() - reached.len(), runs.len())
            }
        };
        // A mean of those that got there would flatter the arm.
        means.push(spread.filter(|_| reached.len() == runs.len()));
        rows.push(vec![arm.to_string(), runs.len().to_string(), rate, epochs]);
    }
    let factor = match means[..] {
        [Some(relu), Some(tanh)] => format!("{:.1}", tanh.mean / relu.mean),
        _ => "not known".to_string(),
    };
    rows.push(words(["tanh / relu", "", "", &factor]));
    rows.push(words(["the paper", "", "", "6"]));
    let reading = format!(
        "± is the standard deviation over seeds. Training error is that of an epoch's own steps; rates are those with \
         the lowest after a short search. The paper: {}.",
        experiment.claim().source
    );
    (
        vec!["net".to_string(), "runs".to_string(), "rate".to_string(), format!("epochs to {:.0} %", 100.0 * GOAL)],
        rows,
        reading,
    )
}

fn errors(experiment: Experiment, done: &[Done]) -> Table {
    let mut rows = Vec::new();
    let mut arms: Vec<[Option<Spread>; 3]> = Vec::new();
    for arm in experiment.arms() {
        let runs = of_arm(done, arm);
        let ends: Vec<_> = runs.iter().filter(|run| !run.diverged).filter_map(|run| run.history.last()).collect();
        let of =
            |value: fn(&EpochRecord) -> f64| Spread::of(&ends.iter().map(|end| 100.0 * value(end)).collect::<Vec<_>>());
        let spreads = [of(|end| end.val_top1), of(|end| end.val_top5), of(|end| end.train_top1)];
        let mut row = vec![arm.to_string(), ends.len().to_string()];
        row.extend(spreads.iter().map(|spread| spread.map_or(String::new(), |spread| format!("{spread:.1}"))));
        rows.push(row);
        arms.push(spreads);
    }
    let differences = [0, 1, 2].map(|column| Some(arms[1][column]?.above(&arms[0][column]?)));
    let mut row = words(["difference", ""]);
    row.extend(differences.iter().map(|it| it.map_or(String::new(), |difference| format!("{difference:+.1}"))));
    rows.push(row);
    let [top1, top5] = experiment.claim().differences;
    rows.push(words(["the paper", "", top1, top5, ""]));
    let weight = match differences[0].and_then(|it| Some((it.mean.abs(), it.deviation?))) {
        Some((mean, error)) if mean < 2.0 * error => {
            " The difference in top-1 is less than two standard errors: these runs do not tell the nets apart."
        }
        _ => "",
    };
    let reading = format!(
        "Percent, after the last epoch, centre crops; ± is the standard deviation over seeds, of the difference its \
         standard error.{weight} The paper: {}.",
        experiment.claim().source
    );
    (words(["net", "runs", "top-1 error", "top-5 error", "training error"]), rows, reading)
}

#[cfg(test)]
mod tests {
    use super::super::Job;
    use super::super::tests::history;
    use super::*;

    fn done(arm: &str, seed: u64, errors: &[f64]) -> Done {
        let job = Job { arm: arm.to_string(), search: false, rate: Some(0.01), seed, epochs: 9 };
        Done { job, history: history(errors), diverged: false }
    }

    #[test]
    fn spreads() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.mean, spread.deviation, spread.count), (2.0, Some(1.0), 3));
        assert_eq!(format!("{spread:.2} {spread:+.0}"), "2.00 ± 1.00 +2 ± 1");
        assert_eq!(Spread::of(&[4.0]).unwrap().to_string(), "4.0");
        assert_eq!(Spread::of(&[]), None);
        // Two means of three numbers each with deviation 1: sqrt(1/3 + 1/3).
        let above = Spread::of(&[4.0, 5.0, 6.0]).unwrap().above(&spread);
        assert_eq!(format!("{above:+.2}"), "+3.00 ± 0.82");
    }

    #[test]
    fn speeds_are_compared_with_figure_1() {
        let runs = [
            done("relu", 1, &[0.6, 0.25]),
            done("relu", 2, &[0.6, 0.25]),
            done("tanh", 1, &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25]),
        ];
        let text = table(Experiment::ReluVsTanh, &runs, 10);
        assert!(text.contains("| relu        | 2    | 0.01 | 2.0 ± 0.0"), "{text}");
        assert!(text.contains("| tanh / relu |      |      | 4.0"), "{text}");
        let text = table(Experiment::ReluVsTanh, &[runs[0].clone(), done("tanh", 1, &[0.9])], 10);
        assert!(text.contains("over 9 in 1 of 1 runs") && text.contains("not known"), "{text}");
    }

    #[test]
    fn errors_are_compared_with_the_paper() {
        let runs = [("lrn", 1, 0.10), ("lrn", 2, 0.12), ("no-lrn", 1, 0.20), ("no-lrn", 2, 0.22)];
        let runs: Vec<Done> = runs.map(|(arm, seed, error)| done(arm, seed, &[0.9, error])).to_vec();
        let text = table(Experiment::Lrn, &runs, 10);
        assert!(text.contains("| lrn        | 2    | 11.0 ± 1.4"), "{text}");
        assert!(text.contains("| difference |      | +10.0 ± 1.4"), "{text}");
        assert!(text.contains("| the paper  |      | +1.4") && !text.contains("apart"), "{text}");
        let same: Vec<Done> =
            ["lrn", "no-lrn"].iter().flat_map(|arm| [done(arm, 1, &[0.1]), done(arm, 2, &[0.2])]).collect();
        assert!(table(Experiment::Lrn, &same, 10).contains("do not tell the nets apart"));
    }
}
