//! End-to-end and parity tests; see `tests/`.
