//! Crop, flip, mean and colour noise, from u8.

use kernels_gpu::augment::{AUGMENT, Shape};
use kernels_gpu::element::{self, Divisor};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Augment, Operation};

pub(super) fn forward(cuda: &mut Cuda, op: &Augment, images: usize) -> Result<(), Error> {
    let len = images * op.crop * op.crop * 3;
    // A stored image is not smaller than its crop, so the crop's extents fit as well.
    count(Augment::NAME, op.side * op.side * 3)?;
    let n = count(Augment::NAME, len)?;
    if n == 0 {
        return Ok(());
    }
    let shape = Shape { side: op.side as u32, crop: op.crop as u32, by_crop: Divisor::new(op.crop as u32) };
    let width = element::width([op.output.start, len]);
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
    // `width` is 4 only where start and `n` are multiples of 4; grid and block are the kernel's.
    unsafe { cuda.launch(AUGMENT.of(precision), element::grid(n, width, 1), &arguments) }
}
