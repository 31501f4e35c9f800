//! `eval --save-probabilities`, `ensemble` and `submit` as people call them, on two networks for the demo set.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

#[path = "common/words.rs"]
mod words;

use std::fs;
use words::{bad, good};

/// The loss on the line that contains `mark`.
fn loss(text: &str, mark: &str) -> f64 {
    let line = text.lines().find(|line| line.contains(mark)).unwrap();
    line.split("loss ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn two_networks_are_averaged_and_submitted() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for (name, steps, seed) in [("a", 80, 1), ("b", 40, 2)] {
        good(folder, &format!("train --max-steps {steps} --seed {seed} --out {name}"));
        good(folder, &format!("eval --model {name} --save-probabilities {name}.p"));
    }
    let text = good(folder, "ensemble a.p b.p --search --out both.p");
    let found = loss(&text, "these same images");
    assert!(found <= loss(&text, " a.p") && found <= loss(&text, " b.p"), "{text}");
    assert!(found <= loss(&text, "average over 2,000 images"), "{text}");
    assert!(text.contains("other half of the images"), "{text}");

    good(folder, "submit both.p");
    let text = fs::read_to_string(folder.join("submission.txt")).unwrap();
    assert_eq!(text.lines().count(), 2000);
    for line in text.lines() {
        let mut labels: Vec<usize> = line.split(' ').map(|label| label.parse().unwrap()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert!(labels.len() == 5 && labels.iter().all(|label| (1..=10).contains(label)), "{line}");
    }

    bad(folder, "ensemble a.p nowhere.p", "cannot read nowhere.p");
    bad(folder, "ensemble a.p a/last.safetensors", "no file of `eval --save-probabilities`");
    let whole = fs::read(folder.join("a.p")).unwrap();
    fs::write(folder.join("cut.p"), &whole[..whole.len() / 2]).unwrap();
    bad(folder, "ensemble a.p cut.p", "cut.p is no file");
    bad(folder, "submit both.p --classes submission.txt", "submission.txt does not fit the classes");
    bad(folder, "submit both.p --out nowhere/x.txt", "cannot write nowhere/x.txt");
}
