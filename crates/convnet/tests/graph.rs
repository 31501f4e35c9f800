//! Graphs on a simulated device; on the machine's own one when `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]
#![allow(dead_code, reason = "what the tests of devices share")]

#[path = "device/card.rs"]
mod card;
#[path = "device/graph.rs"]
mod graph;
#[path = "device/replay.rs"]
mod replay;
