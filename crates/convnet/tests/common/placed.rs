//! Networks with several towers, and steps to train them with.

use convnet::net::Net;
use convnet::ops::{Device, Draw, Step};
use convnet::philox::words;
use convnet::run::Network;

const MINI: &str = include_str!("../../../alexnet/nets/mini.toml");

/// Images of each step; a short one between them.
pub const STEPS: [usize; 4] = [3, 3, 2, 3];

pub fn mini() -> Net {
    Net::parse(MINI, "mini", None).unwrap()
}

/// The same with four towers.
pub fn four_towers() -> Net {
    Net::parse(&MINI.replacen("towers = 2", "towers = 4", 1), "four", None).unwrap()
}

/// With a first layer over blocks of pixels on a GPU in bf16, whose last windows hang over, as the paper's do.
pub fn in_blocks() -> Net {
    let text = MINI.replacen("size = 5\nstride = 2\npad = 2", "size = 7\nstride = 4", 1);
    Net::parse(&text, "in blocks", None).unwrap()
}

/// Four towers, with normalisations over all of them, before and behind layers that read their own.
pub fn joined() -> Net {
    let text =
        MINI.replacen("towers = 2", "towers = 4", 1).replace("type = \"lrn\"", "type = \"lrn\"\nreads = \"all\"");
    Net::parse(&text, "joined", None).unwrap()
}

/// A network with initial weights.
pub fn network<D: Device>(net: &Net, device: D) -> Network<D> {
    started(net, Network::for_training(net, 3, device).unwrap())
}

fn started<D: Device>(net: &Net, mut network: Network<D>) -> Network<D> {
    network.initialise(3).unwrap();
    let crop = net.augment.crop;
    network.set_mean(&(0..crop * crop * 3).map(|i| 100.0 + (i % 50) as f32).collect::<Vec<_>>()).unwrap();
    network
}

/// Steps with random pixels, so many images each.
pub fn steps<D: Device>(net: &Net, network: &Network<D>, sizes: &[usize]) -> Vec<Step> {
    let side = net.augment.image;
    let margin = side - net.augment.crop + 1;
    let step = |(index, &images): (usize, &usize)| {
        let random = |i: usize, of: u32| words(7, index as u32, i as u32, 99, of);
        let pixel = |i: usize| (random(i / 48, 1)[0] >> (i % 3 * 8)) as u8;
        let draw = |i: usize| {
            let [top, left, flip, shift] = random(i, 2);
            let place = |word: u32| word % margin as u32;
            Draw { top: place(top), left: place(left), flip: flip % 2 == 1, scale: 1.0, shift: [shift as f32 / 1e9; 3] }
        };
        Step {
            rgb: (0..images * side * side * 3).map(pixel).collect(),
            labels: (0..images).map(|i| random(i, 3)[0] % net.classes as u32).collect(),
            ids: (0..images).map(|i| random(i, 4)[0]).collect(),
            draws: (0..images).map(draw).collect(),
            seed: 11,
            epoch: index as u32,
            rates: vec![0.01; network.parameters().len()],
        }
    };
    sizes.iter().enumerate().map(step).collect()
}

/// What a training gave, in bits.
#[derive(PartialEq)]
pub struct Trained {
    pub losses: Vec<f64>,
    /// Parameters and velocities, in the order of the net.
    pub weights: Vec<Vec<u32>>,
    /// Of a forward pass behind the training.
    pub probabilities: Vec<u32>,
}

/// Trains for [`STEPS`].
pub fn train<D: Device>(net: &Net, device: D) -> Trained {
    steps_of(net, network(net, device))
}

/// As [`train`], with a plan that keeps every tensor.
pub fn train_in_sight<D: Device>(net: &Net, device: D) -> Trained {
    steps_of(net, started(net, Network::for_inspection(net, 3, device).unwrap()))
}

fn steps_of<D: Device>(net: &Net, mut network: Network<D>) -> Trained {
    let mut losses = Vec::new();
    for mut step in steps(net, &network, &STEPS) {
        losses.push(network.train(&mut step).unwrap().loss);
    }
    let mut trained = shares(&mut network);
    let mut step = steps(net, &network, &[2]).remove(0);
    losses.push(network.infer(&mut step).unwrap().loss);
    trained.probabilities = bits(&network.probabilities(2).unwrap());
    Trained { losses, ..trained }
}

/// Parameters and velocities of a network.
pub fn shares<D: Device>(network: &mut Network<D>) -> Trained {
    let spans = network.parameters().iter().flat_map(|parameter| [parameter.value, parameter.velocity()]);
    let weights = spans.map(|span| bits(&network.read(span).unwrap())).collect();
    Trained { losses: Vec::new(), weights, probabilities: Vec::new() }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}
