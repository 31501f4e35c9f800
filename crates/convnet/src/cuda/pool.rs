//! Max pooling.

use kernels_gpu::element::{Divisor, MAX_TOWERS, grid};
use kernels_gpu::pool::{BACKWARD, BACKWARD_CELLS, CELL, CELL_WINDOW, FORWARD, Shape, cells_grid};

use super::Cuda;
use super::operand::{arguments, count, width};
use crate::Error;
use crate::device::Argument;
use crate::ops::{Operation, PoolBackward, PoolForward, PoolShape, UnaryShape};

/// The shape for threads that own `rows` times `columns` pixels. Extents fit because the whole tower was counted.
fn kernel_shape(shape: &PoolShape, width: u32, rows: usize, columns: usize) -> Shape {
    Shape {
        in_height: shape.in_height as u32,
        in_width: shape.in_width as u32,
        channels: shape.channels as u32,
        out_height: shape.out_height as u32,
        out_width: shape.out_width as u32,
        size: shape.size as u32,
        stride: shape.stride as u32,
        by_stride: Divisor::new(shape.stride as u32),
        width,
        by_packs: Divisor::new(shape.channels as u32 / width),
        by_columns: Divisor::new(columns as u32),
        by_rows: Divisor::new(rows as u32),
    }
}

/// Refuses what a kernel cannot count. Windows begin inside the input: the last one's begin is computed in 32 bits.
fn check(op: &'static str, shape: &PoolShape, images: usize) -> Result<(), Error> {
    let last = |windows: usize, stride: usize| (windows - 1).saturating_mul(stride);
    let (bottom, right) = (last(shape.out_height, shape.stride), last(shape.out_width, shape.stride));
    if bottom >= shape.in_height || right >= shape.in_width {
        let problem = format!("the last window begins at ({bottom}, {right}), outside the input");
        return Err(Error::Unsupported { op, problem });
    }
    [images * shape.input_len(), images * shape.output_len(), shape.size.max(shape.stride)]
        .into_iter()
        .try_for_each(|number| count(op, number).map(drop))
}

pub(super) fn forward(cuda: &mut Cuda, op: &PoolForward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    check(PoolForward::NAME, shape, images)?;
    let n = count(PoolForward::NAME, images * shape.output_len())?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.forward_operands::<PoolShape>(towers)?;
        let width = width(&operands, shape.channels);
        let kernel_shape = kernel_shape(shape, width, shape.out_height, shape.out_width);
        let others = [Argument::value(&kernel_shape), Argument::value(&n)];
        // SAFETY: the operation passed its check, so each span holds all images, an output overlaps nothing, and no
        // extent is 0; windows were checked here; the divisors are of outputs; `width` is 4 only where all places and
        // channels allow it; grid and block are the kernel's.
        unsafe {
            cuda.launch(FORWARD.of(precision), grid(n, width, towers.len() as u32), &arguments(&operands, &others))
        }?;
    }
    Ok(())
}

pub(super) fn backward(cuda: &mut Cuda, op: &PoolBackward, images: usize) -> Result<(), Error> {
    let shape = &op.shape;
    check(PoolBackward::NAME, shape, images)?;
    let n = count(PoolBackward::NAME, images * shape.input_len())?;
    let in_cells = shape.size == CELL_WINDOW as usize && shape.stride == CELL as usize;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let (operands, precision) = cuda.backward_operands::<PoolShape>(towers)?;
        let width = width(&operands, shape.channels);
        let (kernel, rows, columns, n) = if in_cells {
            let cells = |pixels: usize| pixels.div_ceil(CELL as usize);
            let (rows, columns) = (cells(shape.in_height), cells(shape.in_width));
            let packs = (images * rows * columns * shape.channels) as u32 / width;
            (&BACKWARD_CELLS, rows, columns, packs)
        } else {
            (&BACKWARD, shape.in_height, shape.in_width, n)
        };
        let kernel_shape = kernel_shape(shape, width, rows, columns);
        let others = [Argument::value(&kernel_shape), Argument::value(&n)];
        let towers = towers.len() as u32;
        let grid = if in_cells { cells_grid(n, towers) } else { grid(n, width, towers) };
        // SAFETY: as in `forward`, for gradients; the divisors are of inputs or of cells, as the kernel wants them, and
        // only windows of cells go to the kernel of cells.
        unsafe { cuda.launch(kernel.of(precision), grid, &arguments(&operands, &others)) }?;
    }
    Ok(())
}
