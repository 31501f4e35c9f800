//! Whole training steps on several simulated cards: in many orders without a finding and with the same bits; and what is
//! planted, a missing wait or a copy in the wrong direction, is found.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::placed::{network, shares, steps};
use convnet::Error;
use convnet::cuda::{self, Cuda, Precision};
use convnet::net::Net;
use convnet::shards::Shards;
use cuda_sim::driver::{Counts, Faults, Options, Schedule, behave, counts, last_report};

/// As few operations as it takes to exchange everything in both directions: maps, a hidden layer, the classes' layer.
const NET: &str = r#"
name = "small"
towers = TOWERS
classes = 10

[augment]
image = 8
crop = 8
colour_noise = 0

[training]
batch = 2
rate = 0.01
epochs = 1

[[layer]]
name = "conv1"
type = "conv"
reads = "all"
filters = 16
size = 3
stride = 2
init_std = 0.2

[[layer]]
name = "relu1"
type = "relu"

[[layer]]
name = "conv2"
type = "conv"
reads = "all"
filters = 16
size = 2
init_std = 0.2

[[layer]]
name = "relu2"
type = "relu"

[[layer]]
name = "fc3"
type = "fc"
reads = "all"
outputs = 16
init_std = 0.2

[[layer]]
name = "drop3"
type = "dropout"

[[layer]]
name = "fc4"
type = "fc"
towers = 1
reads = "all"
init_std = 0.2

[[layer]]
name = "softmax"
type = "softmax"
"#;

/// The first step runs as it is, the second is recorded, later ones are replayed.
const STEPS: [usize; 4] = [2, 2, 2, 2];

fn net(towers: usize) -> Net {
    Net::parse(&NET.replace("TOWERS", &towers.to_string()), "small", None).unwrap()
}

/// The simulator, which is one for the process; none where there are no kernels.
fn machine() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if !cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    cuda::simulate(4).unwrap();
    Some(turn)
}

/// What a training gives: losses, parameters and velocities, in bits. Counting begins with the first step.
fn train(net: &Net, cards: u32, precision: Precision, options: Options) -> Result<(Vec<u64>, Vec<Vec<u32>>), Error> {
    behave(Options::new(4));
    let t = std::time::Instant::now();
    let cards = (0..cards).map(|ordinal| Cuda::new(ordinal, precision)).collect::<Result<_, _>>()?;
    let mut network = network(net, Shards::new(cards));
    behave(options);
    eprintln!("open {:?}", t.elapsed());
    let mut losses = Vec::new();
    for mut step in steps(net, &network, &STEPS) {
        losses.push(network.train(&mut step)?.loss.to_bits());
    }
    network.read(network.parameters()[0].value)?;
    Ok((losses, shares(&mut network).weights))
}

#[test]
fn twenty_orders_on_two_and_on_four_cards_give_the_same_bits() {
    let Some(_turn) = machine() else { return };
    for (towers, placements) in [(2, &[2][..]), (4, &[2, 4])] {
        let net = net(towers);
        for precision in [Precision::F32, Precision::Bf16] {
            let expected = train(&net, 1, precision, Options::new(4)).unwrap();
            for &cards in placements {
                for seed in 0..20 {
                    let schedule = if seed % 2 == 0 { Schedule::Random } else { Schedule::Late };
                    let options = Options { seed, schedule, ..Options::new(4) };
                    let trained = train(&net, cards, precision, options);
                    assert_eq!(last_report(), None);
                    assert!(trained.unwrap() == expected, "{towers} towers, {cards} cards, {precision}, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn timing() {
    let Some(_turn) = machine() else { return };
    for _ in 0..3 {
        let t = std::time::Instant::now();
        train(&net(2), 2, Precision::F32, Options::new(4)).unwrap();
        eprintln!("{:?} {:?}", t.elapsed(), counts());
    }
}
