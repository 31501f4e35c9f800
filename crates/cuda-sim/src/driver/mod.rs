//! A CUDA driver over simulated devices: the calls of [`crate::driver_calls`].
//!
//! [`abi`] has the calls as C sees them, over a state that is safe Rust.

pub mod abi;
mod calls;
mod state;
pub mod types;

pub use state::{last_report, start};
