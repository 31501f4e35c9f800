//! `alexnet show augmentation`: what the network sees of a picture in training.

use std::path::Path;

use anyhow::Result;
use convnet::augment::{Sampler, View};
use convnet::ops::Draw;
use dataset::Dataset;

use crate::cli::ShowAugmentationArgs;
use crate::commands::data::statistics;
use crate::console::say;
use crate::{nets, pictures};

/// Variants on the sheet, after the centre.
const VARIANTS: u32 = 24;
/// Any: every run draws the same sheet.
const SEED: u64 = 1;

// Of the training images of ILSVRC 2012, as fb.resnet.torch and others have them: of pixels from 0 to 1.
const EIGENVALUES: [f64; 3] = [0.2175, 0.0188, 0.0045];
const EIGENVECTORS: [[f64; 3]; 3] = [[0.5675, 0.5808, 0.5836], [0.7192, 0.0045, -0.6948], [0.4009, -0.8140, 0.4203]];
const MEAN: [f32; 3] = [123.7, 116.3, 103.5];

pub(super) fn draw(args: &ShowAugmentationArgs, out: &Path) -> Result<()> {
    let net = nets::load(&args.net, None)?;
    let rule = &net.augment;
    let (side, crop) = (rule.image, rule.crop);
    let rgb = dataset::load_image(&args.image, side)?;
    let (mean, eigenvalues, eigenvectors) = match &args.data {
        Some(data) => {
            let statistics = statistics(&Dataset::open(data, side)?)?;
            (statistics.mean, statistics.eigenvalues, statistics.eigenvectors)
        }
        None => (MEAN.repeat(side * side), EIGENVALUES.map(|value| value * 255.0 * 255.0), EIGENVECTORS),
    };
    let sampler = Sampler::new(rule, eigenvalues, eigenvectors);
    let mean = sampler.mean(&mean);
    // An epoch each: in one epoch an image is drawn once.
    let variants = (0..VARIANTS).flat_map(|epoch| sampler.training(SEED, epoch, &[0], rule.colour_noise));
    let draws: Vec<Draw> = sampler.view(View::Centre, 1).into_iter().chain(variants).collect();
    let sheet: Vec<Vec<u8>> = draws.iter().map(|draw| seen(draw, &rgb, side, &mean, crop)).collect();
    pictures::sheet(&sheet, crop, out)?;
    say(format_args!(
        "{}: crops of {crop} from {side}x{side}, {} offsets each way{}, colour noise {}",
        net.name,
        rule.positions,
        if rule.flip { ", mirrored or not" } else { "" },
        rule.colour_noise
    ));
    say(format_args!("the centre as in evaluation, then {VARIANTS} draws; the mean is added again to show them"));
    Ok(())
}

/// The network's input under a draw, with the mean added again. [`convnet::ops::Augment`] has the formula.
fn seen(draw: &Draw, rgb: &[u8], side: usize, mean: &[f32], crop: usize) -> Vec<u8> {
    let mut seen = Vec::with_capacity(crop * crop * 3);
    for (at, mean) in mean.chunks_exact(3).enumerate() {
        let (y, x) = (at / crop, at % crop);
        let column = draw.left as usize + if draw.flip { crop - 1 - x } else { x };
        let pixel = &rgb[((draw.top as usize + y) * side + column) * 3..][..3];
        for ((&byte, &mean), shift) in pixel.iter().zip(mean).zip(draw.shift) {
            seen.push(((f32::from(byte) - mean) * draw.scale + shift + mean).round() as u8);
        }
    }
    seen
}
