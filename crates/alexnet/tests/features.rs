//! What a layer gives: the same on every way, written by `features`, and found again by `similar`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

#[path = "common/words.rs"]
mod words;

use std::fs;

use alexnet::inside::{Search, extract};
use alexnet::nets;
use convnet::augment::{Sampler, View};
use convnet::cpu::Cpu;
use convnet::ops::Step;
use convnet::run::Network;
use dataset::{Dataset, Images};
use image::RgbImage;
use serde_json::Value;
use words::{bad, good};

const IMAGES: usize = 5;

#[test]
fn a_layer_gives_what_the_layers_behind_it_read() {
    let net = nets::load("mini", None).unwrap();
    let mut network = Network::for_inference(&net, IMAGES + 2, Cpu::new(1).unwrap()).unwrap();
    network.initialise(3).unwrap();
    let demo = Dataset::demo();
    let sampler = Sampler::new(&net.augment, [0.0; 3], [[0.0; 3]; 3]);
    let mut step = Step { draws: sampler.view(View::Centre, IMAGES), ..Step::default() };
    let mut rgb = vec![0; demo.side * demo.side * 3];
    for image in 0..IMAGES {
        demo.val.read(image, &mut rgb).unwrap();
        step.rgb.extend(&rgb);
        step.labels.push(0);
        step.ids.push(0);
    }
    let features = |network: &mut Network<Cpu>, layer: &str| network.features(&mut step.clone(), layer);
    // fc7, half of each unit (its dropout), times fc8's weights, is what the softmax reads.
    let logits = features(&mut network, "fc8").unwrap().remove(0);
    let hidden = features(&mut network, "relu7").unwrap();
    assert_eq!(hidden, features(&mut network, "fc7").unwrap());
    assert!(hidden.len() == 2 && hidden.iter().flatten().all(|&value| value >= 0.0));
    let parameter = |network: &Network<Cpu>, name: &str| {
        let span = network.parameters().iter().find(|parameter| parameter.name == name).unwrap().value;
        network.read(span).unwrap()
    };
    let weights = [0, 1].map(|tower| parameter(&network, &format!("fc8.tower0.weight{tower}")));
    let bias = parameter(&network, "fc8.tower0.bias");
    let units = hidden[0].len() / IMAGES;
    for (place, &logit) in logits.iter().enumerate() {
        let (image, class) = (place / net.classes, place % net.classes);
        let term = |tower: usize, unit: usize| {
            0.5 * hidden[tower][image * units + unit] * weights[tower][unit * net.classes + class]
        };
        let sum: f32 =
            (0..2).flat_map(|tower| (0..units).map(move |unit| (tower, unit))).map(|(t, u)| term(t, u)).sum();
        assert!((sum + bias[class] - logit).abs() < 1e-3 * logit.abs().max(1.0), "{place}: {sum} {logit}");
    }
    network.infer(&mut step.clone()).unwrap();
    let probabilities = network.probabilities(IMAGES).unwrap();
    for (logits, probabilities) in logits.chunks(net.classes).zip(probabilities.chunks(net.classes)) {
        let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
        assert!(logits.iter().zip(probabilities).all(|(logit, p)| (logit.exp() / total - p).abs() < 1e-5));
    }
    let error = features(&mut network, "fc9").unwrap_err().to_string();
    assert!(error.contains("no layer fc9"), "{error}");
}

#[test]
fn a_search_finds_what_comparing_all_images_finds() {
    const BATCH: usize = 50;
    let net = nets::load("mini", None).unwrap();
    let mut network = Network::for_inference(&net, BATCH, Cpu::new(1).unwrap()).unwrap();
    network.initialise(3).unwrap();
    let demo = Dataset::demo();
    let sampler = Sampler::new(&net.augment, [0.0; 3], [[0.0; 3]; 3]);
    let image = |split: &dyn Images, index: usize| {
        let mut rgb = vec![0; demo.side * demo.side * 3];
        split.read(index, &mut rgb).unwrap();
        rgb
    };
    // Every twentieth training image: the first query is one of them.
    let queries = [image(demo.train.as_ref(), 2000), image(demo.val.as_ref(), 7)];
    let search = Search { looked_at: 400, count: 6, batch: BATCH, threads: 1 };
    let found = search.nearest((&mut network, &sampler), (&net, &demo), &queries).unwrap();
    assert_eq!((found[0][0].row, found[0][0].distance), (2000, 0.0));

    let mut hidden = |rgb: &[u8]| extract(&mut network, &sampler, rgb, 1, "relu7").unwrap().remove(0);
    let query = hidden(&queries[1]);
    let mut all: Vec<(f32, usize)> = (0..demo.train.len())
        .step_by(20)
        .map(|row| {
            let values = hidden(&image(demo.train.as_ref(), row));
            (query.iter().zip(&values).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt(), row)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (found, (distance, row)) in found[1].iter().zip(all) {
        assert_eq!(found.row, row);
        assert!((found.distance - distance).abs() <= 1e-5 * distance, "{} {distance}", found.distance);
    }
}

#[test]
fn a_training_image_is_its_own_neighbour() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    good(folder, "train --max-steps 40 --out run");
    let text = good(folder, "features --model run");
    assert!(text.contains("layer relu7 of 8,000 training images, 256 values each"), "{text}");
    let demo = Dataset::demo();
    for id in [17, 4321] {
        let mut rgb = vec![0; demo.side * demo.side * 3];
        demo.train.read(id, &mut rgb).unwrap();
        let image = RgbImage::from_raw(demo.side as u32, demo.side as u32, rgb).unwrap();
        image.save(folder.join(format!("{id}.png"))).unwrap();
    }
    let text = good(folder, "similar 17.png 4321.png --model run --json n.json");
    assert!(text.contains("GB/s"), "{text}");
    let answers: Value = serde_json::from_slice(&fs::read(folder.join("n.json")).unwrap()).unwrap();
    for (answer, id) in answers.as_array().unwrap().iter().zip([17, 4321]) {
        let neighbours = answer["neighbours"].as_array().unwrap();
        assert_eq!(neighbours.len(), 6);
        assert_eq!(neighbours[0]["image"], demo.train.name(id));
        let distances: Vec<f64> = neighbours.iter().map(|it| it["distance"].as_f64().unwrap()).collect();
        assert!(distances[0] < 0.05 * distances[1] && distances.is_sorted(), "{distances:?}");
    }
    assert_eq!(image::open(folder.join("similar.png")).unwrap().height(), 36 + 216 + 204 + 36);

    good(folder, "features --model run --layer pool2 --split val --out val.npy");
    bad(folder, "similar 17.png --model run --features val.npy", "the training images of demo have not");
    good(folder, "features --model run --layer pool2 --out pool2.npy");
    bad(folder, "similar 17.png --model run --features pool2.npy", "layer relu7 has 256; make it with `features`");
    bad(folder, "features --model run --layer relu9", "no layer relu9");
    bad(folder, "similar 17.png --model run --features n.json", "no array that `features` writes");
    bad(folder, "similar n.json --model run", "n.json");
}
