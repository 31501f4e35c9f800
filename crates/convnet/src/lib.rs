//! The layers of a convolutional network as operations on devices.
//!
//! In reading order:
//! - [`net`]: a network as data: towers and layers, read from TOML and validated.
//! - [`ops`]: the operations: plain structs that say what to compute on which memory, and [`ops::Device`],
//!   the interface with one method per operation.
//! - [`plan`]: compiles a net into memory and an ordered list of operations.
//! - [`run`]: steps a plan on a device: forward, backward, update.
//! - [`shards`]: several devices as one, each with some of a net's towers.
//! - [`cpu`]: the device for every machine. [`naive`]: the slow f64 twin that tests compare with.
//! - [`cuda`]: the GPU as a device, over [`mod@device`]: contexts, streams, memory, kernels.
//! - [`augment`] and [`philox`]: crops, flips, colour noise, and the counter-based randomness behind them.
//!
//! Invariants:
//! - Activations are NHWC, one buffer `[N, H, W, C / towers]` per tower, also when one device holds all towers.
//! - The order of every sum is part of the operation's definition (see [`ops`]); it depends on the per-tower
//!   shape only, so the bits do not depend on threads or on where towers are placed.
//! - Randomness is a function of (seed, epoch, image, use): nothing is consumed from a shared stream.

pub mod augment;
pub mod cpu;
pub mod cuda;
pub mod device;
mod error;
pub mod naive;
pub mod net;
pub mod ops;
pub mod philox;
pub mod plan;
pub mod run;
mod schedule;
pub mod shards;
mod slices;

pub use error::Error;
