//! A training step of the large nets at their full batch, without its arithmetic: each launcher's grid, block and shared
//! memory keep the card's limits, and the last block, whose offsets are the largest, stays inside of its operands.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use convnet::cuda::{self, Cuda, Precision};
use convnet::net::Net;
use convnet::ops::{Draw, Step};
use convnet::run::Network;
use cuda_sim::observe::{Intercept, Only, intercept};
use cuda_sim::{Config, LaunchError, Memory, Program, Stats, launch_observed};

/// Images of a step in the paper.
const BATCH: usize = 128;

/// Runs the last block of each launch, for its addresses, and remembers the kernels' names.
#[derive(Default)]
struct Dry(Mutex<Vec<String>>);

impl Intercept for Dry {
    fn launch(
        &self,
        program: &Program,
        kernel: &str,
        config: &Config,
        params: &[u8],
        memory: &Memory,
    ) -> Result<Stats, LaunchError> {
        self.0.lock().unwrap().push(kernel.to_string());
        let [x, y, z] = config.grid.map(u64::from);
        let last = Only { blocks: vec![x * y * z - 1], grid: config.grid };
        launch_observed(program, kernel, &Config { dry: true, ..config.clone() }, params, memory, &last)
    }
}

fn step(net: &Net, parameters: usize) -> Step {
    let side = net.augment.image;
    let corner = (side - net.augment.crop) as u32;
    Step {
        rgb: vec![7; BATCH * side * side * 3],
        labels: vec![net.classes as u32 - 1; BATCH],
        ids: (0..BATCH as u32).collect(),
        draws: vec![Draw { top: corner, left: corner, flip: false, scale: 1.0, shift: [0.0; 3] }; BATCH],
        rates: vec![0.01; parameters],
        ..Step::default()
    }
}

/// Names of the kernels that a step launches, in order.
fn kernels(text: &str, precision: Precision) -> Vec<String> {
    let net = Net::parse(text, "net", None).unwrap();
    let mut network = Network::for_training(&net, BATCH, Cuda::new(0, precision).unwrap()).unwrap();
    let dry = Arc::new(Dry::default());
    intercept(Some(dry.clone()));
    let parameters = network.parameters().len();
    let outcome = network.train(&mut step(&net, parameters));
    // Work runs when it is waited for.
    let bias = network.parameters()[1].value;
    network.read(bias).unwrap();
    intercept(None);
    outcome.unwrap();
    std::mem::take(&mut *dry.0.lock().unwrap())
}

#[test]
fn every_launch_of_a_step_of_128_images_keeps_the_limits_of_a_card() {
    if !cuda::has_kernels() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no GPU kernels; run `cargo xtask build-ptx`");
        return;
    }
    cuda::simulate(1).unwrap();
    let nets = [include_str!("../../alexnet/nets/nips2012.toml"), include_str!("../../alexnet/nets/paper.toml")];
    for (text, precision) in nets.into_iter().flat_map(|text| [(text, Precision::F32), (text, Precision::Bf16)]) {
        let launches = kernels(text, precision);
        let names: BTreeSet<&str> = launches.iter().map(String::as_str).collect();
        // More than two for each of some thirty operations; all updates are one.
        assert!(launches.len() > 60, "{precision:?}: {} launches of {names:?}", launches.len());
        // In bf16 the first layer is one over blocks of pixels, which the augmentation has written.
        assert_eq!(names.contains("blocks_of_weights"), precision == Precision::Bf16);
        assert!(!names.contains("blocks_of_images"), "{precision:?}: of {names:?}");
        let operations = [
            "augment",
            "conv_forward",
            "conv_input_grad",
            "conv_weight_grad",
            "lrn_forward",
            "lrn_backward",
            "pool_forward",
            "pool_backward",
            "dropout",
            "softmax_forward",
            "softmax_backward",
            "update",
        ];
        let missing = operations.iter().find(|operation| !names.iter().any(|name| name.starts_with(**operation)));
        assert_eq!(missing, None, "{precision:?}: of {names:?}");
    }
}
