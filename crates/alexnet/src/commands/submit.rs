//! `alexnet submit`: the text file of a contest, five labels from 1 for each image.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cli::SubmitArgs;
use crate::console::{say, thousands};
use crate::evaluate::best;
use crate::output::{check_place, write_whole};
use crate::probabilities::Probabilities;

/// Labels of an image.
const LABELS: usize = 5;

/// Runs the command.
///
/// # Errors
/// When the probabilities or the list of classes cannot be read, or do not go together.
pub fn run(args: &SubmitArgs) -> Result<()> {
    check_place(&args.out)?;
    let probabilities = Probabilities::read(&args.probabilities)?;
    let classes = &probabilities.classes;
    if classes.len() < LABELS {
        bail!("{} has {} classes, expected at least {LABELS}", args.probabilities.display(), classes.len());
    }
    let numbers = match &args.classes {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {} as text", path.display()))?;
            numbers(&text, classes).with_context(|| format!("{} does not fit the classes", path.display()))?
        }
        None => (1..=classes.len()).collect(),
    };
    let text = lines(&probabilities, &numbers)?;
    write_whole(&args.out, text.as_bytes())?;
    say(format_args!(
        "{}: {LABELS} labels from 1 to {} for each of {} images, by file name",
        args.out.display(),
        numbers.iter().max().unwrap_or(&0),
        thousands(probabilities.images.len())
    ));
    Ok(())
}

/// The number of each class: that of the line on which it is the first word.
fn numbers(text: &str, classes: &[String]) -> Result<Vec<usize>> {
    let mut lines = HashMap::new();
    for (line, word) in
        text.lines().enumerate().filter_map(|(line, text)| Some((line, text.split_whitespace().next()?)))
    {
        if let Some(before) = lines.insert(word, line + 1) {
            bail!("lines {before} and {} both name {word}", line + 1);
        }
    }
    let number = |class: &String| lines.get(class.as_str()).copied().with_context(|| format!("no line names {class}"));
    classes.iter().map(number).collect()
}

/// A line for each image, in the order of the images' file names.
fn lines(probabilities: &Probabilities, numbers: &[usize]) -> Result<String> {
    let file = |image: &usize| Path::new(&probabilities.images[*image]).file_name();
    let mut order: Vec<usize> = (0..probabilities.images.len()).collect();
    order.sort_by(|a, b| file(a).cmp(&file(b)));
    if let Some(pair) = order.windows(2).find(|pair| file(&pair[0]) == file(&pair[1])) {
        let [a, b] = [pair[0], pair[1]].map(|image| &probabilities.images[image]);
        bail!("{a} and {b} have the same file name, so that the order of the lines is unknown");
    }
    let mut text = String::new();
    for image in order {
        let labels: Vec<String> =
            best(probabilities.row(image)).take(LABELS).map(|class| numbers[class].to_string()).collect();
        let _ = writeln!(text, "{}", labels.join(" ")); // a String takes everything
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_order_of_the_file_names_and_labels_start_at_1() {
        let probabilities = Probabilities {
            classes: ["c1", "c2", "c3", "c4", "c5", "c6"].map(String::from).to_vec(),
            images: ["val/c2/2.jpg", "val/c6/1.jpg"].map(String::from).to_vec(),
            labels: vec![1, 5],
            values: vec![0.1, 0.5, 0.2, 0.05, 0.05, 0.1, 0.01, 0.02, 0.03, 0.04, 0.05, 0.85],
        };
        assert_eq!(lines(&probabilities, &[1, 2, 3, 4, 5, 6]).unwrap(), "6 5 4 3 2\n2 3 1 6 4\n");
        let numbers = numbers("c6 60\nc5\nc4 x y\nc3\nc2\nc1\n", &probabilities.classes).unwrap();
        assert_eq!(lines(&probabilities, &numbers).unwrap(), "1 2 3 4 5\n5 4 6 1 3\n");
    }

    #[test]
    fn names_that_decide_nothing_are_refused() {
        let classes = ["a", "b"].map(String::from);
        assert!(numbers("a\n", &classes).unwrap_err().to_string().contains("no line names b"));
        assert!(numbers("a\nb\na\n", &classes).unwrap_err().to_string().contains("lines 1 and 3"));
        let images = ["a/1.jpg", "b/1.jpg"].map(String::from).to_vec();
        let twice = Probabilities { images, ..Probabilities::default() };
        assert!(lines(&twice, &[]).unwrap_err().to_string().contains("same file name"));
    }
}
