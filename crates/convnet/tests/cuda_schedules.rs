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
use convnet::ops::{Op, Planned};
use convnet::plan::{Mode, Plan};
use convnet::shards::Shards;
use cuda_sim::driver::{Counts, Faults, Options, Schedule, behave, counts, last_report};

/// As few operations as it takes to exchange everything in both directions: maps, in slices of an image, a hidden layer,
/// the classes' layer.
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
size = 1
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

/// What a training gave, in bits, and what the machine had counted before each step and at the end.
struct Trained {
    losses: Vec<u64>,
    weights: Vec<Vec<u32>>,
    counts: Vec<Counts>,
}

impl Trained {
    fn same_bits(&self, other: &Trained) -> bool {
        (&self.losses, &self.weights) == (&other.losses, &other.weights)
    }
}

/// Trains. `options` hold from the first step on, and counting begins there.
fn train(net: &Net, cards: u32, precision: Precision, options: Options) -> Result<Trained, Error> {
    behave(Options::new(4));
    let cards = (0..cards).map(|ordinal| Cuda::new(ordinal, precision)).collect::<Result<_, _>>()?;
    let mut network = network(net, Shards::new(cards));
    behave(options);
    let (mut losses, mut all) = (Vec::new(), Vec::new());
    for mut step in steps(net, &network, &STEPS) {
        all.push(counts());
        losses.push(network.train(&mut step)?.loss.to_bits());
    }
    network.read(network.parameters()[0].value)?;
    all.push(counts());
    Ok(Trained { losses, weights: shares(&mut network).weights, counts: all })
}

#[test]
fn twenty_orders_on_two_and_on_four_cards_give_the_same_bits() {
    let Some(_turn) = machine() else { return };
    for (cards, precision) in [(2, Precision::F32), (4, Precision::Bf16)] {
        let net = net(cards as usize);
        let expected = train(&net, 1, precision, Options::new(4)).unwrap();
        for seed in 0..20 {
            let schedule = if seed % 2 == 0 { Schedule::Random } else { Schedule::Late };
            let trained = train(&net, cards, precision, Options { seed, schedule, ..Options::new(4) });
            assert_eq!(last_report(), None, "{cards} cards, seed {seed}");
            assert!(trained.unwrap().same_bits(&expected), "{cards} cards, seed {seed}");
        }
    }
}

#[test]
fn a_step_carries_the_bytes_that_its_plan_says() {
    let Some(_turn) = machine() else { return };
    for (cards, precision) in [(2, Precision::F32), (4, Precision::Bf16)] {
        let net = net(cards as usize);
        let plan = Plan::compile_for(&net, cards as usize, STEPS[0], Mode::Train).unwrap();
        // Maps and their gradients go in slices of an image.
        let copies = |planned: &Planned| match &planned.op {
            Op::Exchange(exchange) => {
                let slices = if planned.layer == "conv2" { STEPS[0] } else { 1 };
                (exchange.transfers.len() * slices, exchange.transfers.len() * exchange.len)
            }
            _ => (0, 0),
        };
        let (copies, floats) = plan.operations().map(copies).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let counted = train(&net, cards, precision, Options::new(4)).unwrap().counts;
        for (before, after) in counted.iter().zip(&counted[1..]) {
            assert_eq!(after.peer_copies - before.peer_copies, copies as u64);
            assert_eq!(after.peer_bytes - before.peer_bytes, (floats * STEPS[0] * precision.bytes()) as u64);
        }
    }
}

/// Each wait of the third step in turn, with a step behind it. What is not reported is a step without a race though the
/// wait is missing: others order all that touches the same bytes, and no order of the rest gives other bits.
#[test]
fn a_missing_wait_is_reported_and_gives_other_bits_in_some_order() {
    let Some(_turn) = machine() else { return };
    let net = net(2);
    let whole = train(&net, 2, Precision::F32, Options::new(4)).unwrap();
    let (mut reported, mut wrong) = (0, 0);
    let waits = whole.counts[2].waits..whole.counts[3].waits;
    for wait in waits.clone() {
        let faults = Faults { ignored_wait: Some(wait), ..Faults::default() };
        let checked = train(&net, 2, Precision::F32, Options { faults, ..Options::new(4) });
        let is_reported = checked.is_err();
        if let Err(error) = checked {
            assert!(error.to_string().contains("a race: "), "wait {wait}: {error}");
        }
        let other_bits = |seed| {
            let options = Options { faults, seed, checks: false, ..Options::new(4) };
            !train(&net, 2, Precision::F32, options).unwrap().same_bits(&whole)
        };
        let is_wrong = (0..2).any(other_bits);
        assert!(is_reported || !is_wrong, "wait {wait} gives other bits and is not reported");
        reported += u32::from(is_reported);
        wrong += u32::from(is_wrong);
    }
    let waits = waits.count() as u32;
    assert!(reported > waits / 2 && wrong > 5, "{waits} waits, {reported} reported, {wrong} with other bits");
}

#[test]
fn a_copy_in_the_wrong_direction_is_noticed() {
    let Some(_turn) = machine() else { return };
    let net = net(2);
    let whole = train(&net, 2, Precision::F32, Options::new(4)).unwrap();
    for copy in whole.counts[2].peer_copies..whole.counts[3].peer_copies {
        let faults = Faults { reversed_copy: Some(copy), ..Faults::default() };
        let trained = train(&net, 2, Precision::F32, Options { faults, ..Options::new(4) });
        assert!(trained.is_err() || !trained.unwrap().same_bits(&whole), "copy {copy}");
    }
}
