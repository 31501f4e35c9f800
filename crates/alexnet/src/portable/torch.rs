//! Safetensors with PyTorch's layouts and names: `conv2.weight` `[filters, channels / groups, size, size]`,
//! `fc6.weight` `[outputs, inputs]`, `NAME.bias`, `mean`, `eigenvalues`, `eigenvectors`.
//!
//! The metadata holds what a program needs to build the layers: the net's TOML, the classes, the groups of each
//! convolution, the padding on the right and below.

use std::collections::HashMap;

use anyhow::{Context, Result};
use convnet::net::Kind;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::{Portable, Tensor, overhang};

/// The bytes of a safetensors file.
///
/// # Errors
/// When the file cannot be made.
pub fn encode(model: &Portable) -> Result<Vec<u8>> {
    let statistics = &model.statistics;
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let extra = [
        model.mean.clone(),
        Tensor { name: "eigenvalues".to_string(), dims: vec![3], values: narrow(&statistics.eigenvalues) },
        Tensor {
            name: "eigenvectors".to_string(),
            dims: vec![3, 3],
            values: narrow(&statistics.eigenvectors.concat()),
        },
    ];
    let weights = model.layers.iter().filter_map(|layer| layer.weights.as_ref());
    let tensors: Vec<&Tensor> = weights.flat_map(|weights| [&weights.weight, &weights.bias]).chain(&extra).collect();
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let mut views = Vec::new();
    for (tensor, bytes) in tensors.iter().zip(&bytes) {
        views.push((tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.dims.clone(), bytes)?));
    }
    let metadata = HashMap::from([
        ("format".to_string(), "pt".to_string()),
        ("net".to_string(), model.net.source.clone()),
        ("classes".to_string(), json!(model.classes).to_string()),
        ("layers".to_string(), Value::Array(model.layers.iter().map(layer).collect()).to_string()),
    ]);
    safetensors::serialize(views, Some(metadata)).context("cannot make the file")
}

/// A layer in words that need no knowledge of towers.
fn layer(portable: &super::PortableLayer) -> Value {
    let (layer, input) = (&portable.layer, portable.input);
    let mut words = Map::from_iter([
        ("name".to_string(), json!(layer.name)),
        ("type".to_string(), json!(layer.kind.name())),
        ("towers".to_string(), json!(layer.output.towers)),
        ("channels".to_string(), json!(layer.output.towers * layer.output.channels)),
    ]);
    let mut put = |key: &str, value: Value| words.insert(key.to_string(), value);
    match layer.kind {
        Kind::Conv { size, stride, pad, .. } => {
            let far = |input, output| overhang(input, output, size, stride, pad);
            let (below, right) = (far(input.height, layer.output.height), far(input.width, layer.output.width));
            put("stride", json!(stride));
            put("padding", json!([pad, right, pad, below]));
            put("groups", json!(portable.weights.as_ref().map_or(1, |weights| weights.groups)));
        }
        Kind::Pool { size, stride, .. } => {
            let far = |input, output| overhang(input, output, size, stride, 0);
            let (below, right) = (far(input.height, layer.output.height), far(input.width, layer.output.width));
            put("size", json!(size));
            put("stride", json!(stride));
            put("padding", json!([0, right, 0, below]));
        }
        Kind::Lrn { size, k, alpha, alpha_mode, beta } => {
            let joined = layer.reads == convnet::net::Reads::All;
            put("size", json!(size));
            put("k", json!(k));
            put("alpha", json!(alpha_mode.factor(alpha, size)));
            put("beta", json!(beta));
            put("per_tower", json!(!joined));
        }
        Kind::MapNorm { size, k, alpha, alpha_mode, beta } => {
            put("size", json!(size));
            put("k", json!(k));
            put("alpha", json!(alpha_mode.factor(alpha, size * size)));
            put("beta", json!(beta));
        }
        Kind::Activation(convnet::ops::Activation::Tanh { a, b }) => {
            put("a", json!(a));
            put("b", json!(b));
        }
        _ => {}
    }
    Value::Object(words)
}
