//! Builds, checks and benchmarks: one file per command.
#![forbid(unsafe_code)]
fn main() {}
