//! From TOML to a validated [`Net`].

use std::collections::HashSet;

use super::keys::Keys;
use super::{
    AlphaMode, AugmentRule, ColourBasis, Event, Extent, Kind, Layer, Learning, MeanKind, Net, Reads, Schedule, Training,
};
use crate::Error;
use crate::ops::{Activation, Scaling, window_count};

const LAYER_TYPES: [&str; 9] = ["conv", "fc", "relu", "tanh", "lrn", "map_norm", "pool", "dropout", "softmax"];
/// Larger extents than any use; keeps products of a few of them inside usize.
const MAX_EXTENT: usize = 1 << 16;
/// More than any machine can hold or do; keeps products with a batch, and sums over layers, inside usize.
const MAX_FLOATS: u128 = 1 << 40;
const MAX_MULTIPLY_ADDS: u128 = 1 << 52;

pub(super) fn net(source: &str, origin: &str, classes: Option<usize>) -> Result<Net, Error> {
    let table = source.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| source[..span.start].matches('\n').count() + 1);
        Error::Net { net: origin.to_string(), place: format!("line {line}"), problem: error.message().to_string() }
    })?;
    let mut keys = Keys::new(origin, "", table);
    let name = keys.text("name", None)?;
    let description = keys.text("description", Some(""))?;
    let towers = keys.count("towers", Some(1), 1, 64)?;
    let own_classes = keys.count("classes", None, 2, MAX_EXTENT)?;
    let classes = classes.unwrap_or(own_classes);
    if !(2..=MAX_EXTENT).contains(&classes) {
        let problem = format!("{classes} classes in the data; expected 2 to {MAX_EXTENT}");
        return Err(keys.error("classes", problem));
    }
    let augment = augment_rule(keys.table("augment", "[augment]".to_string())?)?;
    let mut training = training(keys.table("training", "[training]".to_string())?)?;
    training.schedules = keys.tables("schedule")?.into_iter().map(schedule).collect::<Result<_, _>>()?;
    let tables = keys.tables("layer")?;
    if tables.is_empty() {
        return Err(keys.error("layer", "missing; a net needs at least a [[layer]] and a softmax"));
    }

    let mut net =
        Net { name, description, towers, classes, augment, training, layers: Vec::new(), source: source.to_string() };
    let mut names = HashSet::new();
    for table in tables {
        let layer = layer(&net, table, &mut names)?;
        net.layers.push(layer);
        check_size(&net, &keys)?;
    }
    check_end(&net, &keys)?;
    check_schedules(&net, &keys)?;
    keys.finish()?;
    Ok(net)
}

fn augment_rule(mut keys: Keys) -> Result<AugmentRule, Error> {
    let image = keys.count("image", None, 1, 4096)?;
    let crop = keys.count("crop", None, 1, image)?;
    let rule = AugmentRule {
        image,
        crop,
        positions: keys.count("positions", Some(image - crop + 1), 1, image - crop + 1)?,
        chunk: keys.count("chunk", Some(1), 1, MAX_EXTENT)?,
        flip: keys.flag("flip", true)?,
        mean: keys.choice("mean", Some("image"), &[("image", MeanKind::Image), ("scalar", MeanKind::Scalar)])?,
        colour_noise: keys.number("colour_noise", Some(0.0), 0.0, 10.0)?,
        colour_basis: keys.choice(
            "colour_basis",
            Some("deviation"),
            &[("deviation", ColourBasis::Deviation), ("eigenvalue", ColourBasis::Eigenvalue)],
        )?,
        colour_divide: keys.number("colour_divide", Some(1.0), 0.1, 10.0)?,
    };
    keys.finish()?;
    Ok(rule)
}

fn training(mut keys: Keys) -> Result<Training, Error> {
    let rate = keys.number("rate", Some(0.01), 0.0, 100.0)?;
    let training = Training {
        batch: keys.count("batch", Some(128), 1, MAX_EXTENT)?,
        momentum: keys.number("momentum", Some(0.9), 0.0, 1.0)?,
        decay: keys.number("decay", Some(0.0005), 0.0, 1.0)?,
        rate,
        bias_rate: keys.number("bias_rate", Some(rate), 0.0, 100.0)?,
        epochs: keys.count("epochs", Some(90), 1, 1_000_000)?,
        schedule: keys.text("schedule", Some("plateau"))?,
        patience: keys.count("patience", Some(5), 1, 1_000_000)?,
        schedules: Vec::new(),
    };
    keys.finish()?;
    Ok(training)
}

fn schedule(mut keys: Keys) -> Result<Schedule, Error> {
    let name = keys.text("name", None)?;
    keys.at(format!("schedule \"{name}\""));
    let epochs = keys.count("epochs", None, 1, 1_000_000)?;
    let mut events = Vec::new();
    for mut event in keys.tables("event")? {
        event.at(format!("schedule \"{name}\", event"));
        let parsed = Event {
            epoch: event.number("epoch", None, 0.0, epochs as f64)?,
            rate: event.optional_number("rate", 0.0, 100.0)?,
            bias_rate: event.optional_number("bias_rate", 0.0, 100.0)?,
            layer: event.optional_text("layer")?,
            colour_noise: event.optional_number("colour_noise", 0.0, 10.0)?,
        };
        event.finish()?;
        events.push(parsed);
    }
    if !events.is_sorted_by(|a: &Event, b| a.epoch <= b.epoch) {
        return Err(keys.error("event", "events are not in the order of their epochs"));
    }
    keys.finish()?;
    Ok(Schedule { name, epochs, events })
}

fn layer(net: &Net, mut keys: Keys, names: &mut HashSet<String>) -> Result<Layer, Error> {
    let index = net.layers.len();
    let name = keys.text("name", None)?;
    keys.at(format!("layer \"{name}\""));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(keys.error("name", format!("\"{name}\" is not allowed; expected letters, digits, - and _")));
    }
    if !names.insert(name.clone()) {
        return Err(keys.error("name", format!("\"{name}\" is taken by another layer; expected a name of its own")));
    }
    let kind_name = keys.choice("type", None, &LAYER_TYPES.map(|name| (name, name)))?;
    let reads = keys.choice("reads", Some("own"), &[("own", Reads::Own), ("all", Reads::All)])?;
    let input = net.input_of(index);
    let weighted = matches!(kind_name, "conv" | "fc");
    let (towers, reads) =
        if weighted { (keys.count("towers", Some(net.towers), 1, net.towers)?, reads) } else { (input.towers, reads) };
    if reads == Reads::All && !weighted && kind_name != "lrn" {
        return Err(keys.error("reads", format!("\"all\" is not allowed for type \"{kind_name}\"; expected \"own\"")));
    }
    if towers != net.towers && towers != 1 {
        return Err(keys.error("towers", format!("{towers} is not allowed; expected 1 or {}", net.towers)));
    }
    if reads == Reads::Own && towers < input.towers {
        let problem =
            format!("\"own\" would leave {} of {} towers unread; expected \"all\"", input.towers - 1, input.towers);
        return Err(keys.error("reads", problem));
    }

    let (kind, output) = match kind_name {
        "conv" => conv(&mut keys, input, towers)?,
        "fc" => fc(net, &mut keys, towers)?,
        "pool" => pool(&mut keys, input)?,
        "relu" => (Kind::Activation(Activation::Relu), input),
        "tanh" => {
            let a = keys.number("a", Some(1.0), 1e-6, 1e6)? as f32;
            let b = keys.number("b", Some(1.0), 1e-6, 1e6)? as f32;
            (Kind::Activation(Activation::Tanh { a, b }), input)
        }
        "lrn" => {
            let (size, k, alpha, alpha_mode, beta) = normalisation(&mut keys)?;
            (Kind::Lrn { size, k, alpha, alpha_mode, beta }, input)
        }
        "map_norm" => {
            let (size, k, alpha, alpha_mode, beta) = normalisation(&mut keys)?;
            (Kind::MapNorm { size, k, alpha, alpha_mode, beta }, input)
        }
        "dropout" => {
            let drop = keys.number("drop", Some(0.5), 0.0, 0.99)?;
            let choices = [("test", Scaling::Test), ("train", Scaling::Train)];
            (Kind::Dropout { drop, scaling: keys.choice("scale", Some("test"), &choices)? }, input)
        }
        _ => (Kind::Softmax, input),
    };
    keys.finish()?;
    Ok(Layer { name, reads, kind, output })
}

fn conv(keys: &mut Keys, input: Extent, towers: usize) -> Result<(Kind, Extent), Error> {
    let filters = split(keys, "filters", None, towers)?;
    let size = keys.count("size", None, 1, 1024)?;
    let stride = keys.count("stride", Some(1), 1, 1024)?;
    let pad = keys.count("pad", Some(0), 0, size - 1)?;
    let ceil = keys.choice("rounding", Some("ceil"), &[("ceil", true), ("floor", false)])?;
    let learning = learning(keys)?;
    fits(keys, size, pad, input)?;
    let output = Extent {
        height: window_count(input.height, pad, size, stride, ceil),
        width: window_count(input.width, pad, size, stride, ceil),
        channels: filters,
        towers,
    };
    Ok((Kind::Conv { size, stride, pad, ceil, learning }, output))
}

fn fc(net: &Net, keys: &mut Keys, towers: usize) -> Result<(Kind, Extent), Error> {
    let channels = split(keys, "outputs", Some(net.classes), towers)?;
    let learning = learning(keys)?;
    Ok((Kind::Fc { learning }, Extent { height: 1, width: 1, channels, towers }))
}

fn pool(keys: &mut Keys, input: Extent) -> Result<(Kind, Extent), Error> {
    let size = keys.count("size", None, 1, 1024)?;
    let stride = keys.count("stride", None, 1, 1024)?;
    let ceil = keys.choice("rounding", Some("ceil"), &[("ceil", true), ("floor", false)])?;
    fits(keys, size, 0, input)?;
    let output = Extent {
        height: window_count(input.height, 0, size, stride, ceil),
        width: window_count(input.width, 0, size, stride, ceil),
        ..input
    };
    Ok((Kind::Pool { size, stride, ceil }, output))
}

fn normalisation(keys: &mut Keys) -> Result<(usize, f64, f64, AlphaMode, f64), Error> {
    let size = keys.count("size", Some(5), 1, 1023)?;
    if size.is_multiple_of(2) {
        return Err(keys.error("size", format!("{size} is not allowed; expected an odd number")));
    }
    Ok((
        size,
        keys.number("k", Some(2.0), 1e-3, 1e6)?,
        keys.number("alpha", Some(1e-4), 0.0, 1e6)?,
        keys.choice("alpha_mode", None, &[("sum", AlphaMode::Sum), ("mean", AlphaMode::Mean)])?,
        keys.number("beta", Some(0.75), 0.0, 16.0)?,
    ))
}

fn learning(keys: &mut Keys) -> Result<Learning, Error> {
    Ok(Learning {
        init_std: keys.number("init_std", Some(0.01), 0.0, 100.0)?,
        bias: keys.number("bias", Some(0.0), -100.0, 100.0)?,
        rate: keys.number("rate", Some(1.0), 0.0, 1000.0)?,
        bias_rate: keys.number("bias_rate", Some(1.0), 0.0, 1000.0)?,
        decay: keys.number("decay", Some(1.0), 0.0, 1000.0)?,
        bias_decay: keys.number("bias_decay", Some(1.0), 0.0, 1000.0)?,
    })
}

/// A number of maps or units over all towers, as the number of one tower.
fn split(keys: &mut Keys, key: &'static str, default: Option<usize>, towers: usize) -> Result<usize, Error> {
    let total = keys.count(key, default, 1, MAX_EXTENT)?;
    if !total.is_multiple_of(towers) {
        return Err(keys.error(key, format!("{total} is not allowed; expected a multiple of the {towers} towers")));
    }
    Ok(total / towers)
}

fn fits(keys: &Keys, size: usize, pad: usize, input: Extent) -> Result<(), Error> {
    let side = input.height.min(input.width) + 2 * pad;
    if size > side {
        return Err(keys.error("size", format!("{size} is not allowed; the padded input is only {side} pixels wide")));
    }
    Ok(())
}

/// Refuses a last layer that no machine could hold.
fn check_size(net: &Net, keys: &Keys) -> Result<(), Error> {
    let index = net.layers.len() - 1;
    let (layer, input) = (&net.layers[index], net.input_of(index));
    let product = |extents: &[usize]| extents.iter().map(|&extent| extent as u128).product::<u128>();
    let Extent { height, width, channels, towers } = layer.output;
    let terms = match layer.kind {
        Kind::Conv { size, .. } => product(&[size, size, input.channels, input.towers]),
        Kind::Fc { .. } => product(&[input.height, input.width, input.channels, input.towers]),
        _ => 1,
    };
    let weights = terms * product(&[channels, towers]);
    let largest = weights.max(product(&[height, width, channels, towers]));
    if largest > MAX_FLOATS || weights * product(&[height, width]) > MAX_MULTIPLY_ADDS {
        let problem = format!("layer \"{}\" has {largest} weights or outputs: too many for any machine", layer.name);
        return Err(keys.error("layer", problem));
    }
    Ok(())
}

fn check_end(net: &Net, keys: &Keys) -> Result<(), Error> {
    let last = net.layers.last().map(|layer| &layer.kind);
    if last != Some(&Kind::Softmax) {
        return Err(keys.error("layer", "the last layer is no softmax; expected type \"softmax\" there"));
    }
    let softmaxes = net.layers.iter().filter(|layer| layer.kind == Kind::Softmax).count();
    if softmaxes > 1 {
        return Err(keys.error("layer", "expected one softmax, at the end"));
    }
    let scores = net.input_of(net.layers.len() - 1);
    if scores.towers != 1 || scores.tower_len() != net.classes {
        let found = format!("{} values in {} towers", scores.tower_len() * scores.towers, scores.towers);
        let problem = format!("the softmax reads {found}; expected {} classes in one tower (towers = 1)", net.classes);
        return Err(keys.error("layer", problem));
    }
    Ok(())
}

fn check_schedules(net: &Net, keys: &Keys) -> Result<(), Error> {
    let chosen = net.training.schedule.as_str();
    if !matches!(chosen, "plateau" | "constant") && net.schedule(chosen).is_none() {
        let mut known = vec!["plateau", "constant"];
        known.extend(net.training.schedules.iter().map(|schedule| schedule.name.as_str()));
        let problem = format!("\"{chosen}\" is not allowed; expected one of {}", known.join(", "));
        return Err(keys.error("schedule", problem));
    }
    let events = net.training.schedules.iter().flat_map(|schedule| &schedule.events);
    for name in events.filter_map(|event| event.layer.as_deref()) {
        if !net.layers.iter().any(|layer| layer.name == name && layer.kind.learning().is_some()) {
            return Err(keys.error("schedule", format!("no layer with weights is called \"{name}\"")));
        }
    }
    Ok(())
}
