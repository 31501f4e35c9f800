//! What is said about devices that cannot share a network, and about those that fail.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::io::Write as _;

use common::{Place, Said, said, same_file};

/// Trains on two simulated cards with a planted fault; none where there are no kernels.
fn train(place: &Place, fault: &[(&str, &str)], args: &[&str]) -> Option<Said> {
    if !convnet::cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return None;
    }
    let always = ["train", "--device", "sim:0,1"];
    let mut command = place.command(&[&always[..], args].concat());
    Some(said(&command.envs(fault.iter().copied()).output().unwrap()))
}

#[test]
fn towers_are_not_split() {
    let place = Place::new();
    let message = place.fails(1, &["train", "--net", "tiny.toml", "--device", "cpu:3"]);
    assert!(message.contains("net tiny has 2 towers") && message.contains("to 3 devices; give it 1 or 2"), "{message}");
}

#[test]
fn a_corrupt_link_is_refused_and_named() {
    let place = Place::new();
    let fault = [("ALEXNET_SIM_CORRUPT_LINK", "1-0")];
    let Some(said) = train(&place, &fault, &["--net", "tiny.toml", "--batch", "2", "--max-steps", "1"]) else { return };
    assert_eq!(said.code, 1, "{}", said.err);
    let expected =
        "the link from device 1 to device 0 corrupts what it carries: 1 of 1048576 words arrived differently";
    assert!(said.err.contains(expected), "{}", said.err);
    assert!(!place.path("runs/tiny-1/last.safetensors").exists());
}

#[test]
fn a_deadline_that_is_no_number_is_refused() {
    let place = Place::new();
    let deadline = [("ALEXNET_DEADLINE", "soon")];
    let Some(said) = train(&place, &deadline, &["--net", "tiny.toml", "--max-steps", "1"]) else { return };
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("ALEXNET_DEADLINE=soon: expected whole seconds"), "{}", said.err);
}

/// Both cards end, the message says where and what, and the run goes on from its checkpoint as if nothing had been.
#[test]
fn a_card_that_is_lost_or_silent_in_a_step_is_named_and_the_last_checkpoint_is_kept() {
    let place = Place::new();
    let run = |name| ["--net", "tiny.toml", "--batch", "2", "--save-every", "1", "--max-steps", "5", "--out", name];
    let Some(whole) = train(&place, &[], &run("whole")) else { return };
    assert_eq!(whole.code, 0, "{}", whole.err);
    // A step gives each card some thirty pieces of work: these are in the forward pass of step 4.
    let lost = [("ALEXNET_SIM_LOST", "1:130")];
    let silent = [("ALEXNET_SIM_SILENT", "0:150"), ("ALEXNET_DEADLINE", "1")];
    let cases = [
        ("lost", &lost[..], "device 1 at layers ", "failed with code 214 (CUDA_ERROR_ECC_UNCORRECTABLE)"),
        ("silent", &silent[..], "device 0 at layers ", "the device does not answer for 1 s"),
    ];
    for (name, fault, card, why) in cases {
        let said = train(&place, fault, &run(name)).unwrap();
        assert_eq!(said.code, 1, "{}", said.err);
        let line = said.err.lines().find(|line| line.starts_with("error: epoch 1, step ")).unwrap_or_default();
        let wanted = [card, ", forward, or behind it: waiting for", "cuEventQuery", why];
        assert!(wanted.iter().all(|part| line.contains(part)), "{}", said.err);
        let hint = format!("Go on from the last checkpoint with --resume {name}");
        assert!(said.err.contains(&hint) && !said.err.contains("panicked"), "{}", said.err);
        let resumed = train(&place, &[], &["--resume", name, "--max-steps", "5"]).unwrap();
        assert_eq!(resumed.code, 0, "{}", resumed.err);
        same_file(&place, "whole/last.safetensors", &format!("{name}/last.safetensors"));
    }
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
