//! A net in words: what its settings mean, for `alexnet net` and the start of a run.

use convnet::net::{AlphaMode, AugmentRule, ColourBasis, Extent, Kind, Layer, MeanKind, Net, Reads, Schedule};
use convnet::ops::Scaling;

use crate::console::thousands;

/// A table of the layers: names of the columns, a row for each layer, and the sums. The last two columns are numbers.
pub fn table(net: &Net) -> Vec<[String; 9]> {
    let head = ["layer", "type", "kernel", "stride", "pad", "reads", "output", "parameters", "multiply-adds"];
    let mut rows = vec![head.map(str::to_string)];
    rows.extend(net.layers.iter().enumerate().map(|(index, layer)| row(net, index, layer)));
    let mut total = [const { String::new() }; 9];
    total[0] = "total".to_string();
    total[7] = thousands(net.parameters());
    total[8] = thousands(net.multiply_adds());
    rows.push(total);
    rows
}

fn row(net: &Net, index: usize, layer: &Layer) -> [String; 9] {
    let dash = || "-".to_string();
    let square = |size: usize| format!("{size}x{size}");
    let (kernel, stride, pad) = match layer.kind {
        Kind::Conv { size, stride, pad, .. } => (square(size), stride.to_string(), pad.to_string()),
        Kind::Pool { size, stride, .. } => (square(size), stride.to_string(), "0".to_string()),
        Kind::Lrn { size, .. } => (format!("{size} maps"), dash(), dash()),
        Kind::MapNorm { size, .. } => (square(size), dash(), dash()),
        _ => (dash(), dash(), dash()),
    };
    let count = |number: usize| if number == 0 { dash() } else { thousands(number) };
    [
        layer.name.clone(),
        layer.kind.name().to_string(),
        kernel,
        stride,
        pad,
        if layer.reads == Reads::All { "all" } else { "own" }.to_string(),
        extent(layer.output),
        count(net.parameters_of(index)),
        count(net.multiply_adds_of(index)),
    ]
}

/// `55x55x96 (2x48)`
fn extent(extent: Extent) -> String {
    let Extent { height, width, channels, towers } = extent;
    let place = if (height, width) == (1, 1) { String::new() } else { format!("{height}x{width}x") };
    let split = if towers == 1 { String::new() } else { format!(" ({towers}x{channels})") };
    format!("{place}{}{split}", towers * channels)
}

/// What a layer without weights does, where a table cannot say it.
pub fn layer(layer: &Layer) -> Option<String> {
    let words = match &layer.kind {
        Kind::Lrn { size, k, alpha, alpha_mode, beta } => {
            let towers = if layer.reads == Reads::All { "all towers" } else { "one tower" };
            let alpha = alpha_words(*alpha, *alpha_mode, *size);
            format!("over {size} neighbouring maps of {towers}: k {k}, {alpha}, beta {beta}")
        }
        Kind::MapNorm { size, k, alpha, alpha_mode, beta } => {
            let alpha = alpha_words(*alpha, *alpha_mode, size * size);
            format!("over {size}x{size} pixels of the same map: k {k}, {alpha}, beta {beta}")
        }
        Kind::Dropout { drop, scaling: Scaling::Test } => {
            format!("drops {} % in training, without rescaling; outputs times {} in tests", drop * 100.0, 1.0 - drop)
        }
        Kind::Dropout { drop, scaling: Scaling::Train } => {
            format!("drops {} % in training and divides the rest by {}; nothing in tests", drop * 100.0, 1.0 - drop)
        }
        _ => return None,
    };
    Some(format!("{}: {words}", layer.name))
}

/// How alpha enters a normalisation: the field's most frequent misunderstanding.
fn alpha_words(alpha: f64, mode: AlphaMode, terms: usize) -> String {
    match mode {
        AlphaMode::Sum => format!("alpha {alpha} times the sum of squares"),
        AlphaMode::Mean => {
            let effective = format!("{:.4e}", alpha / terms as f64).parse().unwrap_or(alpha);
            format!("alpha {alpha} times the mean of squares ({effective:?} times their sum)")
        }
    }
}

/// How images become inputs.
pub fn augmentation(rule: &AugmentRule) -> Vec<String> {
    let AugmentRule { image, crop, positions, chunk, .. } = *rule;
    let sharing = match chunk {
        1 => "each image its own".to_string(),
        _ => format!("one for {chunk} consecutive images"),
    };
    let flips = if rule.flip { "mirrored half of the time" } else { "never mirrored" };
    let mean = match rule.mean {
        MeanKind::Image => "the mean image's centre is subtracted from every crop",
        MeanKind::Scalar => "one number, the mean of all pixels, is subtracted",
    };
    let noise = if rule.colour_noise == 0.0 {
        "none".to_string()
    } else {
        let basis = match rule.colour_basis {
            ColourBasis::Deviation => "square roots of the colour covariance's eigenvalues",
            ColourBasis::Eigenvalue => "eigenvalues of the colour covariance, of pixels on 0..1",
        };
        let divide = if rule.colour_divide == 1.0 { String::new() } else { format!("; then / {}", rule.colour_divide) };
        format!("normal factors of deviation {}, times the {basis}{divide}", rule.colour_noise)
    };
    vec![
        format!("images        shorter side scaled to {image}, then the central {image}x{image}"),
        format!("crops         {crop}x{crop} at {positions}x{positions} positions, {sharing}, {flips}"),
        format!("mean          {mean}"),
        format!("colour noise  {noise}"),
        "tests         centre crop, or ten: corners and centre, mirrored".to_string(),
    ]
}

/// Batch, rates and the default schedule.
pub fn training(net: &Net) -> Vec<String> {
    let training = &net.training;
    let schedule = match training.schedule.as_str() {
        "plateau" => format!(
            "plateau: both rates are divided by 10 after {} epochs without a better validation error, three times",
            training.patience
        ),
        "constant" => "constant".to_string(),
        name => format!("{name} (below)"),
    };
    vec![
        format!("batch         {}, momentum {}, weight decay {}", training.batch, training.momentum, training.decay),
        format!("rates         {} for weights, {} for biases", training.rate, training.bias_rate),
        format!("epochs        {}", training.epochs),
        format!("schedule      {schedule}"),
    ]
}

/// A schedule made of events.
pub fn schedule(schedule: &Schedule) -> Vec<String> {
    let mut lines = vec![format!("schedule {}, made for {} epochs", schedule.name, schedule.epochs)];
    for event in &schedule.events {
        let mut changes = Vec::new();
        let whose = event.layer.as_deref().map_or(String::new(), |layer| format!("{layer} "));
        changes.extend(event.rate.map(|rate| format!("{whose}rate {rate}")));
        changes.extend(event.bias_rate.map(|rate| format!("{whose}bias rate {rate}")));
        if event.layer.is_some() && event.rate == Some(0.0) && event.bias_rate == Some(0.0) {
            changes = vec![format!("{whose}frozen")];
        }
        changes.extend(event.colour_noise.map(|noise| match noise {
            0.0 => "colour noise off".to_string(),
            noise => format!("colour noise {noise}"),
        }));
        lines.push(format!("  epoch {:<5} {}", event.epoch, changes.join(", ")));
    }
    lines
}
