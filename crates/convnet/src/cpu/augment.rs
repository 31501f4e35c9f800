//! Crop, flip, mean and colour noise, from u8.

use rayon::prelude::*;

use super::Tools;
use super::memory::Memory;
use crate::ops::{Augment, Step};

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &Augment, step: &Step, images: usize) {
    let (side, crop) = (op.side, op.crop);
    let len = crop * crop * 3;
    // SAFETY: the operation passed its check; the output overlaps no other operand.
    let (mean, output) = unsafe { (memory.slice(op.mean, len), memory.slice_mut(op.output, images * len)) };
    let work = |(image, output): (usize, &mut [f32])| {
        let draw = &step.draws[image];
        let (top, left) = (draw.top as usize, draw.left as usize);
        let rgb = &step.rgb[image * side * side * 3..][..side * side * 3];
        for (y, (target, mean)) in output.chunks_exact_mut(crop * 3).zip(mean.chunks_exact(crop * 3)).enumerate() {
            let row = &rgb[((top + y) * side + left) * 3..][..crop * 3];
            for (x, (target, mean)) in target.chunks_exact_mut(3).zip(mean.chunks_exact(3)).enumerate() {
                let pixel = &row[if draw.flip { crop - 1 - x } else { x } * 3..][..3];
                for c in 0..3 {
                    target[c] = (f32::from(pixel[c]) - mean[c]) * draw.scale + draw.shift[c];
                }
            }
        }
    };
    tools.threads.install(|| output.par_chunks_exact_mut(len).enumerate().for_each(work));
}
