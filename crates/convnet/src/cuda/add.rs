//! Sums of partial gradients.

use kernels_gpu::add::ADD;
use kernels_gpu::element::{MAX_TOWERS, grid, width};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Add, Operation};

pub(super) fn add(cuda: &mut Cuda, op: &Add, images: usize) -> Result<(), Error> {
    let len = images * op.len;
    let n = count(Add::NAME, len)?;
    for towers in op.towers.chunks(MAX_TOWERS) {
        let target = cuda.operand(Add::NAME, towers.iter().map(|tower| tower.target))?;
        let precision = cuda.precision();
        target.expect(Add::NAME, precision)?;
        let addends = cuda.sources(Add::NAME, towers.iter().map(|tower| &tower.addends[..]))?;
        let addend_count = towers[0].addends.len() as u32;
        let spans = towers.iter().flat_map(|tower| tower.addends.iter().chain([&tower.target]));
        let width = width(spans.map(|span| span.start).chain([len]));
        let arguments = [
            Argument::address(&target.base),
            Argument::value(&target.at),
            Argument::address(&addends.base),
            Argument::value(&addends.at),
            Argument::value(&addend_count),
            Argument::value(&n),
            Argument::value(&width),
        ];
        // SAFETY: the operation passed its check, so each span has `n` elements, of this type, a target overlaps nothing, and there are
        // as many addends for each tower; `sources` has refused more than a kernel takes; `width` is 4 only where all
        // places and `n` allow it; grid and block are the kernel's.
        unsafe { cuda.launch(ADD.of(precision), grid(n, width, towers.len() as u32), &arguments) }?;
    }
    Ok(())
}
