//! Training on a GPU against training on the processor: losses, bits, graphs. The GPU is simulated, unless
//! `ALEXNET_TEST_GPU` is set.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::Write;
use std::sync::Mutex;

use alexnet::nets;
use convnet::augment::Sampler;
use convnet::cpu::Cpu;
use convnet::cuda::{self, Precision};
use convnet::net::Net;
use convnet::ops::{Device, Step};
use convnet::philox::words;
use convnet::run::{Network, Outcome};
use dataset::Dataset;
use tests::gpu;

/// How much the loss of a step may differ, relatively: sums are rounded in another order, and bf16 has 8 bits, which
/// switch units.
fn limit(precision: Precision, step: usize) -> f64 {
    match (precision, step) {
        (Precision::F32, _) => 1e-4,
        (Precision::Bf16, 0) => 2e-2,
        (Precision::Bf16, _) => 1e-1,
    }
}

/// One test at a time: nobody may wait for a card while another thread records a graph on it.
static CARD: Mutex<()> = Mutex::new(());

fn skipped() -> bool {
    if !cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
    }
    !cuda::has_kernels()
}

/// Images, labels and draws of step `index`, and the rate of the net's start; every step has another one.
fn step(net: &Net, parameters: usize, images: usize, index: usize) -> Step {
    let side = net.augment.image;
    let sampler = Sampler::new(&net.augment, [800.0, 80.0, 8.0], [[0.6, 0.6, 0.5], [-0.7, 0.0, 0.7], [0.4, -0.8, 0.4]]);
    let mut step = Step { seed: 5, epoch: index as u32, ..Step::default() };
    let demo = (side == Dataset::demo().side).then(Dataset::demo);
    for image in 0..images {
        let id = (index * images + image) as u32;
        step.ids.push(id);
        match &demo {
            Some(demo) => {
                let mut rgb = vec![0; side * side * 3];
                demo.train.read(id as usize, &mut rgb).unwrap();
                step.labels.push(demo.train.label(id as usize));
                step.rgb.extend(rgb);
            }
            None => {
                step.labels.push(words(1, 0, id, 99, 0)[0] % net.classes as u32);
                step.rgb.extend((0..side * side * 3).map(|i| (words(2, 0, id, 99, i as u32 / 48)[0] >> 24) as u8));
            }
        }
    }
    step.draws = sampler.training(step.seed, step.epoch, &step.ids, 0.1);
    step.rates = vec![net.training.rate as f32 / (1 + index) as f32; parameters];
    step
}

/// Trains some steps; gives losses and all weights.
fn train<D: Device>(net: &Net, images: &[usize], device: D) -> (Vec<Outcome>, Vec<u32>) {
    let most = *images.iter().max().unwrap();
    let mut network = Network::for_training(net, most, device).unwrap();
    network.initialise(3).unwrap();
    let crop = net.augment.crop;
    network.set_mean(&vec![120.0; crop * crop * 3]).unwrap();
    let parameters = network.parameters().len();
    let steps = images.iter().enumerate();
    let outcomes = steps.map(|(i, &n)| network.train(&mut step(net, parameters, n, i)).unwrap()).collect();
    let bits = |parameter: &convnet::plan::Parameter| network.read(parameter.value).unwrap();
    let weights = network.parameters().iter().flat_map(bits).map(f32::to_bits).collect();
    (outcomes, weights)
}

fn compare(net: &str, images: &[usize], precision: Precision) {
    let net = nets::load(net, None).unwrap();
    let (expected, _) = train(&net, images, Cpu::new(0).unwrap());
    let (got, _) = train(&net, images, gpu(precision));
    for (index, (expected, got)) in expected.iter().zip(&got).enumerate() {
        let off = (got.loss - expected.loss).abs() / expected.loss;
        let losses = format!("loss {}, on the processor {}", got.mean_loss(), expected.mean_loss());
        assert!(off <= limit(precision, index), "{precision}, step {index}: {losses}");
    }
}

/// Batches of one size and a shorter one between them, as at the end of an epoch.
const STEPS: [usize; 5] = [6, 6, 5, 6, 6];

#[test]
fn mini_trains_as_on_the_processor() {
    let _card = CARD.lock();
    if !skipped() {
        compare("mini", &STEPS, Precision::F32);
    }
}

#[test]
fn mini_trains_in_bf16_nearly_as_on_the_processor() {
    let _card = CARD.lock();
    if !skipped() {
        compare("mini", &STEPS, Precision::Bf16);
    }
}

#[test]
fn a_run_has_the_same_bits_every_time() {
    let _card = CARD.lock();
    if !skipped() {
        let net = nets::load("mini", None).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            assert!(train(&net, &STEPS, gpu(precision)) == train(&net, &STEPS, gpu(precision)), "{precision}");
        }
    }
}

/// The whole network of 2012, at batch 2.
#[test]
fn nips2012_trains_as_on_the_processor() {
    let _card = CARD.lock();
    if !skipped() {
        compare("nips2012", &[2], Precision::F32);
    }
}

#[test]
fn nips2012_trains_in_bf16_nearly_as_on_the_processor() {
    let _card = CARD.lock();
    if !skipped() {
        compare("nips2012", &[2], Precision::Bf16);
    }
}
