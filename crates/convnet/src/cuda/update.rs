//! The momentum update.

use kernels_gpu::element;
use kernels_gpu::update::{UPDATE, UPDATE_ROUNDED};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Operation, Update};

pub(super) fn update(cuda: &mut Cuda, op: &Update) -> Result<(), Error> {
    let n = count(Update::NAME, op.weights.len)?;
    if n == 0 {
        return Ok(());
    }
    let parameter = op.parameter as u32;
    let spans = [op.weights, op.velocity, op.gradient];
    let floats = |span| cuda.floats(Update::NAME, span);
    let (weights, velocity, gradient) = (floats(op.weights)?, floats(op.velocity)?, floats(op.gradient)?);
    let rounded = cuda.memory.rounded(op.weights);
    let rates = cuda.inputs.rates();
    let width = element::width(spans.map(|span| span.start).into_iter().chain([op.weights.len]));
    let mut arguments = vec![
        Argument::address(&weights),
        Argument::address(&velocity),
        Argument::address(&gradient),
        Argument::address(&rates),
        Argument::value(&parameter),
        Argument::value(&op.momentum),
        Argument::value(&op.decay),
        Argument::value(&n),
        Argument::value(&width),
    ];
    let kernel = match &rounded {
        Some(rounded) => {
            arguments.push(Argument::address(rounded));
            &UPDATE_ROUNDED
        }
        None => &UPDATE,
    };
    // SAFETY: the operation passed its check, so the three spans have `n` floats and do not overlap, and rounded weights
    // lie at the place of the weights in a buffer of their own; the step has a rate for the parameter; regions are
    // aligned to 256 bytes, and `width` is 4 only where starts and `n` are multiples of 4; grid and block are the
    // kernel's.
    unsafe { cuda.launch(kernel, element::grid(n, width, 1), &arguments) }
}
