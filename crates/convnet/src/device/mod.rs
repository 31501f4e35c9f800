//! GPUs, over the driver API: one noun per file.
//!
//! In reading order: [`Context`] (a card), [`Stream`] (what it does, in order), [`Buffer`] (its memory), [`Module`]
//! and [`Function`] (its code), [`Argument`] (what a launch passes). The driver is `cuda-driver`'s: the real one, or a
//! simulated one.
//!
//! # Context binding
//! The driver acts on the context that is current on the calling thread. Every method binds its own first.

mod buffer;
mod context;
mod error;
mod launch;
mod module;
mod stream;

use cuda_driver as _;

pub use buffer::Buffer;
pub use context::Context;
pub use error::DriverError;
pub use launch::Argument;
pub use module::{Function, Module};
pub use stream::Stream;
