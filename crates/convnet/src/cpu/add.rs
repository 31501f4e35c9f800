//! Sums of partial gradients.

use rayon::prelude::*;

use super::Tools;
use super::activation::CHUNK;
use super::memory::Memory;
use crate::ops::Add;

pub(super) fn add(tools: &Tools, memory: &Memory, op: &Add, images: usize) {
    let len = images * op.len;
    for tower in &op.towers {
        // SAFETY: the operation passed its check: the target overlaps no other operand.
        let target = unsafe { memory.slice_mut(tower.target, len) };
        for &addend in &tower.addends {
            // SAFETY: addends are only read.
            let addend = unsafe { memory.slice(addend, len) };
            let work = |(target, addend): (&mut [f32], &[f32])| {
                tools.vectorise(
                    #[inline(always)]
                    || target.iter_mut().zip(addend).for_each(|(sum, addend)| *sum += addend),
                )
            };
            tools.threads.install(|| target.par_chunks_mut(CHUNK).zip(addend.par_chunks(CHUNK)).for_each(work));
        }
    }
}
