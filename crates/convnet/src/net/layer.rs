//! One layer of a net.

use crate::ops::{Activation, Scaling};

/// What a layer gives: one buffer `[N, height, width, channels]` for each of `towers` towers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Maps or units of one tower.
    pub channels: usize,
    /// Towers.
    pub towers: usize,
}

impl Extent {
    /// Floats of one tower and image.
    pub fn tower_len(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Which towers of the layer before a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Its own.
    Own,
    /// All of them.
    All,
}

/// A layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// As in the paper: `conv1`, `norm1`, `pool1`, `fc6`.
    pub name: String,
    /// Which towers it reads.
    pub reads: Reads,
    /// What it computes.
    pub kind: Kind,
    /// What it gives.
    pub output: Extent,
}

/// How alpha enters a response normalisation: the field's most frequent misunderstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaMode {
    /// Times the sum of squares: the paper's text.
    Sum,
    /// Times their mean over the window: the 2012 code, Caffe, cuDNN, PyTorch.
    Mean,
}

impl AlphaMode {
    /// The factor of the sum of squares, for a window of `terms` terms.
    pub fn factor(self, alpha: f64, terms: usize) -> f64 {
        match self {
            AlphaMode::Sum => alpha,
            AlphaMode::Mean => alpha / terms as f64,
        }
    }
}

/// How the weights of a layer start and learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Standard deviation of the initial weights (normal, mean 0).
    pub init_std: f64,
    /// Initial biases.
    pub bias: f64,
    /// Factor of the learning rate for weights.
    pub rate: f64,
    /// Factor of the learning rate for biases.
    pub bias_rate: f64,
    /// Factor of the weight decay for weights.
    pub decay: f64,
    /// Factor of the weight decay for biases.
    pub bias_decay: f64,
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Convolution.
    Conv {
        /// Side of a filter.
        size: usize,
        /// Pixels between windows.
        stride: usize,
        /// Zero pixels above and to the left.
        pad: usize,
        /// Whether a last window may hang over the edge.
        ceil: bool,
        /// Initialisation and learning.
        learning: Learning,
    },
    /// Fully connected.
    Fc {
        /// Initialisation and learning.
        learning: Learning,
    },
    /// ReLU or tanh.
    Activation(Activation),
    /// Response normalisation across maps; `reads = "all"` lets windows run over the maps of all towers.
    Lrn {
        /// Maps in a window.
        size: usize,
        /// Added to the sum.
        k: f64,
        /// As written in the net.
        alpha: f64,
        /// What alpha multiplies.
        alpha_mode: AlphaMode,
        /// Exponent.
        beta: f64,
    },
    /// Response normalisation within each map.
    MapNorm {
        /// Side of the window.
        size: usize,
        /// Added to the sum.
        k: f64,
        /// As written in the net.
        alpha: f64,
        /// What alpha multiplies.
        alpha_mode: AlphaMode,
        /// Exponent.
        beta: f64,
    },
    /// Max pooling.
    Pool {
        /// Side of a window.
        size: usize,
        /// Pixels between windows.
        stride: usize,
        /// Whether a last window may hang over the edge.
        ceil: bool,
    },
    /// Dropout.
    Dropout {
        /// Probability that a unit is dropped.
        drop: f64,
        /// Where the factor goes.
        scaling: Scaling,
    },
    /// Softmax with cross-entropy.
    Softmax,
}

impl Kind {
    /// The `type` of a net's file.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Conv { .. } => "conv",
            Kind::Fc { .. } => "fc",
            Kind::Activation(Activation::Relu) => "relu",
            Kind::Activation(Activation::Tanh { .. }) => "tanh",
            Kind::Lrn { .. } => "lrn",
            Kind::MapNorm { .. } => "map_norm",
            Kind::Pool { .. } => "pool",
            Kind::Dropout { .. } => "dropout",
            Kind::Softmax => "softmax",
        }
    }

    /// Initialisation and learning, of layers that have weights.
    pub fn learning(&self) -> Option<&Learning> {
        match self {
            Kind::Conv { learning, .. } | Kind::Fc { learning } => Some(learning),
            _ => None,
        }
    }
}
