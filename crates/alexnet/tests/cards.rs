//! What is said about devices that cannot share a network.

mod common;

use std::io::Write as _;

use common::{Place, said};

#[test]
fn towers_are_not_split() {
    let place = Place::new();
    let message = place.fails(1, &["train", "--net", "tiny.toml", "--device", "cpu:3"]);
    assert!(message.contains("net tiny has 2 towers") && message.contains("to 3 devices; give it 1 or 2"), "{message}");
}

#[test]
fn a_corrupt_link_is_refused_and_named() {
    if !convnet::cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return;
    }
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--max-steps", "1", "--batch", "2", "--device", "sim:0,1"];
    let said = said(&place.command(&train).env("ALEXNET_SIM_CORRUPT_LINK", "1-0").output().unwrap());
    assert_eq!(said.code, 1, "{}", said.err);
    let expected =
        "the link from device 1 to device 0 corrupts what it carries: 1 of 1048576 words arrived differently";
    assert!(said.err.contains(expected), "{}", said.err);
    assert!(!place.path("runs/tiny-1/last.safetensors").exists());
}

#[test]
fn bytes_are_told_for_a_placement() {
    let place = Place::new();
    let out = place.ok(&["net", "nips2012", "--placement", "2"]);
    let line = |start: &str| out.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_string();
    assert!(line("forward   conv3").ends_with("11.08"), "{out}");
    assert!(line("forward   all          1, 0").ends_with("15.53"), "{out}");
    assert!(line("backward  all          0, 1").ends_with("15.53"), "{out}");
}
