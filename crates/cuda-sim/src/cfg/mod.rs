//! Control flow of a kernel: basic blocks, post-dominators, the uniformity rule, which registers may share a row, and what
//! decides a kernel's way.

mod graph;
mod rows;
mod skeleton;
mod uniformity;
mod unwritten;

pub(crate) use graph::Graph;
pub(crate) use rows::share_rows;
pub(crate) use skeleton::skeleton;
pub use uniformity::{Divergence, divergences};
pub(crate) use unwritten::reads_unwritten;
