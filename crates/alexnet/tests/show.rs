//! `alexnet show`: each picture as PNG and as SVG, and what it says about bad input.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs;

use common::Place;

#[test]
fn everything_is_shown_in_both_formats() {
    let place = Place::new();
    place.make_data(&["apple", "R&D <x>", "zebra"], 40, 8);
    place.ok(&["train", "--net", "tiny16.toml", "--data", "data", "--epochs", "2"]);
    for what in ["filters", "curves", "predictions", "confusion"] {
        let out = place.ok(&["show", what]);
        assert!(out.ends_with(&format!("picture: {what}.png\n")), "{out}");
        let drawn = image::open(place.path(&format!("{what}.png"))).unwrap();
        let svg = format!("{what}.svg");
        place.ok(&["show", what, "--model", "runs/tiny-1", "--out", &svg]);
        let text = fs::read_to_string(place.path(&svg)).unwrap();
        let size = format!("width=\"{}\" height=\"{}\"", drawn.width(), drawn.height());
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n") && text.contains(&size), "{what}: {text}");
    }
    // Pictures of a run are what `show` draws of its last epoch.
    place.ok(&["show", "curves", "--out", "again.png"]);
    common::same_file(&place, "again.png", "runs/tiny-1/curves.png");
    place.ok(&["show", "filters", "--model", "runs/tiny-1/last.safetensors", "--out", "again.png"]);
    common::same_file(&place, "again.png", "runs/tiny-1/filters.png");
    place.ok(&["show", "predictions", "--model", "runs/tiny-1/last.safetensors", "--out", "again.png"]);
    common::same_file(&place, "again.png", "runs/tiny-1/predictions.png");

    let text = fs::read_to_string(place.path("confusion.svg")).unwrap();
    assert!(text.contains("R&amp;D &lt;x&gt;") && !text.contains("<x>"), "{text}");
    // All images are in the matrix.
    let eval = place.ok(&["eval"]);
    let confusion = place.ok(&["show", "confusion"]);
    let figure = |text: &str| text.split("rror ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    assert!((figure(&eval) - figure(&confusion)).abs() < 0.06, "{eval}{confusion}");
}

/// What the end of a training says, and the same as JSON.
#[test]
fn colours_of_towers_are_said_and_written() {
    let place = Place::new();
    place.make_data(&["a", "b"], 8, 2);
    let trained = place.ok(&["train", "--net", "tiny16.toml", "--data", "data", "--epochs", "1"]);
    let line = trained.lines().find(|line| line.starts_with("colour in the first kernels")).unwrap();
    let shown =
        place.ok(&["show", "specialisation", "--model", "runs/tiny-1/last.safetensors", "--json", "colours.json"]);
    assert_eq!(shown, format!("{line}\nshares: colours.json\n"));
    let written: serde_json::Value = serde_json::from_slice(&fs::read(place.path("colours.json")).unwrap()).unwrap();
    assert_eq!((&written["layer"], written["net"].as_str().is_some()), (&"conv1".into(), true));
    let shares: Vec<f64> = written["colour"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    assert_eq!(shares.len(), 2);
    for (tower, share) in shares.iter().enumerate() {
        assert!(line.contains(&format!("tower {} {:.1} %", tower + 1, share * 100.0)), "{line}: {shares:?}");
    }
}

#[test]
fn what_cannot_be_shown_is_said() {
    let place = Place::new();
    assert!(place.fails(1, &["show", "filters"]).contains("no trained network in runs/"));
    let error = place.fails(2, &["show", "filters", "--out", "a.jpg"]);
    assert!(error.contains("a.jpg") && error.contains("ends in .png or .svg"), "{error}");
    fs::write(place.path("x.safetensors"), "x").unwrap();
    assert!(place.fails(1, &["show", "confusion", "--model", "x.safetensors"]).contains("x.safetensors"));
    place.ok(&["train", "--net", "tiny.toml", "--max-steps", "1", "--out", "run"]);
    assert!(place.fails(1, &["show", "curves", "--model", "run"]).contains("no epoch that is done"));
    let nowhere = ["show", "specialisation", "--model", "run", "--json", "nowhere/a.json"];
    assert!(place.fails(1, &nowhere).contains("nowhere/a.json"));
    place.make_data(&["a", "b"], 2, 1);
    let error = place.fails(1, &["show", "predictions", "--model", "run", "--data", "data"]);
    assert!(error.contains("data data has 2 classes"), "{error}");
    let error = place.fails(1, &["show", "filters", "--model", "run", "--out", "nowhere/a.svg"]);
    assert!(error.contains("nowhere/a.svg"), "{error}");
}
