//! Caffe's `.caffemodel` and `.binaryproto`: bvlc_alexnet and bvlc_reference_caffenet.
//!
//! The part of `caffe.proto` that is read, with its field numbers; both kinds of layers, of before and after 2014.
//! Caffe's images are blue, green, red; conv1 is turned for red, green, blue.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use prost::Message;

use super::{Found, LAYERS};
use crate::portable::Tensor;

/// The mean pixel of ILSVRC-2012 that comes with Caffe, red, green, blue.
const MEAN: [f32; 3] = [122.678_91, 116.668_77, 104.006_99];
/// `V1LayerParameter.LayerType`.
const V1_LRN: i32 = 15;
const V1_POOLING: i32 = 17;

#[derive(Clone, PartialEq, prost::Message)]
struct NetParameter {
    #[prost(message, repeated, tag = "2")]
    layers: Vec<V1LayerParameter>,
    #[prost(message, repeated, tag = "100")]
    layer: Vec<LayerParameter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LayerParameter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    r#type: String,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<BlobProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct V1LayerParameter {
    #[prost(string, tag = "4")]
    name: String,
    #[prost(int32, tag = "5")]
    r#type: i32,
    #[prost(message, repeated, tag = "6")]
    blobs: Vec<BlobProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BlobProto {
    #[prost(int32, tag = "1")]
    num: i32,
    #[prost(int32, tag = "2")]
    channels: i32,
    #[prost(int32, tag = "3")]
    height: i32,
    #[prost(int32, tag = "4")]
    width: i32,
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<BlobShape>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    dim: Vec<i64>,
}

impl BlobProto {
    /// Its extents, without those of 1 in front that old files have.
    fn dims(&self, rank: usize) -> Vec<usize> {
        let old = [self.num, self.channels, self.height, self.width].map(i64::from);
        let dims = self.shape.as_ref().map_or(&old[..], |shape| &shape.dim);
        let mut dims: Vec<usize> = dims.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect();
        let spare = dims.len().saturating_sub(rank);
        let ones = dims[..spare].iter().take_while(|&&extent| extent == 1).count();
        dims.split_off(ones)
    }
}

/// What is between the first convolution and the second.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Pooling,
    Normalisation,
    Other,
}

/// Reads a `.caffemodel`.
pub(super) fn found(contents: &[u8]) -> Result<Found> {
    let model = NetParameter::decode(contents)
        .context("it is no .caffemodel, .safetensors or .pth, or it is cut off or damaged")?;
    let stage = |is_pool, is_norm| match (is_pool, is_norm) {
        (true, _) => Stage::Pooling,
        (_, true) => Stage::Normalisation,
        _ => Stage::Other,
    };
    let old = model.layers.into_iter().map(|layer| {
        let V1LayerParameter { name, r#type, blobs } = layer;
        (name, stage(r#type == V1_POOLING, r#type == V1_LRN), blobs)
    });
    let new = model.layer.into_iter().map(|layer| {
        let LayerParameter { name, r#type, blobs } = layer;
        (name, stage(r#type == "Pooling", r#type == "LRN"), blobs)
    });
    let mut first = None;
    let mut tensors = BTreeMap::new();
    for (layer, stage, blobs) in old.chain(new) {
        if stage != Stage::Other {
            first = first.or(Some(stage));
        }
        if !LAYERS.contains(&layer.as_str()) {
            continue;
        }
        let [weight, bias] = <[BlobProto; 2]>::try_from(blobs)
            .map_err(|blobs| anyhow::anyhow!("its layer {layer} has {} blobs, expected 2", blobs.len()))?;
        let rank = if layer.starts_with("conv") { 4 } else { 2 };
        for (what, blob, rank) in [("weight", weight, rank), ("bias", bias, 1)] {
            let name = format!("{layer}.{what}");
            let (dims, mut values) = (blob.dims(rank), blob.data);
            if name == "conv1.weight" {
                turn(&dims, &mut values);
            }
            if tensors.insert(name.clone(), Tensor { name, dims, values }).is_some() {
                bail!("it has two layers {layer}");
            }
        }
    }
    let net = match first {
        Some(Stage::Normalisation) => "bvlc-alexnet",
        Some(_) => "caffenet",
        None => bail!("it is no .caffemodel of an AlexNet: it has no pooling and no normalisation"),
    };
    Ok(Found { net, mean: MEAN, tensors })
}

/// Turns the channels of filters `[_, 3, size, size]` around; others are refused later.
fn turn(dims: &[usize], values: &mut [f32]) {
    let &[_, 3, height, width] = dims else { return };
    let plane = height.saturating_mul(width);
    if plane == 0 {
        return;
    }
    for filter in values.chunks_exact_mut(plane.saturating_mul(3)) {
        let (blue, rest) = filter.split_at_mut(plane);
        blue.swap_with_slice(&mut rest[plane..]);
    }
}

/// Reads a mean image, Caffe's `.binaryproto`, of `side` pixels: `[side, side, 3]`, red, green, blue.
///
/// # Errors
/// When it cannot be read or has other extents.
pub fn read_mean(path: &Path, side: usize) -> Result<Vec<f32>> {
    let shown = path.display();
    let contents = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let blob = BlobProto::decode(&contents[..]).with_context(|| format!("{shown} is no .binaryproto"))?;
    let (dims, expected) = (blob.dims(3), [3, side, side]);
    if dims != expected || blob.data.len() != 3 * side * side {
        bail!("{shown} holds {} numbers of {dims:?}, expected a mean image {expected:?}", blob.data.len());
    }
    let plane = side * side;
    let mean: Vec<f32> = (0..plane * 3).map(|i| blob.data[(2 - i % 3) * plane + i / 3]).collect();
    if mean.iter().any(|value| !(0.0..=255.0).contains(value)) {
        bail!("{shown} holds numbers that no mean of pixels has, expected 0 to 255");
    }
    Ok(mean)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A model with one number in most blobs.
    pub(crate) fn sample() -> Vec<u8> {
        let layer = |name: &str, r#type: &str, dims: &[i64]| {
            let blob = |dim: &[i64]| BlobProto {
                data: (0..dim.iter().product()).map(|i| i as f32).collect(),
                shape: Some(BlobShape { dim: dim.to_vec() }),
                ..BlobProto::default()
            };
            let blobs = if dims.is_empty() { Vec::new() } else { vec![blob(dims), blob(&dims[..1])] };
            LayerParameter { name: name.to_string(), r#type: r#type.to_string(), blobs }
        };
        let layer = vec![
            layer("conv1", "Convolution", &[2, 3, 1, 2]),
            layer("norm1", "LRN", &[]),
            layer("pool1", "Pooling", &[]),
            layer("fc8", "InnerProduct", &[4, 2]),
        ];
        NetParameter { layers: Vec::new(), layer }.encode_to_vec()
    }

    /// A mean image of 2 by 2 pixels.
    pub(crate) fn mean() -> Vec<u8> {
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        BlobProto { num: 1, channels: 3, height: 2, width: 2, data, shape: None }.encode_to_vec()
    }

    #[test]
    fn channels_are_turned_and_the_order_of_the_layers_tells_the_net() {
        let found = found(&sample()).unwrap();
        assert_eq!(found.net, "bvlc-alexnet");
        let conv1 = &found.tensors["conv1.weight"];
        assert_eq!(conv1.dims, [2, 3, 1, 2]);
        assert_eq!(conv1.values, [4.0, 5.0, 2.0, 3.0, 0.0, 1.0, 10.0, 11.0, 8.0, 9.0, 6.0, 7.0]);
    }

    #[test]
    fn layers_of_before_2014_are_read() {
        let blob = |num, channels, height, width| BlobProto {
            data: vec![1.0; (num * channels * height * width) as usize],
            num,
            channels,
            height,
            width,
            shape: None,
        };
        let layer = |name: &str, r#type, blobs| V1LayerParameter { name: name.to_string(), r#type, blobs };
        let layers = vec![
            layer("pool1", V1_POOLING, Vec::new()),
            layer("norm1", V1_LRN, Vec::new()),
            layer("fc8", 14, vec![blob(1, 1, 5, 3), blob(1, 1, 1, 5)]),
        ];
        let found = found(&NetParameter { layers, layer: Vec::new() }.encode_to_vec()).unwrap();
        assert_eq!(found.net, "caffenet");
        assert_eq!(
            (&found.tensors["fc8.weight"].dims[..], &found.tensors["fc8.bias"].dims[..]),
            (&[5, 3][..], &[5][..])
        );
    }

    #[test]
    fn a_mean_image_becomes_red_green_blue() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mean.binaryproto");
        fs::write(&path, mean()).unwrap();
        assert_eq!(read_mean(&path, 2).unwrap(), [8.0, 4.0, 0.0, 9.0, 5.0, 1.0, 10.0, 6.0, 2.0, 11.0, 7.0, 3.0]);
        assert!(read_mean(&path, 3).unwrap_err().to_string().contains("expected a mean image [3, 3, 3]"));
    }
}
