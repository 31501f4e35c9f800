//! Crop, flip, mean and colour noise, from u8.

use kernels_gpu::augment::{AUGMENT, Shape};
use kernels_gpu::element::{self, Divisor};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Augment, Operation};

pub(super) fn forward(cuda: &mut Cuda, op: &Augment, images: usize) -> Result<(), Error> {
    let (tall, wide, pad, rows, columns) = match op.blocks {
        Some(blocks) => (blocks.side, blocks.side, blocks.pad, blocks.rows, blocks.columns),
        None => (1, op.crop, 0, op.crop, 1),
    };
    let (line, image_len) = (3 * wide, rows * columns * 3 * wide * tall);
    // A stored image is not smaller than its crop, so the crop's extents fit as well.
    count(Augment::NAME, op.side * op.side * 3)?;
    count(Augment::NAME, 3 * (rows * tall + pad) * (columns * wide + pad))?;
    let n = count(Augment::NAME, images * image_len)?;
    if n == 0 {
        return Ok(());
    }
    let by = |number: usize| Divisor::new(number as u32);
    let shape = Shape {
        side: op.side as u32,
        crop: op.crop as u32,
        tall: tall as u32,
        pad: pad as u32,
        by_line: by(line),
        by_block: by(line * tall),
        by_columns: by(columns),
        by_rows: by(rows),
    };
    let width = element::width([op.mean.start, op.output.start, op.crop, pad, line]);
    let (rgb, draws) = (cuda.inputs.rgb(), cuda.inputs.draws());
    let mean = cuda.floats(Augment::NAME, op.mean)?;
    let (output, precision) = cuda.address(op.output);
    let arguments = [
        Argument::address(&rgb),
        Argument::address(&draws),
        Argument::address(&mean),
        Argument::address(&output),
        Argument::value(&shape),
        Argument::value(&n),
        Argument::value(&width),
    ];
    // SAFETY: the operation passed its checks, so the output holds all images and overlaps nothing else, the mean is a
    // crop's, and the step has pixels and a draw inside the image for each image; regions are aligned to 256 bytes, and
    // `width` is 4 only where starts, crop, padding and rows of blocks are multiples of 4; grid and block are the
    // kernel's.
    unsafe { cuda.launch(AUGMENT.of(precision), element::grid(n, width, 1), &arguments) }
}
