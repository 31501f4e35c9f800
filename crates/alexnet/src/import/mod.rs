//! Trained networks of other programs: Caffe's two AlexNets and torchvision's.
//!
//! Each format is read to tensors under our layers' names, in the layouts that all of them share (filters before
//! channels before pixels), and [`read`] checks their extents against a built-in net and cuts them into towers.
//! The files are other people's: whatever they hold, reading them ends with a network or with an error.

mod caffe;
mod pickle;
mod torchvision;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use convnet::net::Net;
use convnet::plan::{Mode, Plan};

use crate::nets;
use crate::portable::{Layout, Tensor};

pub use caffe::read_mean;

/// Larger than any file of an AlexNet.
const MAX_FILE: u64 = 4 << 30;
/// The layers with weights of every AlexNet.
const LAYERS: [&str; 8] = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];

/// A network of another program.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The built-in net that computes the same.
    pub net: Net,
    /// What is subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// The numbers of every parameter of the net, by its name.
    pub parameters: BTreeMap<String, Vec<f32>>,
}

/// What a format's reader finds.
struct Found {
    /// The built-in net.
    net: &'static str,
    /// What is subtracted from red, green and blue.
    mean: [f32; 3],
    /// `conv1.weight`, `conv1.bias` and so on, conv1 for red, green, blue from 0 to 255.
    tensors: BTreeMap<String, Tensor>,
}

/// Reads a `.caffemodel`, or a state dict of torchvision's `alexnet` as `.safetensors` or `.pth`.
///
/// # Errors
/// When the file cannot be read, is damaged, or is another network.
pub fn read(path: &Path) -> Result<Imported> {
    let shown = path.display();
    let length = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if length > MAX_FILE {
        bail!("{shown} has {length} bytes, an AlexNet at most {MAX_FILE}");
    }
    let contents = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    decode(&contents).with_context(|| format!("cannot import {shown}"))
}

fn decode(contents: &[u8]) -> Result<Imported> {
    if contents.is_empty() {
        bail!("it is empty");
    }
    let found = if contents.starts_with(b"PK") {
        torchvision::found(pickle::read(contents, &torchvision::names())?)?
    } else if contents.starts_with(&[0x80, 2]) {
        bail!(
            "it is in PyTorch's format of before 2020; write it anew with \
             torch.save(torch.load(FILE), NEW) in a later PyTorch"
        )
    } else if contents.get(8) == Some(&b'{') {
        torchvision::found(torchvision::from_safetensors(contents)?)?
    } else {
        caffe::found(contents)?
    };
    found.cut()
}

impl Found {
    /// Cuts the tensors into the towers of the net.
    fn cut(self) -> Result<Imported> {
        let classes = self.tensor("fc8.bias")?.values.len();
        let (text, origin) = nets::source(self.net)?;
        let net = Net::parse(&text, &origin, Some(classes))?;
        let mut parameters = BTreeMap::new();
        let plan = Plan::compile(&net, 1, Mode::Infer);
        for (index, layer) in net.layers.iter().enumerate().filter(|(_, layer)| layer.kind.learning().is_some()) {
            let layout = Layout::of(&net, index);
            let weight = self.checked(&format!("{}.weight", layer.name), &layout.dims())?;
            let bias = self.checked(&format!("{}.bias", layer.name), &[layout.all_outputs()])?;
            // A tower's weights from each tower that it reads, then its biases.
            let mut own = plan.parameters.iter().filter(|parameter| parameter.layer == layer.name);
            for (tower, reads) in layout.sources.iter().enumerate() {
                for (&source, parameter) in reads.iter().zip(own.by_ref()) {
                    let values = layout.places(tower, source).map(|place| weight[place]).collect();
                    parameters.insert(parameter.name.clone(), values);
                }
                if let Some(parameter) = own.next() {
                    let values = bias[tower * layout.outputs..][..layout.outputs].to_vec();
                    parameters.insert(parameter.name.clone(), values);
                }
            }
        }
        Ok(Imported { net, mean: self.mean, parameters })
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("it has no {name}, a {} has", self.net))
    }

    fn checked(&self, name: &str, dims: &[usize]) -> Result<&[f32]> {
        let tensor = self.tensor(name)?;
        if tensor.dims != dims || tensor.values.len() != dims.iter().product::<usize>() {
            bail!("its {name} is {:?} with {} numbers, expected {dims:?}", tensor.dims, tensor.values.len());
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            bail!("its {name} holds numbers that are not finite");
        }
        Ok(&tensor.values)
    }
}

#[cfg(test)]
mod tests;
