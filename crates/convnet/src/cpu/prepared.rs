//! Weights as forward passes read them, packed or transformed, kept until the weights change.

use super::floats::Floats;
use crate::ops::{ConvForward, ConvShape, Span};

/// What was made of the weights of each layer.
#[derive(Default)]
pub(super) struct Prepared {
    layers: Vec<Layer>,
    /// How often weights have changed.
    version: u64,
}

struct Layer {
    shape: ConvShape,
    weights: Vec<Span>,
    version: u64,
    floats: Floats,
}

impl Prepared {
    /// Has to be called when weights change.
    pub(super) fn expire(&mut self) {
        self.version += 1;
    }

    /// The `len` floats that `prepare` makes of the weights of `op`, made anew only if weights have changed since.
    pub(super) fn of(&mut self, op: &ConvForward, len: usize, prepare: impl FnOnce(&mut [f32])) -> &[f32] {
        let spans = || op.towers.iter().flat_map(|tower| &tower.weights);
        let known = |layer: &Layer| layer.shape == op.shape && layer.weights.iter().eq(spans());
        let index = self.layers.iter().position(known).unwrap_or_else(|| {
            let (shape, weights) = (op.shape, spans().copied().collect());
            self.layers.push(Layer { shape, weights, version: 0, floats: Floats::default() });
            self.layers.len() - 1
        });
        let layer = &mut self.layers[index];
        if layer.floats.len() < len || layer.version != self.version {
            layer.floats.grow(len);
            prepare(&mut layer.floats[..len]);
            layer.version = self.version;
        }
        &layer.floats[..len]
    }
}
