//! GPUs, over the driver API: one noun per file.
//!
//! In reading order: [`Context`] (a card, and its access to others), [`Stream`] (what it does, in order), [`Event`] (a
//! point in a stream), [`Buffer`] and [`Part`] (its memory), [`Pinned`] and [`Pending`] (the host's side of copies),
//! [`Module`] and [`Function`] (its code), [`Argument`] (what a launch passes), [`Graph`] (work that is launched again).
//! The driver is `cuda-driver`'s: the real one, or a simulated one.
//!
//! # Context binding
//! The driver acts on the context that is current on the calling thread. Every method binds its own first.
//!
//! # Waiting
//! Streams and events are asked until they are done, with a deadline; see `wait`. Calls of the driver that block come
//! behind such a wait: [`Buffer`]'s own copies, and what frees. When a card did not answer, every later call on any card
//! is refused, and what it holds is not freed: the program can only end.
//!
//! # What is safe
//! The host's memory cannot be misused: an asynchronous copy owns its side until it is done ([`Pending`]). A launch is
//! unsafe, because kernels take addresses, and so is what may outlive a buffer of another card or of a graph. The order
//! of work in different streams is the caller's affair: without an event between them numbers are wrong, and the
//! simulated driver reports it.

mod buffer;
mod context;
mod copy;
mod error;
mod event;
mod graph;
mod launch;
mod module;
mod peer;
mod pinned;
mod stream;
pub(crate) mod wait;

use cuda_driver as _;

pub use buffer::{Buffer, Part};
pub use context::{Context, MemoryInfo, Speeds, driver_version};
pub use error::{DriverError, Words};
pub use event::Event;
pub use graph::Graph;
pub use launch::Argument;
pub use module::{Function, Module};
pub use pinned::{Pending, Pinned};
pub use stream::Stream;
