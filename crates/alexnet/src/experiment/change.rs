//! The one setting that an experiment changes, as an edit of a net's TOML.

use anyhow::{Context, Result, bail};
use convnet::net::Net;
use toml::{Table, Value};

use super::Experiment;

/// The net of the second arm.
pub(super) fn changed(experiment: Experiment, source: &str, origin: &str) -> Result<String> {
    let mut net: Table = source.parse().with_context(|| format!("{origin} is no TOML"))?;
    let before = net.clone();
    match experiment {
        Experiment::ReluVsTanh => layers(&mut net).filter(|it| is(it, "relu")).for_each(|it| set(it, "type", "tanh")),
        Experiment::Lrn => remove(&mut net, &["lrn", "map_norm"]),
        Experiment::Overlap => layers(&mut net).filter(|it| is(it, "pool")).for_each(separate),
        Experiment::Dropout => remove(&mut net, &["dropout"]),
        Experiment::ColourNoise => without_colour_noise(&mut net),
        Experiment::Crops => {
            // One position is the centre.
            augment(&mut net, &[("positions", Value::Integer(1)), ("flip", Value::Boolean(false))]);
        }
        Experiment::Towers => one_tower(&mut net),
    }
    if net == before {
        bail!("{origin} has nothing that experiment {} changes; choose another --net", experiment.name());
    }
    let name = net.get("name").and_then(Value::as_str).unwrap_or("net");
    let (name, arm) = (name.to_string(), experiment.arms()[1]);
    net.insert("name".to_string(), Value::String(format!("{name}-{arm}")));
    net.insert(
        "description".to_string(),
        Value::String(format!("{name} as experiment {} changes it", experiment.name())),
    );
    let text = toml::to_string(&net)?;
    Net::parse(&text, &format!("{name}-{arm}"), None)?;
    Ok(text)
}

/// The tables of the layers.
fn layers(net: &mut Table) -> impl Iterator<Item = &mut Table> {
    net.get_mut("layer").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}

fn is(layer: &Table, kind: &str) -> bool {
    layer.get("type").and_then(Value::as_str) == Some(kind)
}

fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_string(), value.into());
}

fn remove(net: &mut Table, kinds: &[&str]) {
    if let Some(layers) = net.get_mut("layer").and_then(Value::as_array_mut) {
        layers.retain(|layer| !layer.as_table().is_some_and(|layer| kinds.iter().any(|kind| is(layer, kind))));
    }
}

/// Lets windows of a pooling layer not overlap. Windows of 2 by 2 that end at the edge give as many as windows of 3 by
/// 3 that may hang over it: the paper compares maps "of equivalent dimensions".
fn separate(pool: &mut Table) {
    let Some(stride) = pool.get("stride").and_then(Value::as_integer) else { return };
    if pool.get("size").and_then(Value::as_integer).is_some_and(|size| size > stride) {
        set(pool, "size", stride);
        set(pool, "rounding", "floor");
    }
}

fn augment(net: &mut Table, settings: &[(&str, Value)]) {
    if let Some(augment) = net.get_mut("augment").and_then(Value::as_table_mut) {
        settings.iter().for_each(|(key, value)| set(augment, key, value.clone()));
    }
}

fn without_colour_noise(net: &mut Table) {
    let noise = net.get("augment").and_then(|augment| augment.get("colour_noise"));
    if noise.is_none_or(|noise| noise.as_float() == Some(0.0) || noise.as_integer() == Some(0)) {
        return;
    }
    augment(net, &[("colour_noise", Value::Float(0.0))]);
    let schedules = net.get_mut("schedule").and_then(Value::as_array_mut).into_iter().flatten();
    let events = schedules.filter_map(|schedule| schedule.get_mut("event")?.as_array_mut()).flatten();
    for event in events.filter_map(Value::as_table_mut).filter(|event| event.contains_key("colour_noise")) {
        set(event, "colour_noise", 0.0);
    }
}

/// Half as many filters in every convolution but the last: footnote 2 of the paper.
fn one_tower(net: &mut Table) {
    if net.get("towers").and_then(Value::as_integer).is_none_or(|towers| towers < 2) {
        return;
    }
    set(net, "towers", 1);
    let mut convolutions: Vec<&mut Table> = layers(net).filter(|layer| is(layer, "conv")).collect();
    convolutions.pop();
    for layer in convolutions {
        if let Some(filters) = layer.get("filters").and_then(Value::as_integer) {
            set(layer, "filters", filters / 2);
        }
    }
    layers(net).for_each(|layer| drop(layer.remove("towers")));
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use convnet::net::Kind;

    use super::*;
    use crate::nets;

    fn pair(experiment: Experiment, name: &str) -> [Net; 2] {
        let (source, origin) = nets::source(name).unwrap();
        experiment.nets(&source, &origin).unwrap().map(|text| Net::parse(&text, "changed", None).unwrap())
    }

    #[test]
    fn maps_keep_their_extents_when_windows_do_not_overlap() {
        for name in ["nips2012", "mini", "paper"] {
            let [overlap, separate] = pair(Experiment::Overlap, name);
            for (a, b) in overlap.layers.iter().zip(&separate.layers) {
                assert_eq!(a.output, b.output, "{name}, {}", a.name);
                assert!(!matches!(b.kind, Kind::Pool { size, stride, .. } if size != stride), "{name}, {}", a.name);
            }
        }
    }

    #[test]
    fn one_tower_is_the_control_of_2012() {
        let [_, one] = pair(Experiment::Towers, "nips2012");
        let control = nets::load("one-gpu", None).unwrap();
        assert_eq!((one.towers, one.parameters()), (1, control.parameters()));
        assert_eq!(one.multiply_adds(), control.multiply_adds());
    }

    #[test]
    fn every_experiment_changes_one_thing() {
        let [with, without] = pair(Experiment::Lrn, "mini");
        let kinds = |net: &Net| net.layers.iter().map(|layer| layer.kind.name()).collect::<Vec<_>>();
        let kept: Vec<&str> = kinds(&with).into_iter().filter(|kind| !matches!(*kind, "lrn" | "map_norm")).collect();
        assert!(kept == kinds(&without) && kept.len() + 3 == with.layers.len());
        let [relu, tanh] = pair(Experiment::ReluVsTanh, "cifar");
        assert_eq!(kinds(&relu).iter().filter(|kind| **kind == "relu").count(), 3);
        assert_eq!(kinds(&tanh).iter().filter(|kind| **kind == "tanh").count(), 3);
        let [_, quiet] = pair(Experiment::ColourNoise, "nips2012");
        assert_eq!(quiet.augment.colour_noise, 0.0);
        let [_, still] = pair(Experiment::Crops, "mini");
        assert_eq!((still.augment.positions, still.augment.flip), (1, false));
        assert_eq!(still.name, "mini-no-crops");
        for &experiment in Experiment::value_variants() {
            let [before, after] = pair(experiment, "mini");
            assert_eq!(before.training, after.training, "{experiment:?}");
        }
    }

    #[test]
    fn a_net_without_the_thing_is_refused() {
        let (source, origin) = nets::source("no-lrn").unwrap();
        let error = Experiment::Lrn.nets(&source, &origin).unwrap_err().to_string();
        assert!(error.contains("net no-lrn has nothing that experiment lrn changes"), "{error}");
    }
}
