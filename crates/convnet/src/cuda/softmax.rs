//! Softmax with cross-entropy.

use kernels_gpu::softmax::{BACKWARD, FORWARD, grid};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Operation, SoftmaxBackward, SoftmaxForward};

pub(super) fn forward(cuda: &mut Cuda, op: &SoftmaxForward, images: usize) -> Result<(), Error> {
    count(SoftmaxForward::NAME, images * op.classes)?;
    let classes = op.classes as u32;
    let (logits, precision) = cuda.address(op.logits);
    let floats = |span| cuda.floats(SoftmaxForward::NAME, span);
    let (probabilities, losses, ranks) = (floats(op.probabilities)?, floats(op.losses)?, floats(op.ranks)?);
    let labels = cuda.inputs.labels();
    let arguments = [
        Argument::address(&logits),
        Argument::address(&probabilities),
        Argument::address(&losses),
        Argument::address(&ranks),
        Argument::address(&labels),
        Argument::value(&classes),
    ];
    // SAFETY: the operation passed its check, so spans hold all images, and what is written overlaps nothing else;
    // every label is a class; grid, block and shared memory are the kernel's.
    unsafe { cuda.launch(FORWARD.of(precision), grid(images as u32), &arguments) }
}

pub(super) fn backward(cuda: &mut Cuda, op: &SoftmaxBackward, images: usize) -> Result<(), Error> {
    count(SoftmaxBackward::NAME, images * op.classes)?;
    let classes = op.classes as u32;
    let probabilities = cuda.floats(SoftmaxBackward::NAME, op.probabilities)?;
    let (d_logits, precision) = cuda.address(op.d_logits);
    let (labels, step) = (cuda.inputs.labels(), cuda.inputs.info());
    let arguments = [
        Argument::address(&probabilities),
        Argument::address(&d_logits),
        Argument::address(&labels),
        Argument::address(&step),
        Argument::value(&classes),
    ];
    // SAFETY: the operation passed its check, so both spans hold all images and do not overlap; the step has a label
    // for each image; grid and block are the kernel's.
    unsafe { cuda.launch(BACKWARD.of(precision), grid(images as u32), &arguments) }
}
