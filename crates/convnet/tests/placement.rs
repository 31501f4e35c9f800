//! A network on several devices gives the bits of the network on one: losses, weights, velocities, probabilities.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::bf16;
use common::placed::{four_towers, joined, mini, network, shares, steps, train};
use convnet::Error;
use convnet::cpu::Cpu;
use convnet::net::Net;
use convnet::ops::{Op, Step};
use convnet::plan::{Mode, Plan, Planned};
use convnet::run::Network;
use convnet::shards::Shards;

fn cpus(count: usize) -> Shards<Cpu> {
    Shards::new((0..count).map(|_| Cpu::new(1).unwrap()).collect())
}

fn same_bits(net: &Net, placements: &[usize]) {
    let expected = train(net, Cpu::new(2).unwrap());
    assert!(expected.losses.iter().all(|loss| loss.is_finite()));
    for &shards in placements {
        assert!(train(net, cpus(shards)) == expected, "{} on {shards} devices", net.name);
    }
}

#[test]
fn two_towers_on_two_devices() {
    same_bits(&mini(), &[1, 2]);
}

#[test]
fn four_towers_on_two_and_four_devices() {
    same_bits(&four_towers(), &[1, 2, 4]);
}

#[test]
fn products_in_bf16() {
    let expected = train(&four_towers(), bf16(2));
    let shards = Shards::new((0..2).map(|_| bf16(1)).collect());
    assert!(train(&four_towers(), shards) == expected);
}

#[test]
fn a_normalisation_over_all_towers() {
    same_bits(&joined(), &[2, 4]);
}

/// The gradient of fully connected weights has no memory in training: they are updated by it, behind all that reads them.
#[test]
fn fully_connected_weights_are_updated_by_a_gradient_that_is_not_stored() {
    let net = mini();
    for shards in [1, 2] {
        let [train, inspect] =
            [Mode::Train, Mode::Inspect].map(|mode| Plan::compile_for(&net, shards, 3, mode).unwrap());
        assert!(inspect.parameters.iter().all(|parameter| parameter.gradient.is_some()));
        assert!(inspect.operations().all(|planned| !matches!(planned.op, Op::FcWeightUpdate(_))));
        let (mut stored, mut updated) = (0, 0);
        for parameter in &train.parameters {
            let touches = |planned: &&Planned| planned.op.operands().iter().any(|(_, span)| *span == parameter.value);
            let last = train.operations().filter(touches).last().unwrap();
            match parameter.gradient {
                Some(_) => stored += 1,
                None => {
                    assert!(matches!(last.op, Op::FcWeightUpdate(_)), "{}", parameter.name);
                    updated += 1;
                }
            }
        }
        assert_eq!(updated, train.parameters.iter().filter(|p| p.layer.starts_with("fc") && !p.bias).count());
        assert_eq!((stored, updated > 0), (train.update.len(), true));
    }
}

/// Activations and their gradients, those of the input included.
#[test]
fn every_tensor_is_the_same() {
    let net = four_towers();
    let tensors = |shards: usize| {
        let mut network = Network::for_inspection(&net, 3, cpus(shards)).unwrap();
        network.initialise(3).unwrap();
        network.train(&mut steps(&net, &network, &[3])[0]).unwrap();
        let plan = network.training_plan().unwrap();
        let spans = plan.tensors.iter().flat_map(|tensor| [Some(tensor.value), tensor.gradient]);
        spans.flatten().map(|span| network.read(span).unwrap()).collect::<Vec<_>>()
    };
    let expected = tensors(1);
    assert!(expected.len() > 100);
    assert!(tensors(2) == expected);
    assert!(tensors(4) == expected);
}

#[test]
fn a_run_goes_on_with_another_placement() {
    let net = four_towers();
    let whole = train(&net, Cpu::new(1).unwrap());
    let sizes = common::placed::STEPS;
    let mut first = network(&net, cpus(4));
    let mut second = network(&net, cpus(2));
    let mut all = steps(&net, &first, &sizes);
    let (before, after) = all.split_at_mut(2);
    for step in before {
        first.train(step).unwrap();
    }
    // What a checkpoint does: parameters and velocities, by name.
    let pairs: Vec<_> = first.parameters().iter().cloned().zip(second.parameters().to_vec()).collect();
    for (from, to) in pairs {
        assert_eq!(from.name, to.name);
        second.write(to.value, &first.read(from.value).unwrap()).unwrap();
        second.write(to.velocity(), &first.read(from.velocity()).unwrap()).unwrap();
    }
    for step in after {
        second.train(step).unwrap();
    }
    assert!(shares(&mut second).weights == whole.weights);
}

#[test]
fn features_are_the_same() {
    let net = mini();
    let features = |shards: usize, layer: &str| {
        let mut network = network(&net, cpus(shards));
        let mut step = steps(&net, &network, &[3]).remove(0);
        network.features(&mut step, layer).unwrap()
    };
    for layer in ["norm2", "relu3", "fc6", "relu7"] {
        let expected = features(1, layer);
        assert_eq!(expected.len(), 2, "{layer}");
        assert!(features(2, layer) == expected, "{layer}");
    }
}

/// What two cards exchange for 128 images of the 2012 network, in f32: at most 15.6 MB each way and pass. Layers and
/// sizes: conv3 reads 13 x 13 x 128 of each tower, fc6 6 x 6 x 128, fc7 and fc8 2048.
#[test]
fn the_network_of_2012_exchanges_what_its_layers_read() {
    let text = include_str!("../../alexnet/nets/nips2012.toml");
    let net = Net::parse(text, "nips2012", None).unwrap();
    let plan = Plan::compile_for(&net, 2, 128, Mode::Train).unwrap();
    let floats = [("conv3", 13 * 13 * 128), ("fc6", 4608), ("fc7", 2048), ("fc8", 2048)];
    let exchanges = |list: &[convnet::plan::Planned]| -> Vec<(String, usize, usize)> {
        let exchange = |planned: &convnet::plan::Planned| match &planned.op {
            Op::Exchange(op) => Some((planned.layer.clone(), op.floats_between(0, 1), op.floats_between(1, 0))),
            _ => None,
        };
        list.iter().filter_map(exchange).collect()
    };
    let row = |(layer, floats): (&str, usize), one_way: (usize, usize)| {
        (layer.to_string(), floats * one_way.0, floats * one_way.1)
    };
    // fc8 is on the first card: what it reads goes there, its gradient comes back.
    let forward = floats.map(|layer| row(layer, if layer.0 == "fc8" { (0, 1) } else { (1, 1) }));
    let mut backward = floats.map(|layer| row(layer, if layer.0 == "fc8" { (1, 0) } else { (1, 1) }));
    backward.reverse();
    assert_eq!(exchanges(&plan.forward), forward);
    assert_eq!(exchanges(&plan.backward), backward);
    let bytes: usize = forward.iter().map(|(_, _, back)| back * 128 * 4).sum();
    assert!(bytes <= 15_600_000, "{bytes}");

    let silent = include_str!("../../alexnet/nets/no-communication.toml");
    let plan = Plan::compile_for(&Net::parse(silent, "silent", None).unwrap(), 2, 128, Mode::Train).unwrap();
    assert_eq!(exchanges(&plan.forward), [("fc8".to_string(), 0, 2048)]);
}

#[test]
fn one_shard_has_the_plan_without_placement() {
    let net = mini();
    let (whole, placed) = (Plan::compile(&net, 4, Mode::Train), Plan::compile_for(&net, 1, 4, Mode::Train).unwrap());
    assert_eq!(whole.to_string(), placed.to_string());
    assert!(whole.operations().all(|planned| !matches!(planned.op, Op::Exchange(_) | Op::Add(_))));
}

#[test]
fn towers_that_cannot_be_shared_out_are_refused() {
    let refusal = |net: &Net, shards| Plan::compile_for(net, shards, 4, Mode::Train).unwrap_err().to_string();
    assert_eq!(
        refusal(&mini(), 3),
        "net mini has 2 towers, which cannot be shared out evenly to 3 devices; give it 1 or 2"
    );
    assert!(refusal(&four_towers(), 3).ends_with("give it 1, 2 or 4"));
    assert!(refusal(&mini(), 0).contains("to 0 devices"));
}

#[test]
fn a_plan_for_several_devices_is_not_for_one() {
    let plan = Plan::compile_for(&mini(), 2, 4, Mode::Train).unwrap();
    let exchange = plan.forward.iter().find(|planned| matches!(planned.op, Op::Exchange(_))).unwrap();
    let mut step = Step { labels: vec![0], ids: vec![0], ..Step::default() };
    use convnet::ops::Device;
    let mut cpu = Cpu::new(1).unwrap();
    assert!(matches!(cpu.run(&exchange.op), Err(Error::OneShard)));
    let mut one = cpus(1);
    one.begin(&mut step).unwrap();
    assert!(matches!(one.run(&exchange.op), Err(Error::NoShard { shard: 1, devices: 1 })));
}
