//! The update of fully connected weights by their gradient, in the kernel that sums it.

use std::slice::from_ref;

use kernels_gpu::element::{MAX_TOWERS, Offsets};
use kernels_gpu::update::Rule;
use kernels_gpu::{Precision, bf16, fc_update, product};

use super::Cuda;
use super::conv::{Extents, bias_grad};
use super::fc::conv_shape;
use crate::Error;
use crate::device::Argument;
use crate::ops::{FcWeightUpdate, Operation, Region, Span, UpdatedWeights};

/// The step has a rate for all weights.
pub(super) fn weight_update(cuda: &mut Cuda, op: &FcWeightUpdate, images: usize) -> Result<(), Error> {
    let extents = Extents::new(FcWeightUpdate::NAME, conv_shape(op.shape), images)?;
    let sources = op.towers.iter().flat_map(|tower| tower.sources.iter().map(|source| (source, tower.d_output)));
    let sources = sources.collect::<Vec<_>>();
    for sources in sources.chunks(MAX_TOWERS) {
        update(cuda, op, &extents, sources)?;
    }
    bias_grad(cuda, FcWeightUpdate::NAME, &extents, op.towers.iter().map(|tower| (tower.d_output, tower.d_bias)))
}

/// Updates weights, each with the gradient of its tower's output, in one launch.
fn update(
    cuda: &Cuda,
    op: &FcWeightUpdate,
    extents: &Extents,
    sources: &[(&UpdatedWeights, Span)],
) -> Result<(), Error> {
    let name = FcWeightUpdate::NAME;
    let products = cuda.whole(extents.of_weights());
    let input = cuda.sources(name, sources.iter().map(|(source, _)| from_ref(&source.input)))?;
    let d_output = cuda.sources(name, sources.iter().map(|(_, d_output)| from_ref(d_output)))?;
    let weights = cuda.operand(name, sources.iter().map(|(source, _)| source.weights))?;
    let velocity = cuda.operand(name, sources.iter().map(|(source, _)| source.velocity))?;
    velocity.expect(name, Precision::F32)?;
    if let Some((source, _)) = sources.iter().find(|(source, _)| source.weights.region != Region::Weights) {
        return Err(Error::Unsupported { op: name, problem: format!("{}, expected weights", source.weights) });
    }
    let mut rate = [0; MAX_TOWERS];
    rate.iter_mut().zip(sources).for_each(|(rate, (source, _))| *rate = source.parameter as u32);
    let rule = Rule { rate: Offsets::new(rate), momentum: op.momentum, decay: op.decay };
    let rates = cuda.inputs.rates();
    let (windows, rounded) = (extents.windows(), cuda.memory.rounded(Span::new(Region::Weights, 0, 0)));
    let mut arguments = vec![
        Argument::address(&input.base),
        Argument::value(&input.at),
        Argument::address(&d_output.base),
        Argument::value(&d_output.at),
        Argument::address(&weights.base),
        Argument::value(&weights.at),
        Argument::address(&velocity.base),
        Argument::value(&velocity.at),
        Argument::address(&rates),
        Argument::value(&rule),
        Argument::value(&windows),
        Argument::value(&products.product),
    ];
    arguments.extend(rounded.as_ref().map(Argument::address));
    let chunked = |chunk: u32| {
        let places = input.places().chain(d_output.places()).chain(weights.places()).chain(velocity.places());
        extents.chunked(products.precision) && { places }.all(|place| place.is_multiple_of(chunk as usize))
    };
    let problems = sources.len() as u32;
    let (kernel, grid) = match products.precision {
        Precision::F32 => {
            let (kernel, tile) = fc_update::entry(chunked(product::CHUNK));
            (kernel, tile.grid(products.product, problems))
        }
        Precision::Bf16 => {
            let (kernel, tile) = bf16::fc_update::entry(chunked(bf16::CHUNK));
            (kernel, tile.grid(products.product, problems))
        }
    };
    // SAFETY: the operation passed its check, so each span holds all images or weights, weights and velocities overlap
    // nothing, and the step has a rate for each; rounded weights lie beside the weights; the entry that copies chunks is
    // taken only where shape and places allow it, and regions are aligned to 256 bytes; product and windows are of one
    // shape, whose extents were checked, in one part; grid and block are the kernel's.
    unsafe { cuda.launch(kernel, grid, &arguments) }
}
