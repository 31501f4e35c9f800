//! AlexNet, wired together: nets as data, training, evaluation, prediction, pictures.
//!
//! In reading order:
//! - [`cli`] and [`commands`]: what can be asked for, and the doing of it.
//! - [`nets`] and [`describe`]: the built-in nets, and nets in words.
//! - [`training`]: the loop, the schedules of the rates, the watch over the loss.
//! - [`evaluate`]: the one way through for validation, tests and predictions.
//! - [`features`]: what a layer gives to many images as a file, and the search for neighbours in it.
//! - [`checkpoint`] and [`run_folder`]: what is kept of a run, and where.
//! - [`experiment`]: the paper's controlled experiments, as runs that differ in one setting.
//! - [`probabilities`]: what networks say about images as a file, and the average of several.
//! - [`output`]: the files that commands write, and their places before the work.
//! - [`portable`] and [`import`]: networks in the formats of other tools, out and in.
//! - [`inside`]: what a network has learnt, as data; [`pictures`]: the same and more as PNG and SVG.
//! - [`report`]: a run as one HTML file.
//! - [`benchmark`]: what benchmarks share.
//!
//! Invariant: what a run computes depends on its checkpoint and its data only, not on where it was stopped, how many
//! threads there are, or what is printed.
#![forbid(unsafe_code)]

pub mod benchmark;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod console;
pub mod describe;
pub mod device;
pub mod environment;
pub mod evaluate;
pub mod experiment;
pub mod features;
#[cfg(test)]
mod fuzz;
pub mod import;
pub mod inside;
pub mod interrupt;
mod markup;
pub mod nets;
pub mod output;
pub mod pictures;
pub mod portable;
pub mod probabilities;
pub mod report;
pub mod run_folder;
pub mod skips;
mod tensorboard;
pub mod training;
