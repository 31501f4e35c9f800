//! Fully connected layers: convolutions of one pixel by one tap, with shorter parts.

use super::Cuda;
use super::conv::{Extents, forward_of, input_grad_of, weight_grad_of};
use crate::Error;
use crate::ops::{ConvShape, FcForward, FcInputGrad, FcShape, FcWeightGrad, Forward, InputGrad, Operation, WeightGrad};

/// Terms of an f32 sum that are added in one part. There are few rows, so a card is filled by parts, and a layer with few
/// columns, too, needs more of them.
fn slice(FcShape { inputs, outputs }: FcShape) -> u32 {
    if inputs.saturating_mul(outputs) <= 1 << 21 { 176 } else { 768 }
}

pub(super) fn conv_shape(FcShape { inputs, outputs }: FcShape) -> ConvShape {
    ConvShape {
        in_height: 1,
        in_width: 1,
        channels: inputs,
        out_height: 1,
        out_width: 1,
        filters: outputs,
        size: 1,
        stride: 1,
        pad: 0,
        in_blocks: false,
    }
}

pub(super) fn forward(cuda: &mut Cuda, op: &FcForward, images: usize) -> Result<(), Error> {
    let shape = conv_shape(op.shape);
    let extents = Extents::new(FcForward::NAME, shape, images)?;
    let conv = Forward { shape, activation: op.activation, towers: op.towers.clone() };
    forward_of(cuda, &conv, &extents, slice(op.shape), FcForward::NAME)
}

pub(super) fn input_grad(cuda: &mut Cuda, op: &FcInputGrad, images: usize) -> Result<(), Error> {
    let shape = conv_shape(op.shape);
    let extents = Extents::new(FcInputGrad::NAME, shape, images)?;
    let conv = InputGrad { shape, sources: op.sources.clone() };
    input_grad_of(cuda, &conv, &extents, slice(op.shape), FcInputGrad::NAME)
}

pub(super) fn weight_grad(cuda: &mut Cuda, op: &FcWeightGrad, images: usize) -> Result<(), Error> {
    let shape = conv_shape(op.shape);
    let extents = Extents::new(FcWeightGrad::NAME, shape, images)?;
    let conv = WeightGrad { shape, towers: op.towers.clone() };
    // In one part, as those of `fc_update`: images are few.
    weight_grad_of(cuda, &conv, &extents, Cuda::whole, FcWeightGrad::NAME)
}
