//! Response normalisation across maps.

use kernels_gpu::element::{Divisor, MAX_TOWERS};
use kernels_gpu::lrn::{BACKWARD, FORWARD, MAX_HALF, Shape, chunk, grid};

use super::Cuda;
use super::operand::{arguments, count};
use crate::Error;
use crate::device::Argument;
use crate::ops::{LrnBackward, LrnForward, LrnShape, Operation, UnaryShape};

/// Towers of one launch: whole groups of joined ones.
fn towers_of_launch(shape: &LrnShape) -> usize {
    MAX_TOWERS / shape.joined * shape.joined
}

/// The shape of a group for the kernels.
fn kernel_shape(op: &'static str, shape: &LrnShape, images: usize) -> Result<Shape, Error> {
    if shape.joined > MAX_TOWERS {
        let problem = format!(
            "windows over {} joined towers, at most {MAX_TOWERS} are possible; compute on the CPU",
            shape.joined
        );
        return Err(Error::Unsupported { op, problem });
    }
    count(op, images * shape.input_len())?;
    // The kernels compare with multiples of a tower's maps.
    count(op, shape.channels * MAX_TOWERS)?;
    let maps = (shape.channels * shape.joined) as u32;
    // A window that reaches beyond all maps from any of them may be cut to them.
    let half = u32::try_from(shape.size / 2).unwrap_or(u32::MAX).min(maps - 1);
    if half > MAX_HALF {
        let problem =
            format!("windows of {} maps, at most {} are possible; compute on the CPU", shape.size, 2 * MAX_HALF + 1);
        return Err(Error::Unsupported { op, problem });
    }
    let chunk = chunk(maps, half);
    let chunks = maps.div_ceil(chunk);
    let items = count(op, images * shape.pixels * chunks as usize)?;
    Ok(Shape {
        channels: shape.channels as u32,
        joined: shape.joined as u32,
        half,
        chunk,
        items,
        by_chunks: Divisor::new(chunks),
        k: shape.k,
        alpha: shape.alpha,
        beta: shape.beta,
    })
}

pub(super) fn forward(cuda: &mut Cuda, op: &LrnForward, images: usize) -> Result<(), Error> {
    let shape = kernel_shape(LrnForward::NAME, &op.shape, images)?;
    for towers in op.towers.chunks(towers_of_launch(&op.shape)) {
        let (operands, precision) = cuda.forward_operands::<LrnShape>(towers)?;
        let grid = grid(shape.items, towers.len() as u32 / shape.joined);
        // SAFETY: the operation passed its check, so each span holds all images, and an output overlaps nothing; the
        // chunk is the kernel's own, and `half` was checked; grid, block and shared memory are the kernel's.
        unsafe { cuda.launch(FORWARD.of(precision), grid, &arguments(&operands, &[Argument::value(&shape)])) }?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &LrnBackward, images: usize) -> Result<(), Error> {
    let shape = kernel_shape(LrnBackward::NAME, &op.shape, images)?;
    for towers in op.towers.chunks(towers_of_launch(&op.shape)) {
        let (operands, precision) = cuda.backward_operands::<LrnShape>(towers)?;
        let grid = grid(shape.items, towers.len() as u32 / shape.joined);
        // SAFETY: as in `forward`, for gradients.
        unsafe { cuda.launch(BACKWARD.of(precision), grid, &arguments(&operands, &[Argument::value(&shape)])) }?;
    }
    Ok(())
}
