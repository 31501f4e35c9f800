//! The file of probabilities that `eval` saves, `ensemble` averages and `submit` writes labels from.
//!
//! Safetensors: `probabilities` `[images, classes]` in f32 and `labels` `[images]` in i64; the metadata has the names of
//! the images and of the classes as JSON.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use convnet::run::Outcome;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::evaluate::measure;
use crate::output::write_whole;

const FORMAT: &str = "alexnet probabilities";

/// What a network, or several, say about some images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probabilities {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Names of the images.
    pub images: Vec<String>,
    /// The true class of each image.
    pub labels: Vec<u32>,
    /// `[images, classes]`.
    pub values: Vec<f32>,
}

impl Probabilities {
    /// The probabilities of one image.
    pub fn row(&self, image: usize) -> &[f32] {
        &self.values[image * self.classes.len()..][..self.classes.len()]
    }

    /// Losses and hits of the images that `chosen` wants.
    pub fn outcome(&self, chosen: impl Fn(usize) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        for image in (0..self.images.len()).filter(|&image| chosen(image)) {
            let row: Vec<f64> = self.row(image).iter().map(|&value| value.into()).collect();
            outcome.add(measure(&row, &[self.labels[image]]));
        }
        outcome
    }

    /// Writes the file whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let labels: Vec<u8> = self.labels.iter().flat_map(|&label| i64::from(label).to_le_bytes()).collect();
        let (images, classes) = (self.images.len(), self.classes.len());
        let tensors = [
            ("probabilities", TensorView::new(Dtype::F32, vec![images, classes], &values)?),
            ("labels", TensorView::new(Dtype::I64, vec![images], &labels)?),
        ];
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("classes".to_string(), json!(self.classes).to_string()),
            ("images".to_string(), json!(self.images).to_string()),
        ]);
        let contents = safetensors::serialize(tensors, Some(metadata)).context("cannot make the file")?;
        write_whole(path, &contents)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, is cut off or is something else.
    pub fn read(path: &Path) -> Result<Probabilities> {
        let contents = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Probabilities::decode(&contents)
            .with_context(|| format!("{} is no file of `eval --save-probabilities`", path.display()))
    }

    fn decode(contents: &[u8]) -> Result<Probabilities> {
        let (_, header) = SafeTensors::read_metadata(contents)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).with_context(|| format!("its metadata has no {key:?}"));
        if text("format")? != FORMAT {
            bail!("its format is {:?}, expected {FORMAT:?}", text("format")?);
        }
        let names = |key: &str| -> Result<Vec<String>> {
            serde_json::from_str(text(key)?).with_context(|| format!("its metadata {key:?} is no list of names"))
        };
        let (classes, images) = (names("classes")?, names("images")?);
        let tensors = SafeTensors::deserialize(contents)?;
        let bytes = |name: &str, dtype: Dtype, dims: &[usize]| -> Result<Vec<u8>> {
            let tensor = tensors.tensor(name)?;
            if tensor.dtype() != dtype || tensor.shape() != dims {
                let (has, shape) = (tensor.dtype(), tensor.shape());
                bail!("its {name} are {has:?} {shape:?}, expected {dtype:?} {dims:?}");
            }
            Ok(tensor.data().to_vec())
        };
        let values = bytes("probabilities", Dtype::F32, &[images.len(), classes.len()])?;
        let values: Vec<f32> = values.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            bail!("it holds {value} as a probability, expected 0 to 1");
        }
        let labels = bytes("labels", Dtype::I64, &[images.len()])?;
        let label = |&bytes: &[u8; 8]| {
            let label = i64::from_le_bytes(bytes);
            let known = u32::try_from(label).ok().filter(|&label| (label as usize) < classes.len());
            known.ok_or_else(|| anyhow!("it holds label {label}, expected 0 to {}", classes.len().saturating_sub(1)))
        };
        let labels = labels.as_chunks::<8>().0.iter().map(label).collect::<Result<_>>()?;
        if images.is_empty() || classes.is_empty() {
            bail!("it has {} images and {} classes, expected at least one of each", images.len(), classes.len());
        }
        Ok(Probabilities { classes, images, labels, values })
    }
}

/// Probabilities of several networks for the same images.
#[derive(Clone, Debug)]
pub struct Members {
    /// Each network's, the images in the order of the first.
    members: Vec<Probabilities>,
}

impl Members {
    /// Reads the files and puts their images into the order of the first.
    ///
    /// # Errors
    /// When a file cannot be read, or they differ in classes, images or labels.
    pub fn read(paths: &[PathBuf]) -> Result<Members> {
        let mut members: Vec<Probabilities> = Vec::new();
        for path in paths {
            let member = Probabilities::read(path)?;
            let Some(first) = members.first() else {
                members.push(member);
                continue;
            };
            let aligned = align(first, &member);
            members
                .push(aligned.with_context(|| format!("{} does not go with {}", path.display(), paths[0].display()))?);
        }
        Ok(Members { members })
    }

    /// The networks' own probabilities.
    pub fn each(&self) -> &[Probabilities] {
        &self.members
    }

    /// The average with weights that sum to 1.
    pub fn average(&self, weights: &[f64]) -> Probabilities {
        let mut average = self.members[0].clone();
        for (place, value) in average.values.iter_mut().enumerate() {
            let terms =
                self.members.iter().zip(weights).map(|(member, weight)| f64::from(member.values[place]) * weight);
            *value = (terms.sum::<f64>() as f32).min(1.0);
        }
        average
    }

    /// The weights under which the average gives the labels of the images that `chosen` wants the lowest loss.
    ///
    /// The loss is convex in the weights, so that the maximum-likelihood steps for the proportions of a mixture find the
    /// minimum from anywhere: each weight becomes the mean share that its network has in the labels' probabilities.
    pub fn search(&self, chosen: impl Fn(usize) -> bool) -> Vec<f64> {
        let first = &self.members[0];
        let of_label = |image: usize| -> Vec<f64> {
            let label = first.labels[image] as usize;
            // A label that no network gives any probability counts for none of them.
            self.members.iter().map(|member| f64::from(member.row(image)[label]).max(1e-30)).collect()
        };
        let rows: Vec<Vec<f64>> = (0..first.images.len()).filter(|&image| chosen(image)).map(of_label).collect();
        let mut weights = vec![1.0 / self.members.len() as f64; self.members.len()];
        for _ in 0..MAX_STEPS {
            let mut next = vec![0.0; weights.len()];
            for row in &rows {
                let total: f64 = row.iter().zip(&weights).map(|(p, weight)| p * weight).sum();
                for ((share, p), weight) in next.iter_mut().zip(row).zip(&weights) {
                    *share += p * weight / total / rows.len() as f64;
                }
            }
            let change = next.iter().zip(&weights).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            weights = next;
            if change < CLOSE {
                break;
            }
        }
        weights
    }
}

/// Steps of a search at most, and the change of a weight at which it ends.
const MAX_STEPS: usize = 2000;
const CLOSE: f64 = 1e-7;

/// `member` with its images in the order of `first`.
fn align(first: &Probabilities, member: &Probabilities) -> Result<Probabilities> {
    if first.classes != member.classes {
        let (got, expected) = (member.classes.len(), first.classes.len());
        bail!("its {got} classes are not the same {expected}; measure both networks on the same data");
    }
    let place: HashMap<&str, usize> = member.images.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    if first.images.len() != member.images.len() || place.len() != member.images.len() {
        bail!("it has {} images, expected the same {}", member.images.len(), first.images.len());
    }
    let mut aligned = Probabilities { values: Vec::with_capacity(member.values.len()), ..first.clone() };
    for (image, name) in first.images.iter().enumerate() {
        let Some(&from) = place.get(name.as_str()) else { bail!("it lacks image {name}") };
        if member.labels[from] != first.labels[image] {
            bail!("image {name} has label {} there, {} here", member.labels[from], first.labels[image]);
        }
        aligned.values.extend(member.row(from));
    }
    Ok(aligned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f32]) -> Probabilities {
        Probabilities {
            classes: ["a", "b"].map(String::from).to_vec(),
            images: ["x", "y", "z"].map(String::from).to_vec(),
            labels: vec![0, 1, 0],
            values: values.to_vec(),
        }
    }

    #[test]
    fn a_file_comes_back_and_its_pieces_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        let written = sample(&[0.9, 0.1, 0.2, 0.8, 0.4, 0.6]);
        written.write(&path).unwrap();
        assert_eq!(Probabilities::read(&path).unwrap(), written);
        let contents = fs::read(&path).unwrap();
        for len in 0..contents.len() {
            assert!(Probabilities::decode(&contents[..len]).is_err(), "{len}");
        }
        // Any byte may be anything; what is read must hold together.
        for place in 0..contents.len() {
            let mut changed = contents.clone();
            changed[place] ^= 0x11;
            if let Ok(read) = Probabilities::decode(&changed) {
                assert_eq!(read.values.len(), read.images.len() * read.classes.len());
                read.outcome(|_| true);
            }
        }
    }

    #[test]
    fn images_are_matched_by_name() {
        let first = sample(&[0.9, 0.1, 0.2, 0.8, 0.4, 0.6]);
        let mut other = first.clone();
        other.images = ["z", "x", "y"].map(String::from).to_vec();
        other.labels = vec![0, 0, 1];
        assert_eq!(align(&first, &other).unwrap().values, [0.2, 0.8, 0.4, 0.6, 0.9, 0.1]);
        other.labels[1] = 1;
        assert!(align(&first, &other).unwrap_err().to_string().contains("image x has label 1"));
        other.images[0] = "w".to_string();
        other.labels[1] = 0;
        assert!(align(&first, &other).unwrap_err().to_string().contains("lacks image z"));
    }

    #[test]
    fn the_search_finds_the_lowest_loss() {
        let members =
            Members { members: vec![sample(&[0.9, 0.1, 0.8, 0.2, 0.9, 0.1]), sample(&[0.3, 0.7, 0.1, 0.9, 0.4, 0.6])] };
        let found = members.search(|_| true);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let loss = |weight: f64| members.average(&[weight, 1.0 - weight]).outcome(|_| true).loss;
        let best = (0..=1000).map(|i| loss(f64::from(i) / 1000.0)).fold(f64::INFINITY, f64::min);
        assert!((loss(found[0]) - best).abs() < 1e-5, "{found:?}");
        assert!(loss(found[0]) < loss(0.5) - 1e-4);
    }
}
