//! `alexnet experiment`: what it says and leaves behind, and that it goes on after a kill as if nothing had been.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs;

use common::{Place, names, same_file, signal, wait_for};
use serde_json::Value;

/// The smallest net that the experiment changes.
const NET: &str = r#"
name = "small"
classes = 2
[augment]
image = 16
crop = 16
flip = false
[training]
batch = 8
rate = 0.01
epochs = 3
schedule = "constant"
[[layer]]
name = "conv1"
type = "conv"
filters = 16
size = 3
init_std = 0.001
[[layer]]
name = "relu1"
type = "relu"
[[layer]]
name = "fc2"
type = "fc"
[[layer]]
name = "softmax"
type = "softmax"
"#;

fn place() -> Place {
    let place = Place::new();
    place.make_data(&["blue", "green", "red"], 24, 4);
    fs::write(place.path("small.toml"), NET).unwrap();
    place
}

fn results(place: &Place, out: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(place.path(out).join("results.json")).unwrap()).unwrap()
}

#[test]
fn relu_and_tanh_are_compared_at_rates_of_their_own() {
    let place = place();
    let command = |seeds| {
        ["experiment", "relu-vs-tanh", "--data", "data", "--net", "small.toml", "--seeds", seeds, "--epochs", "12"]
    };
    let text = place.ok(&command("1"));
    for words in
        ["relu against tanh", "estimate: at most", "search-tanh-rate-0.01", "| tanh / relu |", "comparison.png"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let out = "experiments/relu-vs-tanh";
    let found = results(&place, out);
    let searched = found.iter().filter(|done| done["job"]["search"] == true).count();
    assert!(searched >= 6 && found.len() == searched + 2, "{found:?}");
    // Classes told by their colours are learned before the epochs are over.
    for done in &found[searched..] {
        let history = done["history"].as_array().unwrap();
        assert!(history.last().unwrap()["train_top1"].as_f64().unwrap() <= 0.25 && history.len() < 12, "{done}");
    }
    // More seeds are added to what is there.
    let text = place.ok(&command("2"));
    assert!(!text.contains("search-") && text.contains("relu-seed-2") && !text.contains("--- relu-seed-1"), "{text}");
    assert_eq!(results(&place, out)[..found.len()], found);
    assert!(image::open(place.path(out).join("comparison.png")).unwrap().width() > 1000);
}

#[test]
fn a_killed_experiment_goes_on_as_if_nothing_had_been() {
    let place = place();
    let run = |out| {
        ["experiment", "lrn", "--data", "data", "--net", "tiny16.toml", "--seeds", "2", "--epochs", "2", "--out", out]
    };
    let whole = place.ok(&run("whole"));
    assert!(whole.contains("| no-lrn     | 2 ") && whole.contains("| the paper  |      | +1.4"), "{whole}");
    for until in ["lrn-seed-1/log.jsonl", "lrn-seed-1/last.safetensors", "no-lrn-seed-1/best.safetensors"] {
        let mut child = place.start(&run("killed"));
        wait_for(&place.path("killed").join(until));
        signal(&child, "KILL");
        child.wait().unwrap();
    }
    place.ok(&run("killed"));
    assert_eq!(results(&place, "killed"), results(&place, "whole"));
    for file in ["table.md", "comparison.png", "no-lrn.toml", "no-lrn-seed-2/best.safetensors"] {
        same_file(&place, &format!("killed/{file}"), &format!("whole/{file}"));
    }
    let again = place.ok(&run("whole"));
    assert!(!again.contains("estimate") && !again.contains("---  "), "{again}");
    let error = place
        .fails(1, &["experiment", "lrn", "--data", "data", "--net", "tiny16.toml", "--epochs", "3", "--out", "whole"]);
    assert!(error.contains("begun with --epochs 2"), "{error}");
    let error = place.fails(1, &["experiment", "dropout", "--data", "data", "--net", "small.toml"]);
    assert!(error.contains("small.toml has nothing that experiment dropout changes"), "{error}");
    assert!(!names(&place.path("")).contains(&"experiments".to_string()));
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.ok(&["completions", shell]);
        assert!(script.contains("experiment") && script.contains("relu-vs-tanh"), "{shell}");
    }
}
