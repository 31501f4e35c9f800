//! Benchmarks of every operation and of whole steps; this library has what they share, besides
//! [`alexnet::benchmark`].
#![forbid(unsafe_code)]

pub mod dry;
pub mod floor;

use std::collections::HashSet;

use alexnet::nets;
use convnet::cuda::Precision;
use convnet::net::Net;
use convnet::ops::{Access, Op, Region};

/// A built-in net.
///
/// # Panics
/// When `name` is no built-in net.
#[allow(clippy::expect_used, reason = "a benchmark that cannot start has nothing to report")]
pub fn net(name: &str) -> Net {
    nets::load(name, None).expect("a built-in net")
}

/// The bytes of an operation's operands on a GPU: each read once, though several towers read it, and written once.
pub fn least_bytes(op: &Op, precision: Precision) -> u64 {
    let (mut read, mut written) = (HashSet::new(), HashSet::new());
    op.clone().visit(&mut |access, span| {
        if access != Access::Write {
            read.insert(*span);
        }
        if access != Access::Read {
            written.insert(*span);
        }
    });
    // An update reads and writes the weights themselves, and writes the copy of them that products read.
    let updates = written.iter().any(|span| span.region == Region::Weights);
    let copied = updates && precision == Precision::Bf16;
    let size = |region| match region {
        Region::Work => precision.bytes(),
        Region::Weights if !updates => precision.bytes(),
        _ => size_of::<f32>(),
    };
    let operands = read.iter().chain(&written).map(|span| (span.len * size(span.region)) as u64);
    let copies = written.iter().filter(|span| copied && span.region == Region::Weights);
    operands.sum::<u64>() + copies.map(|span| (span.len * precision.bytes()) as u64).sum::<u64>()
}
