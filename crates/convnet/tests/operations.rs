//! Every operation on the CPU against the naive device.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[macro_use]
#[path = "common/operations.rs"]
mod suite;

use convnet::cpu::Cpu;
use suite::*;

operations!(|threads| Cpu::new(threads).unwrap(), 1.0, true);
