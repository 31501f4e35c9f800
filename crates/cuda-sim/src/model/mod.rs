//! How long a launch would take on a card: predicted from counts, never measured.
//!
//! In reading order: [`Card`] is a row of data, [`Needs::occupancy`] says how many blocks an SM holds, `count` runs a
//! launch or a sample of it and counts, with an [`L2`] between the SMs and DRAM, and [`Work::predict`] turns counts into
//! a time and names what limits it.
//!
//! # The model
//! A launch takes its cost, and then as long as the slowest of six things, which are taken to overlap perfectly:
//!
//! | | Work | Rate |
//! | --- | --- | --- |
//! | DRAM | bytes that miss the L2 | of the card |
//! | L2 | sectors that the SMs request | of the card |
//! | shared memory | passes of 128 bytes, conflicts among them | one a cycle and SM |
//! | issue | instructions of warps | four a cycle and SM |
//! | FMA | lanes of f32 arithmetic | `fma_lanes` a cycle and SM |
//! | tensor | multiply-adds of `mma` | `tensor_multiply_adds` a cycle and SM |
//!
//! The last four happen on an SM, so they take as long as the SM with most blocks needs: all blocks of each full wave
//! that it holds, and its share of the last one. The blocks of a launch are taken to be alike. Few warps do not keep a
//! scheduler busy: each is taken to wait as long as it works, so with n warps in turn a scheduler works n / (n + 1) of
//! the time. On an H100 that gives the product kernels, with one to three warps a scheduler, within a few per cent.
//!
//! Bytes that wait in the L2 when the last block ends cost no time: they are written later, if at all.
//!
//! # What it leaves out
//! - Latency of memory: a launch of few blocks that each wait for one load after the other is predicted too fast, and so
//!   is one that has hardly any work.
//! - What does not overlap: arithmetic and traffic of one kernel do so only in part.
//! - The first-level cache: everything that SMs request counts as traffic of the L2.
//! - `ptxas`: issue slots are instructions of the PTX; the machine code has more of some and fewer of others.
//! - Rates are peaks, so but for the above a prediction is what a card could do at best. `docs/predicted.md` has what an
//!   H100 did, launch by launch.

mod card;
mod count;
mod l2;
mod occupancy;
mod sample;
mod time;

pub use card::{A100, CARDS, Card, H100, RTX_4090};
pub use count::{Counted, Launch, count};
pub use l2::{L2, Traffic};
pub use occupancy::{Needs, Occupancy, Scarce};
pub use sample::{Class, classes};
pub use time::{Limit, Prediction, Work};
