//! ReLU and tanh.

use kernels_gpu::activation::{BACKWARD, FORWARD, Function};
use kernels_gpu::element::{MAX_TOWERS, grid};

use super::Cuda;
use super::operand::{arguments, count, width};
use crate::Error;
use crate::device::Argument;
use crate::ops::{Activation, ActivationBackward, ActivationForward, ActivationShape, Operation};

fn function(activation: Activation) -> Function {
    match activation {
        Activation::Relu => Function { tanh: 0, a: 1.0, b: 1.0 },
        Activation::Tanh { a, b } => Function { tanh: 1, a, b },
    }
}

pub(super) fn forward(cuda: &mut Cuda, op: &ActivationForward, images: usize) -> Result<(), Error> {
    let (function, len) = (function(op.shape.activation), images * op.shape.len);
    let n = count(ActivationForward::NAME, len)?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.forward_operands::<ActivationShape>(towers)?;
        let width = width(&operands, len);
        let others = [Argument::value(&function), Argument::value(&n), Argument::value(&width)];
        // SAFETY: the operation passed its check, so each span has `n` floats, and an output is its tower's input or
        // overlaps nothing; `width` is 4 only where all places and `n` allow it; grid and block are the kernel's.
        unsafe {
            cuda.launch(FORWARD.of(precision), grid(n, width, towers.len() as u32), &arguments(&operands, &others))
        }?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &ActivationBackward, images: usize) -> Result<(), Error> {
    let (function, len) = (function(op.shape.activation), images * op.shape.len);
    let n = count(ActivationBackward::NAME, len)?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.backward_operands::<ActivationShape>(towers)?;
        let width = width(&operands, len);
        let others = [Argument::value(&function), Argument::value(&n), Argument::value(&width)];
        // SAFETY: the operation passed its check, so each span has `n` floats, and a `d_input` is its tower's
        // `d_output` or overlaps nothing; `width` is 4 only where all places and `n` allow it; grid and block are the
        // kernel's.
        unsafe {
            cuda.launch(BACKWARD.of(precision), grid(n, width, towers.len() as u32), &arguments(&operands, &others))
        }?;
    }
    Ok(())
}
