//! `convnet::device` on simulated devices; on the machine's own ones when `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod bf16;
mod card;
mod errors;
mod kernels;
mod library;
mod peer;
mod streams;
