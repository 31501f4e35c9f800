//! End-to-end and parity tests; see `tests/`.
#![forbid(unsafe_code)]
