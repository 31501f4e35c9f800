//! Response normalisation within each map.

use kernels_gpu::element::{Divisor, MAX_TOWERS};
use kernels_gpu::map_norm::{BACKWARD, FORWARD, Shape, TERMS};

use super::operand::{arguments, count, width};
use super::{Cuda, Scratch};
use crate::Error;
use crate::device::Argument;
use crate::ops::{MapNormBackward, MapNormForward, MapNormShape, Operation, UnaryShape};

/// The shape for the kernels; extents fit because the whole tower was counted.
fn kernel_shape(shape: &MapNormShape, pack: u32) -> Shape {
    let longest = shape.height.max(shape.width);
    Shape {
        height: shape.height as u32,
        width: shape.width as u32,
        channels: shape.channels as u32,
        // A window that reaches beyond the map from any of its pixels may be cut to it.
        half: (shape.size / 2).min(longest) as u32,
        pack,
        by_packs: Divisor::new(shape.channels as u32 / pack),
        by_columns: Divisor::new(shape.width as u32),
        by_rows: Divisor::new(shape.height as u32),
        k: shape.k,
        alpha: shape.alpha,
        beta: shape.beta,
    }
}

pub(super) fn forward(cuda: &mut Cuda, op: &MapNormForward, images: usize) -> Result<(), Error> {
    let n = count(MapNormForward::NAME, images * op.shape.input_len())?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.forward_operands::<MapNormShape>(towers)?;
        let pack = width(&operands, op.shape.channels);
        let shape = kernel_shape(&op.shape, pack);
        let others = [Argument::value(&shape), Argument::value(&n)];
        // SAFETY: the operation passed its check, so each span has `n` floats, and an output overlaps nothing; the
        // divisors are those of the extents, and `half` is below 2^31 / 2; `pack` is 4 only where all places and channels
        // allow it; grid and block are the kernel's.
        unsafe {
            cuda.launch(FORWARD.of(precision), shape.grid(n, towers.len() as u32), &arguments(&operands, &others))
        }?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &MapNormBackward, images: usize) -> Result<(), Error> {
    let len = images * op.shape.input_len();
    let n = count(MapNormBackward::NAME, len)?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.backward_operands::<MapNormShape>(towers)?;
        let pack = width(&operands, op.shape.channels);
        let shape = kernel_shape(&op.shape, pack);
        let grid = shape.grid(n, towers.len() as u32);
        let terms = cuda.scratch(Scratch::Parts, towers.len() * len * precision.bytes())?;
        let others = [Argument::address(&terms), Argument::value(&shape), Argument::value(&n)];
        // SAFETY: as in `forward`, for gradients; scratch memory has `n` elements for each tower.
        unsafe { cuda.launch(TERMS.of(precision), grid, &arguments(&operands, &others)) }?;
        let [saved, _, d_input] = operands;
        // SAFETY: as above, and the kernel before it has written what this one reads.
        unsafe { cuda.launch(BACKWARD.of(precision), grid, &arguments(&[saved, d_input], &others)) }?;
    }
    Ok(())
}
