//! Every kernel launch of a training step, counted on the simulated device, with the time that it is predicted to take
//! on a card: a line of a table each. Nothing here is measured.
//!
//! `cargo xtask bench --counted` runs this with the registers that `ptxas` reports.
#![forbid(unsafe_code)]

mod recorder;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use alexnet::benchmark::step;
use anyhow::{Context as _, Result, anyhow, bail};
use benches::{least_bytes, net};
use convnet::cuda::{Cuda, Precision};
use convnet::ops::{Device, Op};
use convnet::run::Network;
use cuda_sim::observe::intercept;
use recorder::Recorder;
use table::{Least, Table};

const USAGE: &str = "usage: counted NET BATCH PRECISION KERNEL=REGISTERS...";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, batch, precision, kernels @ ..] = &arguments[..] else { bail!(USAGE) };
    let batch = batch.parse().ok().filter(|&batch| batch > 0).with_context(|| format!("{batch:?}; {USAGE}"))?;
    let precision: Precision = precision.parse().map_err(|error| anyhow!("precision: {error}; {USAGE}"))?;
    if alexnet::nets::load(name, None).is_err() {
        bail!("{name:?} is no built-in net; {USAGE}");
    }
    let registers = kernels
        .iter()
        .map(|kernel| {
            let (name, registers) = kernel.split_once('=')?;
            Some((name.to_string(), registers.parse().ok()?))
        })
        .collect::<Option<HashMap<String, u32>>>()
        .with_context(|| format!("{kernels:?}; {USAGE}"))?;
    let net = net(name);
    convnet::cuda::simulate(1)?;
    let mut network = Network::for_training(&net, batch, Cuda::new(0, precision)?)?;
    let mut one = step(&net, batch, network.parameters().len());
    network.device().begin(&mut one)?;
    let plan = network.training_plan().context("the network trains")?.clone();
    let first = network.parameters()[0].value;

    let recorder = Arc::new(Recorder::new(registers));
    intercept(Some(recorder.clone()));
    let mut table = Table::new(precision);
    for planned in plan.operations() {
        network.device().run(&planned.op)?;
        // Work is done when it is waited for.
        network.read(first)?;
        let layer = net.layers.iter().position(|layer| layer.name == planned.layer);
        let layer = layer.filter(|_| !matches!(planned.op, Op::Update(_)));
        let multiply_adds = layer.map_or(0, |index| net.multiply_adds_of(index)) as u64 * batch as u64;
        let least = Least { bytes: least_bytes(&planned.op, precision), multiply_adds };
        table.operation(&planned.layer, planned.op.name(), least, recorder.take()?)?;
    }
    intercept(None);
    table.print();
    Ok(())
}
