//! The shape of the operations of each layer.

use crate::net::{Kind, Net, Reads};
use crate::ops::{ActivationShape, ConvShape, DropoutShape, FcShape, LrnPoolShape, LrnShape, MapNormShape, PoolShape};

/// The per-tower shape of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Conv(ConvShape),
    Fc(FcShape),
    Activation(ActivationShape),
    Lrn(LrnShape),
    /// A pooling together with the normalisation before it.
    LrnPool(LrnPoolShape),
    MapNorm(MapNormShape),
    Pool(PoolShape),
    Dropout(DropoutShape),
    Softmax,
}

impl Shape {
    /// The shape of the `index`-th layer; `training` decides whether dropout drops.
    pub(super) fn of(net: &Net, index: usize, training: bool) -> Shape {
        let layer = &net.layers[index];
        let (input, output) = (net.input_of(index), layer.output);
        match layer.kind {
            Kind::Conv { size, stride, pad, .. } => Shape::Conv(ConvShape {
                in_height: input.height,
                in_width: input.width,
                channels: input.channels,
                out_height: output.height,
                out_width: output.width,
                filters: output.channels,
                size,
                stride,
                pad,
                in_blocks: false,
            }),
            Kind::Fc { .. } => Shape::Fc(FcShape { inputs: input.tower_len(), outputs: output.channels }),
            Kind::Activation(activation) => Shape::Activation(ActivationShape { activation, len: output.tower_len() }),
            Kind::Lrn { size, k, alpha, alpha_mode, beta } => Shape::Lrn(LrnShape {
                pixels: output.height * output.width,
                channels: output.channels,
                joined: if layer.reads == Reads::All { output.towers } else { 1 },
                size,
                k: k as f32,
                alpha: alpha_mode.factor(alpha, size) as f32,
                beta: beta as f32,
            }),
            Kind::MapNorm { size, k, alpha, alpha_mode, beta } => Shape::MapNorm(MapNormShape {
                height: output.height,
                width: output.width,
                channels: output.channels,
                size,
                k: k as f32,
                alpha: alpha_mode.factor(alpha, size * size) as f32,
                beta: beta as f32,
            }),
            Kind::Pool { size, stride, .. } => Shape::Pool(PoolShape {
                in_height: input.height,
                in_width: input.width,
                channels: input.channels,
                out_height: output.height,
                out_width: output.width,
                size,
                stride,
            }),
            Kind::Dropout { drop, scaling } => {
                let before = &net.layers[..index];
                let dropouts = before.iter().filter(|layer| matches!(layer.kind, Kind::Dropout { .. }));
                Shape::Dropout(DropoutShape {
                    units: output.tower_len(),
                    first_tower: 0,
                    layer: dropouts.count() as u32,
                    keep: (1.0 - drop) as f32,
                    scaling,
                    training,
                })
            }
            Kind::Softmax => Shape::Softmax,
        }
    }
}
