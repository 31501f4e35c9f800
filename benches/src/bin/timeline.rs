//! Two training steps on simulated cards as a trace in Chrome's format, with the times that they are predicted to take,
//! and how long copies between them run beside kernels. No kernel is run, but for some blocks of each, dry: what they
//! compute does not show here.
//!
//! `cargo xtask bench --timeline FILE` runs this; chrome://tracing and ui.perfetto.dev show the file.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use alexnet::benchmark::step;
use anyhow::{Context as _, Result, bail};
use benches::{dry, net};
use convnet::cuda::{self, Cuda, Precision};
use convnet::ops::Device;
use convnet::run::Network;
use convnet::shards::Shards;
use cuda_sim::driver::{Engine, Span, record_timeline, take_timeline};

const USAGE: &str = "usage: timeline NET BATCH CARDS PRECISION FILE";

/// Steps before those that are shown: the first runs as it is, the second is recorded as a graph.
const BEFORE: usize = 3;
const SHOWN: usize = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, batch, cards, precision, file] = &arguments[..] else { bail!(USAGE) };
    let batch = batch.parse().ok().filter(|&batch| batch > 0).with_context(|| format!("{batch:?}; {USAGE}"))?;
    if alexnet::nets::load(name, None).is_err() {
        bail!("{name:?} is no built-in net; {USAGE}");
    }
    let net = net(name);
    let cards = cards.parse().ok().filter(|&cards| cards > 0).with_context(|| format!("{cards:?}; {USAGE}"))?;
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        _ => bail!("{precision:?}; {USAGE}"),
    };
    cuda::simulate(cards)?;
    dry::run_no_kernels();
    let mut network = Network::for_training(&net, batch, open(cards, precision)?)?;
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
    (0..cards).for_each(|card| println!("{}", said(&spans, card)));
    Ok(())
}

/// What a card does in a step.
fn said(spans: &[Span], card: u32) -> String {
    let of = |engine| spans.iter().filter(move |span| (span.device, span.engine) == (card, engine));
    let end = |span: &Span| span.start + span.seconds;
    // An engine does one thing at a time.
    let beside = |copy: &Span, kernel: &Span| (end(kernel).min(end(copy)) - kernel.start.max(copy.start)).max(0.0);
    let hidden = of(Engine::Peers).flat_map(|copy| of(Engine::Kernels).map(move |kernel| beside(copy, kernel)));
    let sum = |engine| of(engine).map(|span| span.seconds).sum::<f64>();
    let ms = |seconds: f64| seconds * 1e3 / SHOWN as f64;
    format!(
        "device {card}, a step: {} launches, {:.3} ms; {} copies from other cards, {:.3} ms, of these {:.3} beside kernels",
        of(Engine::Kernels).count() / SHOWN,
        ms(sum(Engine::Kernels)),
        of(Engine::Peers).count() / SHOWN,
        ms(sum(Engine::Peers)),
        ms(hidden.sum())
    )
}

/// One card, or several that share the towers.
fn open(cards: u32, precision: Precision) -> Result<Box<dyn Device>> {
    let mut cards = (0..cards).map(|card| Cuda::new(card, precision)).collect::<Result<Vec<_>, _>>()?;
    if cards.len() == 1 {
        return Ok(Box::new(cards.remove(0)));
    }
    let slices = cuda::slices(&cuda::connect(&cards, true)?);
    Ok(Box::new(Shards::new(cards).in_slices(slices)))
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
        let (start, end) = (microseconds(span.start), microseconds(span.start + span.seconds));
        let length = end - start;
        events.push(format!(
            r#"{{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{start},"dur":{length}}}"#,
            span.name,
            span.device,
            row(span)
        ));
    }
    format!("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n", events.join(",\n"))
}

/// In steps of a power of two, so that a viewer's sum of begin and length is exact: where an operation overlapped the
/// one behind it by a rounding error, viewers would draw them as if one had called the other.
fn microseconds(seconds: f64) -> f64 {
    const STEPS: f64 = 1024.0;
    (seconds * 1e6 * STEPS).round() / STEPS
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Kernels => "kernels",
        Engine::FromHost => "from the host",
        Engine::ToHost => "to the host",
        Engine::Peers => "between devices",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_beside_kernels_are_summed() {
        let span = |engine, start, seconds| Span { device: 0, engine, stream: 16, name: String::new(), start, seconds };
        let (kernel, copy) = (Engine::Kernels, Engine::Peers);
        let spans =
            [span(kernel, 0.0, 2e-3), span(kernel, 3e-3, 1e-3), span(copy, 1e-3, 2.5e-3), span(copy, 5e-3, 1e-3)];
        assert_eq!(
            said(&spans, 0),
            "device 0, a step: 1 launches, 1.500 ms; 1 copies from other cards, 1.750 ms, of these 0.750 beside kernels"
        );
    }

    #[test]
    fn operations_in_a_row_do_not_overlap() {
        let (mut spans, mut start) = (Vec::new(), 0.0);
        for place in 1..1000 {
            let seconds = 1e-6 / f64::from(place);
            let name = format!("kernel {place}");
            spans.push(Span { device: 0, engine: Engine::Kernels, stream: 16, name, start, seconds });
            start += seconds;
        }
        let text = trace(&spans);
        let number = |line: &str, key: &str| -> f64 {
            let rest = &line[line.find(key).unwrap() + key.len()..];
            rest[..rest.find([',', '}']).unwrap()].parse().unwrap()
        };
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(r#""ph":"X""#)).collect();
        assert_eq!(lines.len(), spans.len());
        for pair in lines.windows(2) {
            let end = number(pair[0], r#""ts":"#) + number(pair[0], r#""dur":"#);
            assert_eq!(end, number(pair[1], r#""ts":"#), "{pair:?}");
        }
        assert!(text.contains(r#""name":"kernels, stream 0x10""#) && text.contains("device 0 (predicted)"));
    }
}
