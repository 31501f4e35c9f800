//! `alexnet net NAME --placement N`: where towers are, and what the devices exchange.

use convnet::net::Net;
use convnet::ops::Op;
use convnet::plan::{Plan, Planned};

use crate::console::say;

/// Bytes of an f32.
const BYTES: usize = 4;

/// Says which towers are where, and the bytes of each exchange of a step.
pub(super) fn show(net: &Net, plan: &Plan) {
    let each = net.towers / plan.shards;
    say(format_args!(
        "net {}: {} towers on {} devices, {} images in a step",
        net.name, net.towers, plan.shards, plan.images
    ));
    for shard in 0..plan.shards {
        let towers: Vec<String> = (shard * each..(shard + 1) * each).map(|tower| (tower + 1).to_string()).collect();
        let own = plan.parameters.iter().filter(|parameter| parameter.value.shard == shard);
        let floats: usize = own.map(|parameter| parameter.value.len).sum();
        let megabytes = megabytes(floats * BYTES);
        say(format_args!("  device {shard}: towers {}, parameters of {megabytes} MB", towers.join(", ")));
    }
    say(format_args!("\n{:<9} {:<12} {:<10} {:>9}", "pass", "layer", "from, to", "MB in f32"));
    for (pass, list) in [("forward", &plan.forward), ("backward", &plan.backward)] {
        let mut totals = vec![vec![0; plan.shards]; plan.shards];
        for planned in list {
            for (from, to, bytes) in links(planned, plan) {
                totals[from][to] += bytes;
                say(format_args!("{pass:<9} {:<12} {from}, {to:<7} {:>9}", planned.layer, megabytes(bytes)));
            }
        }
        for (from, totals) in totals.iter().enumerate() {
            for (to, &bytes) in totals.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
                say(format_args!("{pass:<9} {:<12} {from}, {to:<7} {:>9}", "all", megabytes(bytes)));
            }
        }
    }
}

/// What an operation sends from device to device, in bytes.
fn links(planned: &Planned, plan: &Plan) -> Vec<(usize, usize, usize)> {
    let Op::Exchange(op) = &planned.op else { return Vec::new() };
    let pairs = (0..plan.shards).flat_map(|from| (0..plan.shards).map(move |to| (from, to)));
    let bytes = pairs.map(|(from, to)| (from, to, op.floats_between(from, to) * plan.images * BYTES));
    bytes.filter(|(_, _, bytes)| *bytes > 0).collect()
}

fn megabytes(bytes: usize) -> String {
    format!("{:.2}", bytes as f64 * 1e-6)
}
