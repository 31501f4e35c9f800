//! torchvision's `alexnet`: the names of its state dict, and its input.
//!
//! It reads pixels divided by 255, less a mean, divided by a deviation. The deviation becomes a part of conv1, so that
//! the network reads pixels from 0 to 255 like the others; the zeros around an image stay zeros.

use anyhow::{Context, Result, bail};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::{Found, LAYERS};
use crate::portable::Tensor;

/// What torchvision's weights want: mean and deviation of red, green, blue on 0 to 1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// The modules of [`LAYERS`].
const MODULES: [&str; 8] = [
    "features.0",
    "features.3",
    "features.6",
    "features.8",
    "features.10",
    "classifier.1",
    "classifier.4",
    "classifier.6",
];

/// The tensors of the state dict.
pub(super) fn names() -> Vec<String> {
    MODULES.iter().flat_map(|module| ["weight", "bias"].map(|what| format!("{module}.{what}"))).collect()
}

/// Reads the state dict from a safetensors file.
pub(super) fn from_safetensors(contents: &[u8]) -> Result<Vec<Tensor>> {
    let file = SafeTensors::deserialize(contents).context("it is cut off or damaged")?;
    let read = |name: String| -> Result<Tensor> {
        let view = file.tensor(&name).ok().with_context(|| foreign(&name))?;
        if view.dtype() != Dtype::F32 {
            bail!("its {name} is {:?}, expected F32", view.dtype());
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        Ok(Tensor { dims: view.shape().to_vec(), name, values })
    };
    names().into_iter().map(read).collect()
}

/// What to say of a file without a tensor.
pub(super) fn foreign(name: &str) -> String {
    format!("it is no state dict of torchvision's alexnet: it has no {name}")
}

/// The network of a state dict, its tensors in the order of [`names`].
pub(super) fn found(tensors: Vec<Tensor>) -> Result<Found> {
    let ours = LAYERS.iter().flat_map(|layer| ["weight", "bias"].map(|what| format!("{layer}.{what}")));
    let mut tensors: std::collections::BTreeMap<String, Tensor> = ours.zip(tensors).collect();
    if let Some(Tensor { dims, values, .. }) = tensors.get_mut("conv1.weight") {
        let &[_, 3, height, width] = &dims[..] else {
            bail!("its features.0.weight is {dims:?}, expected [64, 3, 11, 11]")
        };
        let plane = height.saturating_mul(width).max(1);
        for (index, plane) in values.chunks_mut(plane).enumerate() {
            plane.iter_mut().for_each(|value| *value /= 255.0 * DEVIATION[index % 3]);
        }
    }
    Ok(Found { net: "torchvision", mean: MEAN.map(|mean| mean * 255.0), tensors })
}
