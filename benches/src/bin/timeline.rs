//! Two training steps on the simulated device as a trace in Chrome's format, with the times that a card is predicted to
//! take. No kernel is run, but for some blocks of each, dry: what they compute does not show here.
//!
//! `cargo xtask bench --timeline FILE` runs this; chrome://tracing and ui.perfetto.dev show the file.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use alexnet::benchmark::step;
use anyhow::{Context as _, Result, bail};
use benches::{dry, net};
use convnet::cuda::{Cuda, Precision};
use convnet::run::Network;
use cuda_sim::driver::{Engine, Span, record_timeline, take_timeline};

const USAGE: &str = "usage: timeline NET BATCH FILE";

/// Steps before those that are shown: the first runs as it is, the second is recorded as a graph.
const BEFORE: usize = 3;
const SHOWN: usize = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, batch, file] = &arguments[..] else { bail!(USAGE) };
    let batch = batch.parse().ok().filter(|&batch| batch > 0).with_context(|| format!("{batch:?}; {USAGE}"))?;
    if alexnet::nets::load(name, None).is_err() {
        bail!("{name:?} is no built-in net; {USAGE}");
    }
    let net = net(name);
    convnet::cuda::simulate(1)?;
    dry::run_no_kernels();
    let mut network = Network::for_training(&net, batch, Cuda::new(0, Precision::F32)?)?;
    let one = step(&net, batch, network.parameters().len());
    let mut train = |steps: usize| -> Result<()> {
        (0..steps).try_for_each(|_| network.train(&mut one.clone()).map(drop))?;
        // Work is done when it is waited for.
        network.read(network.parameters()[0].value)?;
        Ok(())
    };
    train(BEFORE)?;
    record_timeline();
    train(SHOWN)?;
    let spans = take_timeline();
    std::fs::write(file, trace(&spans)).with_context(|| file.clone())?;
    let begin = spans.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
    let end = spans.iter().map(|span| span.start + span.seconds).fold(0.0, f64::max);
    println!("{} operations of {SHOWN} steps, {:.3} ms as predicted: {file}", spans.len(), (end - begin) * 1e3);
    Ok(())
}

/// A process for each device, with a thread for each stream on each of its engines.
fn trace(spans: &[Span]) -> String {
    let rows: BTreeSet<(u32, Engine, u64)> = spans.iter().map(|span| (span.device, span.engine, span.stream)).collect();
    let row = |span: &Span| rows.range(..(span.device, span.engine, span.stream)).count();
    let mut events = Vec::new();
    for (index, (device, engine, stream)) in rows.iter().enumerate() {
        let (device_name, engine) = (format!("device {device} (predicted)"), name(*engine));
        events.push(format!(r#"{{"ph":"M","name":"process_name","pid":{device},"args":{{"name":"{device_name}"}}}}"#));
        events.push(format!(
            r#"{{"ph":"M","name":"thread_name","pid":{device},"tid":{index},"args":{{"name":"{engine}, stream {stream:#x}"}}}}"#
        ));
    }
    for span in spans {
        let (start, length) = (span.start * 1e6, span.seconds * 1e6);
        events.push(format!(
            r#"{{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{start:.3},"dur":{length:.3}}}"#,
            span.name,
            span.device,
            row(span)
        ));
    }
    format!("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n", events.join(",\n"))
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Kernels => "kernels",
        Engine::FromHost => "from the host",
        Engine::ToHost => "to the host",
        Engine::Peers => "between devices",
    }
}
