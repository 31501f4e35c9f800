//! Trained networks in the formats of other tools.
//!
//! [`Portable`] is a network in the layout that they agree on: channels before pixels (NCHW), filters before channels
//! (OIHW), one tensor over all towers, and no dropout: its factor is part of the weights behind it. [`onnx`] and
//! [`torch`] write it.

mod layout;
pub mod onnx;
mod proto;
pub mod torch;

use anyhow::Result;
use convnet::augment::{Sampler, View};
use convnet::net::{Extent, Kind, Layer, Net};
use convnet::ops::Scaling;
use convnet::plan::{Mode, Parameter, Plan};
use dataset::Statistics;

use crate::checkpoint::Checkpoint;

pub(crate) use layout::Layout;

/// Numbers with a name and extents.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `conv1.weight`.
    pub name: String,
    /// Slowest first.
    pub dims: Vec<usize>,
    /// In the order of `dims`.
    pub values: Vec<f32>,
}

/// A layer that computes something in a test.
#[derive(Clone, Debug)]
pub struct PortableLayer {
    /// As in the net.
    pub layer: Layer,
    /// What it reads.
    pub input: Extent,
    /// Weights `[outputs, inputs / groups, size, size]` or `[outputs, inputs]` and bias `[outputs]`.
    pub weights: Option<Weights>,
}

/// The parameters of a layer.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Groups of a convolution: outputs of a group read inputs of the same group only.
    pub groups: usize,
    /// `NAME.weight`.
    pub weight: Tensor,
    /// `NAME.bias`.
    pub bias: Tensor,
}

/// A network for other tools. Its input are pixels from 0 to 255, red, green, blue, `[N, 3, crop, crop]`.
#[derive(Clone, Debug)]
pub struct Portable {
    /// The net, with its source.
    pub net: Net,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What is subtracted from the pixels, `[1, 3, crop, crop]`.
    pub mean: Tensor,
    /// Statistics of the training images, for those who go on training.
    pub statistics: Statistics,
    /// The layers, dropout left out.
    pub layers: Vec<PortableLayer>,
}

impl Portable {
    /// The network of a checkpoint.
    ///
    /// # Errors
    /// When the checkpoint lacks a parameter.
    pub fn new(checkpoint: &Checkpoint) -> Result<Portable> {
        let net = &checkpoint.net;
        let plan = Plan::compile(net, 1, Mode::Infer);
        // Weights behind a dropout take over its factor.
        let mut factor = 1.0;
        let mut layers = Vec::new();
        for (index, layer) in net.layers.iter().enumerate() {
            if let Kind::Dropout { drop, scaling: Scaling::Test } = layer.kind {
                factor *= (1.0 - drop) as f32;
            }
            if matches!(layer.kind, Kind::Dropout { .. }) {
                continue;
            }
            let mut weights = None;
            if layer.kind.learning().is_some() {
                let of_layer = plan.parameters.iter().filter(|parameter| parameter.layer == layer.name);
                weights = Some(joined(checkpoint, net, index, factor, &of_layer.collect::<Vec<_>>())?);
                factor = 1.0;
            }
            layers.push(PortableLayer { layer: layer.clone(), input: net.input_of(index), weights });
        }
        let (classes, statistics) = (checkpoint.state.classes.clone(), checkpoint.statistics.clone());
        Ok(Portable { net: net.clone(), classes, mean: mean(net, &statistics), statistics, layers })
    }
}

/// The mean as a test subtracts it.
fn mean(net: &Net, statistics: &Statistics) -> Tensor {
    let sampler = Sampler::new(&net.augment, statistics.eigenvalues, statistics.eigenvectors);
    debug_assert!(sampler.view(View::Centre, 1).iter().all(|draw| draw.scale == 1.0 && draw.shift == [0.0; 3]));
    let crop = net.augment.crop;
    let pixels = sampler.mean(&statistics.mean);
    let values = (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect();
    Tensor { name: "mean".to_string(), dims: vec![1, 3, crop, crop], values }
}

/// The parameters of a layer over all towers.
fn joined(checkpoint: &Checkpoint, net: &Net, index: usize, factor: f32, parameters: &[&Parameter]) -> Result<Weights> {
    let name = &net.layers[index].name;
    let layout = Layout::of(net, index);
    let mut weight = vec![0.0; layout.dims().iter().product()];
    let mut bias = Vec::new();
    let mut next = parameters.iter();
    for (tower, reads) in layout.sources.iter().enumerate() {
        for &source in reads {
            let Some(parameter) = next.next() else { continue };
            let values = checkpoint.parameter(parameter)?;
            layout.places(tower, source).zip(values).for_each(|(place, value)| weight[place] = value * factor);
        }
        if let Some(parameter) = next.next() {
            bias.extend(checkpoint.parameter(parameter)?);
        }
    }
    let tensor = |what: &str, dims, values| Tensor { name: format!("{name}.{what}"), dims, values };
    let (weight, bias) = (tensor("weight", layout.dims(), weight), tensor("bias", vec![layout.all_outputs()], bias));
    Ok(Weights { groups: layout.groups, weight, bias })
}

/// Pixels that windows reach beyond the far edge of `input` pixels.
fn overhang(input: usize, output: usize, size: usize, stride: usize, pad: usize) -> usize {
    ((output - 1) * stride + size).saturating_sub(input + pad)
}
