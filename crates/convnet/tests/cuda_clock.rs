//! What the simulator's clock says of two cards: in slices, maps are copied while others are computed. No kernel is run,
//! but for some blocks of each, dry.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::Write as _;
use std::sync::Arc;

use convnet::cuda::{self, Cuda, Precision};
use convnet::net::Net;
use convnet::ops::{Draw, Step};
use convnet::run::Network;
use convnet::shards::Shards;
use cuda_sim::driver::{Engine, Options, Span, record_timeline, start, take_timeline};
use cuda_sim::observe::{Intercept, intercept};
use cuda_sim::{Config, LaunchError, Memory, Program, Stats};

/// Two layers of maps, exchanged between them.
const NET: &str = r#"
name = "maps"
towers = 2
classes = 10

[augment]
image = 16
crop = 16
colour_noise = 0

[training]
batch = 6
rate = 0.01
epochs = 1

[[layer]]
name = "conv1"
type = "conv"
reads = "all"
filters = 64
size = 3
init_std = 0.2

[[layer]]
name = "conv2"
type = "conv"
reads = "all"
filters = 32
size = 1
init_std = 0.2

[[layer]]
name = "fc3"
type = "fc"
towers = 1
reads = "all"
init_std = 0.2

[[layer]]
name = "softmax"
type = "softmax"
"#;

const IMAGES: usize = 6;

/// Runs no kernel.
struct Nothing;

impl Intercept for Nothing {
    fn launch(&self, _: &Program, _: &str, _: &Config, _: &[u8], _: &Memory) -> Result<Stats, LaunchError> {
        Ok(Stats::default())
    }
}

/// How long copies between two cards run beside the sender's first convolution, and how long they take, in seconds.
fn beside_first(net: &Net, slices: usize) -> (f64, f64) {
    let cards = (0..2).map(|ordinal| Cuda::new(ordinal, Precision::F32).unwrap()).collect();
    let mut network = Network::for_training(net, IMAGES, Shards::new(cards).in_slices(slices)).unwrap();
    let side = net.augment.image;
    let mut step = Step {
        rgb: vec![0; IMAGES * side * side * 3],
        labels: vec![0; IMAGES],
        ids: vec![0; IMAGES],
        draws: vec![Draw { top: 0, left: 0, flip: false, scale: 1.0, shift: [0.0; 3] }; IMAGES],
        rates: vec![0.01; network.parameters().len()],
        ..Step::default()
    };
    record_timeline();
    network.train(&mut step).unwrap();
    // Work is done when it is waited for.
    network.read(network.parameters()[0].value).unwrap();
    let spans = take_timeline();
    let end = |span: &Span| span.start + span.seconds;
    let copies = || spans.iter().filter(|span| span.engine == Engine::Peers);
    let beside = |copy: &Span| {
        // Of three channels; the second has a kernel of its own.
        let is_first = |kernel: &&Span| kernel.device != copy.device && kernel.name == "conv_forward_any";
        let first = spans.iter().filter(is_first);
        first.map(|kernel| (end(kernel).min(end(copy)) - kernel.start.max(copy.start)).max(0.0)).sum::<f64>()
    };
    (copies().map(beside).sum(), copies().map(|copy| copy.seconds).sum())
}

#[test]
fn a_slice_is_copied_while_the_next_is_computed() {
    if !cuda::has_kernels() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return;
    }
    cuda::simulate(2).unwrap();
    start(Options { checks: false, link: 50e9, ..Options::new(2) });
    intercept(Some(Arc::new(Nothing)));
    let net = Net::parse(NET, "maps", None).unwrap();
    let [(beside, copies), (beside_in_slices, _)] = [1, 3].map(|slices| beside_first(&net, slices));
    assert!(beside < 1e-9 && copies > 0.0, "{beside} of {copies} s beside kernels");
    // The second slice is made while the first is copied.
    assert!(beside_in_slices > 1e-6, "{beside_in_slices}");
}
