//! Response normalisation across maps.

use kernels_gpu::element::{Divisor, MAX_TOWERS};
use kernels_gpu::lrn::{BACKWARD, FORWARD, PACK, PACK_HALF, Shape, grid};

use super::Cuda;
use super::operand::{Operand, arguments, count};
use crate::Error;
use crate::device::Argument;
use crate::ops::{LrnBackward, LrnForward, LrnShape, Operation, UnaryShape};

/// Towers of one launch: whole groups of joined ones.
fn towers_of_launch(op: &'static str, shape: &LrnShape) -> Result<usize, Error> {
    if shape.joined > MAX_TOWERS {
        let problem = format!(
            "windows over {} joined towers, at most {MAX_TOWERS} are possible; compute on the CPU",
            shape.joined
        );
        return Err(Error::Unsupported { op, problem });
    }
    Ok(MAX_TOWERS / shape.joined * shape.joined)
}

/// The shape of a group for the kernels.
fn kernel_shape(op: &'static str, shape: &LrnShape, operands: &[Operand], images: usize) -> Result<Shape, Error> {
    count(op, images * shape.input_len())?;
    // The kernels compare with multiples of a tower's maps.
    count(op, shape.channels * MAX_TOWERS)?;
    let maps = shape.channels * shape.joined;
    // A window that reaches beyond all maps from any of them may be cut to them.
    let half = (shape.size / 2).min(maps - 1) as u32;
    let mut multiples = operands.iter().flat_map(Operand::places).chain([shape.channels]);
    let packed = half == PACK_HALF && multiples.all(|number| number.is_multiple_of(PACK as usize));
    let pack = if packed { PACK } else { 1 };
    let packs = maps / pack as usize;
    Ok(Shape {
        channels: shape.channels as u32,
        joined: shape.joined as u32,
        half,
        pack,
        packs: count(op, images * shape.pixels * packs)?,
        by_packs: Divisor::new(packs as u32),
        k: shape.k,
        alpha: shape.alpha,
        beta: shape.beta,
    })
}

pub(super) fn forward(cuda: &mut Cuda, op: &LrnForward, images: usize) -> Result<(), Error> {
    for towers in op.towers.chunks(towers_of_launch(LrnForward::NAME, &op.shape)?) {
        let (operands, precision) = cuda.forward_operands::<LrnShape>(towers)?;
        let shape = kernel_shape(LrnForward::NAME, &op.shape, &operands, images)?;
        let grid = grid(shape.packs, towers.len() as u32 / shape.joined);
        // SAFETY: the operation passed its check, so each span holds all images, and an output overlaps nothing; packs are
        // taken only where places, maps and windows allow it; grid and block are the kernel's.
        unsafe { cuda.launch(FORWARD.of(precision), grid, &arguments(&operands, &[Argument::value(&shape)])) }?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &LrnBackward, images: usize) -> Result<(), Error> {
    for towers in op.towers.chunks(towers_of_launch(LrnBackward::NAME, &op.shape)?) {
        let (operands, precision) = cuda.backward_operands::<LrnShape>(towers)?;
        let shape = kernel_shape(LrnBackward::NAME, &op.shape, &operands, images)?;
        let grid = grid(shape.packs, towers.len() as u32 / shape.joined);
        // SAFETY: as in `forward`, for gradients.
        unsafe { cuda.launch(BACKWARD.of(precision), grid, &arguments(&operands, &[Argument::value(&shape)])) }?;
    }
    Ok(())
}
