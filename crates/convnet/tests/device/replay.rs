//! Training steps that replay graphs, against the same steps as calls.

use convnet::cuda::{self, Cuda, Precision};
use convnet::net::Net;
use convnet::ops::{Device, Draw, Region, Span, Step};
use convnet::philox::words;
use convnet::plan::Parameter;
use convnet::run::{Network, Outcome};

use crate::card::skip;
use crate::graph::CARD;

const NET: &str = include_str!("../../../alexnet/nets/mini.toml");
const IMAGES: usize = 2;
/// One step as it is, one recorded, two replays.
const STEPS: u32 = 4;

/// A step that shares nothing with the others: pixels, labels, draws, ids, epoch and rates.
fn step(net: &Net, parameters: usize, index: u32) -> Step {
    let side = net.augment.image;
    let room = (side - net.augment.crop) as u32;
    let random = |image: u32, i: u32| words(7, index, image, 99, i)[0];
    let draw = |image| Draw {
        top: random(image, 0) % (room + 1),
        left: random(image, 1) % (room + 1),
        flip: random(image, 2) % 2 == 0,
        scale: 1.0,
        shift: [0, 1, 2].map(|channel| (random(image, 3 + channel) % 16) as f32 - 8.0),
    };
    let images = 0..IMAGES as u32;
    Step {
        rgb: (0..IMAGES * side * side * 3).map(|i| (random(i as u32 % 2, i as u32) >> 24) as u8).collect(),
        labels: images.clone().map(|image| random(image, 6) % net.classes as u32).collect(),
        ids: images.clone().map(|image| index * IMAGES as u32 + image).collect(),
        draws: images.map(draw).collect(),
        seed: 3,
        epoch: index,
        rates: (0..parameters).map(|i| 0.02 / (1 + index as usize + i) as f32).collect(),
    }
}

/// What each step gave, and the bits of weights and velocities behind it.
fn train(net: &Net, precision: Precision, before_a_step: impl Fn(&mut Cuda)) -> Vec<(Outcome, Vec<u32>)> {
    let mut network = Network::for_training(net, IMAGES, Cuda::new(0, precision).unwrap()).unwrap();
    network.initialise(3).unwrap();
    let crop = net.augment.crop;
    network.set_mean(&vec![120.0; crop * crop * 3]).unwrap();
    let parameters = network.parameters().len();
    (0..STEPS)
        .map(|index| {
            before_a_step(network.device());
            let outcome = network.train(&mut step(net, parameters, index)).unwrap();
            let spans =
                network.parameters().iter().flat_map(|parameter| [parameter.value, Parameter::velocity(parameter)]);
            let bits = spans.flat_map(|span| network.read(span).unwrap()).map(f32::to_bits).collect();
            (outcome, bits)
        })
        .collect()
}

#[test]
fn a_replay_with_another_batch_and_rate_gives_the_bits_of_calls() {
    let _card = CARD.lock();
    if !cuda::has_kernels() {
        return skip("there are no GPU kernels; `cargo xtask build-ptx` makes them");
    }
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(2).unwrap();
    }
    let mini = Net::parse(NET, "mini.toml", None).unwrap();
    // Whose first layer has its input in blocks of pixels.
    let in_blocks = NET.replacen("size = 5\nstride = 2\npad = 2", "size = 7\nstride = 4", 1);
    let in_blocks = Net::parse(&in_blocks, "in blocks", None).unwrap();
    let cases = [(&mini, Precision::F32), (&mini, Precision::Bf16), (&in_blocks, Precision::Bf16)];
    for (net, precision) in cases {
        let replayed = train(net, precision, |_| {});
        // A device that reserves memory forgets its graphs, so every list runs as it is.
        let called = train(net, precision, |device| device.reserve(Span::new(Region::Weights, 0, 0)).unwrap());
        assert!(replayed == called, "{precision:?}: a step differs");
        let mut losses: Vec<f64> = called.iter().map(|(outcome, _)| outcome.loss).collect();
        losses.dedup();
        assert_eq!(losses.len(), STEPS as usize, "{precision:?}: no step is another one again");
    }
}
