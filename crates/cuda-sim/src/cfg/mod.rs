//! Control flow of a kernel: basic blocks, post-dominators, the uniformity rule, and which registers may share a row.

mod graph;
mod rows;
mod uniformity;
mod unwritten;

pub(crate) use graph::Graph;
pub(crate) use rows::share_rows;
pub use uniformity::{Divergence, divergences};
pub(crate) use unwritten::reads_unwritten;
