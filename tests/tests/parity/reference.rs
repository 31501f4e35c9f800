//! A reference file: the network it describes, its inputs, and the tensors to compare with.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;

use convnet::net::Net;
use serde::Deserialize;

use crate::npz::{self, Array};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug, Deserialize)]
pub(crate) struct Meta {
    pub(crate) seed: u64,
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) weight_decay: f64,
    pub(crate) weight_decay_wd_run: f64,
    pub(crate) lrn: Lrn,
    pub(crate) input: [usize; 3],
    conv: Vec<Conv>,
    fc: Vec<[usize; 2]>,
    classes: usize,
    pub(crate) params: Vec<Parameter>,
    /// How far PyTorch's own float32 is from its float64, for every tensor.
    pub(crate) f32_vs_f64_rel: HashMap<String, f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Lrn {
    n: usize,
    k: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
    groups: usize,
}

#[derive(Debug, Deserialize)]
struct Conv {
    cout: usize,
    k: usize,
    stride: usize,
    pad: usize,
    groups: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    scale: f64,
    base: f64,
    stream: u64,
}

/// How the network of a run drops units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropout {
    None,
    /// Kept units are doubled in training.
    Inverted,
    /// All units are halved in a test.
    Paper,
}

/// What a tensor should be.
pub(crate) enum Expected<'a> {
    All(&'a [f64]),
    /// Sum, sum of magnitudes, l2 norm and count, and the values at a few positions.
    Summary {
        stat: [f64; 4],
        idx: &'a [f64],
        val: &'a [f64],
    },
}

pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) meta: Meta,
    arrays: BTreeMap<String, Array>,
    used: RefCell<BTreeSet<String>>,
}

impl Reference {
    pub(crate) fn read(path: &Path) -> Result<Reference, String> {
        let mut arrays = npz::read(path)?;
        let text = arrays.remove("meta").ok_or("no meta")?.values;
        let text: Vec<u8> = text.into_iter().map(|byte| byte as u8).collect();
        let meta = serde_json::from_slice(&text).map_err(|error| format!("meta: {error}"))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Reference { name, meta, arrays, used: RefCell::default() })
    }

    /// The tensors whose names start with `prefix`, without it. Summarised ones appear once.
    pub(crate) fn names(&self, prefix: &str) -> BTreeSet<String> {
        let whole = |tail: &str| match tail.rsplit_once('/') {
            Some((tensor, "stat" | "idx" | "val")) => tensor.to_string(),
            _ => tail.to_string(),
        };
        self.arrays.keys().filter_map(|name| name.strip_prefix(prefix)).map(whole).collect()
    }

    /// An array that is in the file under just this name.
    pub(crate) fn array(&self, name: &str) -> Option<&[f64]> {
        let array = self.arrays.get(name)?;
        self.used.borrow_mut().insert(name.to_string());
        Some(&array.values)
    }

    /// A tensor, complete or as a summary.
    pub(crate) fn expected(&self, name: &str) -> Option<Expected<'_>> {
        if let Some(values) = self.array(name) {
            return Some(Expected::All(values));
        }
        let part = |part: &str| self.array(&format!("{name}/{part}"));
        let stat = part("stat")?.try_into().ok()?;
        Some(Expected::Summary { stat, idx: part("idx")?, val: part("val")? })
    }

    /// Arrays that nobody asked for.
    pub(crate) fn unused(&self) -> Vec<&str> {
        let used = self.used.borrow();
        self.arrays.keys().filter(|name| !used.contains(*name)).map(String::as_str).collect()
    }

    /// 24 random bits for each of `count` positions.
    fn bits(&self, stream: u64, count: usize) -> impl Iterator<Item = u32> {
        let start = mix((self.meta.seed << 32).wrapping_add(stream).wrapping_add(GOLDEN));
        (1..=count as u64).map(move |i| (mix(start.wrapping_add(i.wrapping_mul(GOLDEN))) >> 40) as u32)
    }

    fn values(&self, stream: u64, count: usize, scale: f64, base: f64) -> Vec<f32> {
        // 2k + 1 - 2^24 has 25 bits with its sign and is odd, so it is exact in f32.
        let unit = |k: u32| (2 * i64::from(k) + 1 - (1 << 24)) as f32 * 2.0_f32.powi(-24);
        self.bits(stream, count).map(|k| unit(k) * scale as f32 + base as f32).collect()
    }

    /// A parameter at the start, in PyTorch's layout.
    pub(crate) fn parameter(&self, parameter: &Parameter) -> Vec<f32> {
        self.values(parameter.stream, parameter.shape.iter().product(), parameter.scale, parameter.base)
    }

    /// The input, NCHW.
    pub(crate) fn input(&self) -> Vec<f32> {
        self.values(100, self.meta.batch * self.meta.input.iter().product::<usize>(), 128.0, 0.0)
    }

    pub(crate) fn labels(&self) -> Vec<u32> {
        self.bits(101, self.meta.batch).map(|k| k % self.meta.classes as u32).collect()
    }

    /// Which units stay in step `step`, `[batch, units]` behind fc6 and behind fc7.
    pub(crate) fn masks(&self, step: usize) -> [Vec<bool>; 2] {
        [0, 1].map(|layer| {
            let units = self.meta.fc[layer][1];
            self.bits(200 + 2 * step as u64 + layer as u64, self.meta.batch * units).map(|k| k >= 1 << 23).collect()
        })
    }

    /// The described network. In the file a convolution of two groups reads its own tower, one of a single group reads
    /// all; a normalisation in one group has windows over all maps, one in two groups stays in its tower.
    pub(crate) fn net(&self, dropout: Dropout, decay: f64) -> Net {
        let Meta { batch, lr, momentum, lrn, input, conv, fc, classes, .. } = &self.meta;
        let [_, side, _] = input;
        let reads = |groups: usize| if groups == 1 { "all" } else { "own" };
        let mut text = format!(
            "name = \"{}\"\ntowers = 2\nclasses = {classes}\n\
             [augment]\nimage = {side}\ncrop = {side}\n\
             [training]\nbatch = {batch}\nmomentum = {momentum:?}\ndecay = {decay:?}\nrate = {lr:?}\n",
            self.name
        );
        let mut layer = |name: String, keys: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[[layer]]\nname = \"{name}\"\n{keys}");
        };
        for (i, Conv { cout, k, stride, pad, groups }) in conv.iter().enumerate() {
            let n = i + 1;
            let window = format!("size = {k}\nstride = {stride}\npad = {pad}\nrounding = \"floor\"");
            layer(
                format!("conv{n}"),
                format!("type = \"conv\"\nfilters = {cout}\n{window}\nreads = \"{}\"", reads(*groups)),
            );
            layer(format!("relu{n}"), "type = \"relu\"".to_string());
            if n <= 2 {
                let Lrn { n: size, k, alpha, beta, groups } = lrn;
                let formula =
                    format!("size = {size}\nk = {k:?}\nalpha = {alpha:?}\nalpha_mode = \"sum\"\nbeta = {beta:?}");
                layer(format!("lrn{n}"), format!("type = \"lrn\"\n{formula}\nreads = \"{}\"", reads(*groups)));
            }
            if [1, 2, 5].contains(&n) {
                layer(format!("pool{n}"), "type = \"pool\"\nsize = 3\nstride = 2\nrounding = \"floor\"".to_string());
            }
        }
        for (i, [_, outputs]) in fc.iter().enumerate() {
            let (n, last) = (i + 6, i + 1 == fc.len());
            let towers = if last { "towers = 1" } else { "" };
            layer(format!("fc{n}"), format!("type = \"fc\"\noutputs = {outputs}\nreads = \"all\"\n{towers}"));
            if last {
                continue;
            }
            layer(format!("relu{n}"), "type = \"relu\"".to_string());
            let scale = match dropout {
                Dropout::None => continue,
                Dropout::Inverted => "train",
                Dropout::Paper => "test",
            };
            layer(format!("drop{n}"), format!("type = \"dropout\"\ndrop = 0.5\nscale = \"{scale}\""));
        }
        layer("softmax".to_string(), "type = \"softmax\"".to_string());
        Net::parse(&text, &self.name, None).expect("a net from a reference is valid")
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
