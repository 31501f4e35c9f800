//! The built-in nets, and nets from files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use convnet::net::Net;

/// Name and text of every built-in net.
pub const BUILT_IN: [(&str, &str); 12] = [
    ("nips2012", include_str!("../nets/nips2012.toml")),
    ("paper", include_str!("../nets/paper.toml")),
    ("one-gpu", include_str!("../nets/one-gpu.toml")),
    ("no-lrn", include_str!("../nets/no-lrn.toml")),
    ("non-overlapping", include_str!("../nets/non-overlapping.toml")),
    ("no-communication", include_str!("../nets/no-communication.toml")),
    ("six-conv", include_str!("../nets/six-conv.toml")),
    ("bvlc-alexnet", include_str!("../nets/bvlc-alexnet.toml")),
    ("caffenet", include_str!("../nets/caffenet.toml")),
    ("torchvision", include_str!("../nets/torchvision.toml")),
    ("mini", include_str!("../nets/mini.toml")),
    ("cifar", include_str!("../nets/cifar.toml")),
];

/// The text of a built-in net or of a file, and what to call it in messages.
///
/// # Errors
/// When `name` is neither a built-in net nor a readable file.
pub fn source(name: &str) -> Result<(String, String)> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return Ok(((*text).to_string(), format!("net {name}")));
    }
    let path = Path::new(name);
    if !path.exists() {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        bail!("net {name:?} is neither a file nor one of {}", names.join(", "));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read net {name}"))?;
    Ok((text, name.to_string()))
}

/// A net by name or file; `classes` replaces its number of classes.
///
/// # Errors
/// When there is no such net or it is not valid.
pub fn load(name: &str, classes: Option<usize>) -> Result<Net> {
    let (text, origin) = source(name)?;
    Ok(Net::parse(&text, &origin, classes)?)
}

#[cfg(test)]
mod tests {
    use convnet::plan::{Mode, Plan};

    use super::*;

    fn facts(name: &str) -> (usize, usize) {
        let net = load(name, None).unwrap();
        (net.parameters(), net.multiply_adds())
    }

    #[test]
    fn the_nets_have_the_sizes_of_the_paper() {
        assert_eq!(facts("nips2012"), (60_965_224, 724_406_816));
        assert_eq!(facts("paper"), (60_965_224, 724_406_816));
        assert_eq!(facts("no-lrn").0, 60_965_224);
        assert_eq!(facts("non-overlapping").0, 60_965_224);
        assert_eq!(facts("bvlc-alexnet").0, 60_965_224);
        assert_eq!(facts("caffenet").0, 60_965_224);
        assert_eq!(facts("torchvision").0, 61_100_840);
        assert_eq!((facts("one-gpu").0 as f64 / 1e4).round(), 5980.0);
        assert_eq!((facts("one-gpu").1 as f64 / 1e5).round(), 3915.0);
        assert_eq!((facts("no-communication").0 as f64 / 1e4).round(), 6071.0);
    }

    #[test]
    fn maps_are_55_27_13_and_6_wide() {
        let net = load("nips2012", None).unwrap();
        let width = |name: &str| net.layers.iter().find(|layer| layer.name == name).map(|layer| layer.output.width);
        let widths = ["conv1", "pool1", "conv2", "pool2", "conv5", "pool5"].map(|name| width(name).unwrap());
        assert_eq!(widths, [55, 27, 27, 13, 13, 6]);
    }

    /// The largest net that is compiled when a damaged text is still a net: a plan is cheap, its sums should not be.
    const MAX_MULTIPLY_ADDS: usize = 1 << 40;

    #[test]
    fn damaged_texts_are_errors_or_nets() {
        crate::fuzz::repeat("nets", 1000, |random| {
            let (name, text) = BUILT_IN[random.below(BUILT_IN.len())];
            let mut text = text.to_string();
            crate::fuzz::damage_text(&mut text, random);
            match Net::parse(&text, name, None) {
                Err(error) => assert!(!error.to_string().is_empty()),
                Ok(net) if net.multiply_adds() > MAX_MULTIPLY_ADDS => {}
                Ok(net) => assert!(!Plan::compile(&net, 2, Mode::Train).forward.is_empty()),
            }
        });
    }

    #[test]
    fn classes_come_from_the_data() {
        let net = load("nips2012", Some(10)).unwrap();
        assert_eq!(net.input_of(net.layers.len() - 1).channels, 10);
    }
}
