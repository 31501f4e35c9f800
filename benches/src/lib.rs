//! Criterion micro-benchmarks of every operation.
#![forbid(unsafe_code)]
