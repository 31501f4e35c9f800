//! What training writes for TensorBoard is what TensorBoard reads, in a run that went on from an earlier checkpoint too.
//!
//! TensorBoard is Python's, and may not be there: `ALEXNET_PYTHON` names another interpreter.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::process::Command;

use common::{Place, log};

#[test]
fn tensorboard_reads_what_the_log_has() {
    let python = std::env::var_os("ALEXNET_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let has = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        // Past the capture, so that it is seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} has no tensorboard", python.display());
        return;
    }
    let place = Place::new();
    place.ok(&["train", "--net", "tiny.toml", "--batch", "100", "--max-steps", "60", "--out", "run"]);
    let last = place.path("run/last.safetensors");
    fs::copy(&last, place.path("earlier")).unwrap();
    place.ok(&["train", "--resume", "run", "--max-steps", "140"]);
    // As if the machine had lost what it wrote last: steps 61 to 140 come again.
    fs::rename(place.path("earlier"), &last).unwrap();
    place.ok(&["train", "--resume", "run", "--max-steps", "100"]);

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/read_events.py");
    let output = Command::new(&python).arg(script).arg(place.path("run")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scalars: BTreeMap<String, Vec<(u64, f64)>> = serde_json::from_slice(&output.stdout).unwrap();
    let log = log(&place.path("run"));
    for (tag, kind) in [("loss/step", "step"), ("loss/validation", "epoch")] {
        let mut expected: Vec<u64> = Vec::new();
        for line in &log {
            let step = line["steps"].as_u64().unwrap();
            match line["kind"].as_str().unwrap() {
                "resume" => expected.retain(|&old| old <= step),
                other if other == kind => expected.push(step),
                _ => {}
            }
        }
        let found: Vec<u64> = scalars[tag].iter().map(|point| point.0).collect();
        assert_eq!(found, expected, "{tag}");
        assert_eq!(found.last(), Some(&if kind == "step" { 100 } else { 80 }));
    }
    let logged = |kind: &str, field: &str, step: u64| {
        let line = log.iter().rev().find(|line| line["kind"] == kind && line["steps"] == step).unwrap();
        line[field].as_f64().unwrap()
    };
    for (tag, kind, field) in [
        ("loss/step", "step", "loss"),
        ("error/step", "step", "top1_error"),
        ("rate/weights", "step", "rate"),
        ("loss/validation", "epoch", "val_loss"),
        ("error/validation_top5", "epoch", "val_top5"),
    ] {
        for &(step, value) in &scalars[tag] {
            assert_eq!(value, f64::from(logged(kind, field, step) as f32), "{tag} at {step}");
        }
    }
}
