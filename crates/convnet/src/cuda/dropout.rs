//! Dropout: forward pass and gradient are one kernel.

use kernels_gpu::dropout::{DROPOUT, Mask, grid, groups};
use kernels_gpu::element::{Divisor, MAX_TOWERS};

use super::Cuda;
use super::operand::{Operand, alike, arguments, count, width};
use crate::Error;
use crate::device::Argument;
use crate::ops::{DropoutBackward, DropoutForward, DropoutShape, Operation};
use crate::philox::Use;

pub(super) fn forward(cuda: &mut Cuda, op: &DropoutForward, images: usize) -> Result<(), Error> {
    for (index, towers) in op.towers.chunks(MAX_TOWERS).enumerate() {
        let input = cuda.operand(DropoutForward::NAME, towers.iter().map(|tower| tower.input))?;
        let output = cuda.operand(DropoutForward::NAME, towers.iter().map(|tower| tower.output))?;
        let first = index * MAX_TOWERS;
        mask(cuda, DropoutForward::NAME, &op.shape, [input, output], first..first + towers.len(), images)?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &DropoutBackward, images: usize) -> Result<(), Error> {
    for (index, towers) in op.towers.chunks(MAX_TOWERS).enumerate() {
        let d_output = cuda.operand(DropoutBackward::NAME, towers.iter().map(|tower| tower.d_output))?;
        let d_input = cuda.operand(DropoutBackward::NAME, towers.iter().map(|tower| tower.d_input))?;
        let first = index * MAX_TOWERS;
        mask(cuda, DropoutBackward::NAME, &op.shape, [d_output, d_input], first..first + towers.len(), images)?;
    }
    Ok(())
}

/// Multiplies what `operands` hold of the numbered towers by mask and factor.
fn mask(
    cuda: &mut Cuda,
    op: &'static str,
    shape: &DropoutShape,
    operands: [Operand; 2],
    towers: std::ops::Range<usize>,
    images: usize,
) -> Result<(), Error> {
    let (operands, precision) = alike(op, operands)?;
    count(op, images * shape.units)?;
    count(op, (shape.first_tower + towers.end) * shape.units)?;
    let (units, images) = (shape.units as u32, images as u32);
    let threshold = u32::try_from(shape.threshold()).ok().filter(|_| shape.training);
    let mask = Mask {
        units,
        first: (shape.first_tower + towers.start) as u32 * units,
        usage: Use::Dropout as u32 + shape.layer,
        threshold: threshold.unwrap_or(0),
        keep_all: u32::from(threshold.is_none()),
        factor: shape.factor(),
        by_groups: Divisor::new(groups(units)),
    };
    let width = width(&operands, shape.units);
    let (step, ids) = (cuda.inputs.info(), cuda.inputs.ids());
    let others = [
        Argument::address(&step),
        Argument::address(&ids),
        Argument::value(&mask),
        Argument::value(&images),
        Argument::value(&width),
    ];
    // SAFETY: the operation passed its check, so each span holds all images, and an output is its tower's input or
    // overlaps nothing; the step has an id for each image; `width` is 4 only where all places and the units allow it;
    // grid and block are the kernel's.
    unsafe {
        cuda.launch(DROPOUT.of(precision), grid(units, images, towers.len() as u32), &arguments(&operands, &others))
    }
}
