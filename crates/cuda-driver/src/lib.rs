//! The CUDA driver that `cust` links to.
//!
//! This crate defines the `cu*` symbols that `cust` and `convnet` use, so that a binary needs no `libcuda` to link or
//! to start. Each forwards to one of two drivers, chosen at the first call ([`choose`], or the variable
//! `ALEXNET_CUDA`):
//! - the real one, `libcuda.so.1`, loaded then;
//! - the simulated one, [`cuda_sim::driver`]: `ALEXNET_CUDA=sim:2` gives two simulated devices.
//!
//! [`last_failure`] tells which call of the thread failed last, with the raw code: cust's enumeration of 2022 lacks
//! codes that drivers return today. [`describe`] has the driver's own name and text for any code.

mod backend;
mod forward;
mod record;
mod result;
mod text;

pub use backend::{Backend, BackendError, backend, choose};
pub use record::{Failure, last_failure};
pub use text::{describe, last_report};
