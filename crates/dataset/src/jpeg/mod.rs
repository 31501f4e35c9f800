//! The JPEGs that photographs mostly are, read and written fast. Everything else about pictures is left to libraries.
//!
//! Loops are plain and are compiled for the processor's vectors by `pulp`, which chooses at run time. Sums are f32,
//! each in one order and without fused operations, so any processor gives the same bytes.

mod decode;
mod encode;
mod header;
mod huffman;
mod idct;
mod scale;
mod tables;

pub(crate) use decode::Jpeg;
pub(crate) use encode::encode;

#[cfg(test)]
mod tests;
