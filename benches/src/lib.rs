//! Criterion micro-benchmarks of every operation.
