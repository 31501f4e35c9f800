//! A network as data: towers and an ordered list of layers, read from TOML.
//!
//! A layer reads the layer before it: its `own` tower, or `all` towers. That is the whole of the paper's two-GPU
//! connectivity (section 3.5); nothing in a net says where towers run. With the layers come the rules of training
//! that belong to a profile: augmentation, initialisation, rates, schedules.

mod keys;
mod layer;
mod parse;
mod training;

pub use layer::{AlphaMode, Extent, Kind, Layer, Learning, Reads};
pub use training::{AugmentRule, ColourBasis, Event, MeanKind, Schedule, Training};

use crate::Error;

/// A validated network.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// The net's name.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Towers that the layers are split over.
    pub towers: usize,
    /// Classes of the data set.
    pub classes: usize,
    /// How stored images become inputs.
    pub augment: AugmentRule,
    /// Batch size, rates, epochs.
    pub training: Training,
    /// The layers, first to last; the last is the softmax.
    pub layers: Vec<Layer>,
    /// The text it was read from.
    pub source: String,
}

impl Net {
    /// Reads a net from TOML; `origin` names it in messages. `classes` replaces the file's number of classes.
    ///
    /// # Errors
    /// [`Error::Net`] with the layer, the key, the value found and what is allowed.
    pub fn parse(source: &str, origin: &str, classes: Option<usize>) -> Result<Net, Error> {
        parse::net(source, origin, classes)
    }

    /// The extent of what the `index`-th layer reads.
    pub fn input_of(&self, index: usize) -> Extent {
        match index {
            0 => Extent { height: self.augment.crop, width: self.augment.crop, channels: 3, towers: 1 },
            _ => self.layers[index - 1].output,
        }
    }

    /// The towers that tower `tower` of the `index`-th layer reads: own first, then cyclic.
    pub fn sources_of(&self, index: usize, tower: usize) -> Vec<usize> {
        let towers = self.input_of(index).towers;
        match self.layers[index].reads {
            Reads::All => (0..towers).map(|i| (tower + i) % towers).collect(),
            Reads::Own => vec![tower % towers],
        }
    }

    /// Weights and biases of the `index`-th layer, over all towers.
    pub fn parameters_of(&self, index: usize) -> usize {
        let layer = &self.layers[index];
        let weights_per_output = match layer.kind {
            Kind::Conv { size, .. } => size * size * self.input_of(index).channels,
            Kind::Fc { .. } => self.input_of(index).tower_len(),
            _ => return 0,
        };
        let sources = self.sources_of(index, 0).len();
        layer.output.towers * layer.output.channels * (weights_per_output * sources + 1)
    }

    /// Multiply-adds of the `index`-th layer's forward pass for one image, over all towers.
    pub fn multiply_adds_of(&self, index: usize) -> usize {
        let output = self.layers[index].output;
        let parameters = self.parameters_of(index);
        let biases = if parameters > 0 { output.towers * output.channels } else { 0 };
        (parameters - biases) * output.height * output.width
    }

    /// Weights and biases of the net.
    pub fn parameters(&self) -> usize {
        (0..self.layers.len()).map(|index| self.parameters_of(index)).sum()
    }

    /// Multiply-adds of a forward pass for one image.
    pub fn multiply_adds(&self) -> usize {
        (0..self.layers.len()).map(|index| self.multiply_adds_of(index)).sum()
    }

    /// The schedule called `name`.
    pub fn schedule(&self, name: &str) -> Option<&Schedule> {
        self.training.schedules.iter().find(|schedule| schedule.name == name)
    }
}
