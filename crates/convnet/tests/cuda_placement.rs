//! A network on several GPUs gives the bits of the network on one; simulated, unless `ALEXNET_TEST_GPU` is set.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::io::Write as _;

use common::placed::{Trained, four_towers, in_blocks, joined, mini, network, shares, steps, train, train_in_sight};
use convnet::cuda::{self, Cuda, Precision};
use convnet::device::Context;
use convnet::net::Net;
use convnet::shards::Shards;

/// So many GPUs, two without access to each other, or a line that says that they are not there.
fn cards(count: u32, precision: Precision) -> Option<Shards<Cuda>> {
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(4).unwrap();
    }
    let missing = if !cuda::has_kernels() {
        "there are no GPU kernels; run `cargo xtask build-ptx`".to_string()
    } else if Context::count().unwrap() < count {
        format!("it takes {count} devices")
    } else {
        let cards: Vec<_> = (0..count).map(|ordinal| Cuda::new(ordinal, precision).unwrap()).collect();
        let links = cuda::connect(&cards, count > 2).unwrap();
        assert_eq!(links.len() as u32, count * (count - 1));
        assert!(links.iter().all(|link| link.direct == (count > 2)), "{links:?}");
        return Some(Shards::new(cards));
    };
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {missing}");
    None
}

fn same_bits(net: &Net, placements: &[u32], precision: Precision) {
    let Some(one) = cards(1, precision) else { return };
    let expected = train(net, one);
    for &count in placements {
        let Some(several) = cards(count, precision) else { return };
        assert!(train(net, several) == expected, "{} on {count} devices", net.name);
    }
}

/// Steps of training with passes of inference between them, which leave the cards in other states: a list that a card has
/// recorded has the same operations whatever ran before.
fn train_and_infer(net: &Net, device: Shards<Cuda>) -> Trained {
    let mut network = network(net, device);
    let mut losses = Vec::new();
    for mut step in steps(net, &network, &[3; 4]) {
        losses.push(network.train(&mut step.clone()).unwrap().loss);
        losses.push(network.train(&mut step.clone()).unwrap().loss);
        losses.push(network.infer(&mut step).unwrap().loss);
    }
    Trained { losses, ..shares(&mut network) }
}

/// One test, since nobody may wait for a card while another thread records a graph on it.
#[test]
fn towers_on_several_devices() {
    same_bits(&mini(), &[2], Precision::F32);
    same_bits(&four_towers(), &[2, 4], Precision::Bf16);
    same_bits(&joined(), &[2], Precision::F32);
    same_bits(&in_blocks(), &[2], Precision::Bf16);
    let passes = [1, 2].map(|count| cards(count, Precision::F32).map(|cards| train_and_infer(&mini(), cards)));
    assert!(passes[0] == passes[1], "training and inference in turns");
    // A plan that keeps every tensor has the input as pixels, which the first layer turns into blocks.
    let both = (cards(1, Precision::Bf16), cards(1, Precision::Bf16));
    if let (Some(blocks), Some(pixels)) = both {
        assert!(train(&in_blocks(), blocks) == train_in_sight(&in_blocks(), pixels), "in blocks and as pixels");
    }
}
