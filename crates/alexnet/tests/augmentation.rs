//! The rules of augmentation, as each built-in net has them, and what is shown of them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use alexnet::nets;
use common::Place;
use convnet::augment::Sampler;
use convnet::net::Net;
use convnet::ops::Draw;

/// Variances of 400, 100 and 25 along red, green and blue.
fn sampler(net: &Net) -> Sampler {
    Sampler::new(&net.augment, [400.0, 100.0, 25.0], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
}

fn draws(net: &str) -> (Net, Vec<Draw>) {
    let net = nets::load(net, None).unwrap();
    let ids: Vec<u32> = (0..6_400).collect();
    let draws = sampler(&net).training(3, 7, &ids, net.augment.colour_noise);
    (net, draws)
}

/// Standard deviation of the shifts of one colour.
fn deviation(draws: &[Draw], channel: usize) -> f64 {
    let squares = draws.iter().map(|draw| f64::from(draw.shift[channel]).powi(2));
    (squares.sum::<f64>() / draws.len() as f64).sqrt()
}

fn near(found: f64, expected: f64) -> bool {
    (found / expected - 1.0).abs() < 0.05
}

#[test]
fn the_code_of_2012_and_the_paper_differ_as_they_should() {
    let (net, code) = draws("nips2012");
    assert_eq!((net.augment.image, net.augment.crop, net.augment.chunk), (256, 224, 32));
    // 33 offsets, both ends included; one crop for 32 images.
    for side in [|draw: &Draw| draw.top, |draw: &Draw| draw.left] {
        let offsets: Vec<u32> = code.iter().map(side).collect();
        assert_eq!((offsets.iter().min(), offsets.iter().max()), (Some(&0), Some(&32)));
    }
    let place = |draw: &Draw| (draw.top, draw.left, draw.flip);
    assert!(code.chunks(32).all(|chunk| chunk.iter().all(|draw| place(draw) == place(&chunk[0]))));
    assert!(code.chunks(32).any(|chunk| place(&chunk[0]) != place(&code[0])));
    // Factors of 0.1 times the deviations of 20, 10 and 5 levels, and all divided by 1.1.
    for (channel, levels) in [20.0, 10.0, 5.0].into_iter().enumerate() {
        assert!(near(deviation(&code, channel), 0.1 * levels / 1.1), "{}", deviation(&code, channel));
    }
    assert!(code.iter().all(|draw| near(f64::from(draw.scale), 1.0 / 1.1)) && code[0].shift != code[1].shift);

    let (net, paper) = draws("paper");
    assert_eq!(net.augment.chunk, 1);
    assert_eq!(paper.iter().map(|draw| draw.left).max(), Some(31), "the paper counts 32 offsets");
    assert!(place(&paper[0]) != place(&paper[1]) || place(&paper[1]) != place(&paper[2]), "an image has its own crop");
    let flipped = paper.iter().filter(|draw| draw.flip).count();
    assert!(flipped.abs_diff(3_200) < 160, "{flipped} of 6,400");
    // 0.1 times the eigenvalues of pixels from 0 to 1, in levels: 400 / 255.
    for (channel, variance) in [400.0, 100.0, 25.0].into_iter().enumerate() {
        assert!(near(deviation(&paper, channel), 0.1 * variance / 255.0), "{}", deviation(&paper, channel));
    }
    assert!(paper.iter().all(|draw| draw.scale == 1.0));
}

#[test]
fn without_colour_noise_nothing_is_divided() {
    let net = nets::load("nips2012", None).unwrap();
    // As in the last phase of its schedules.
    let draws = sampler(&net).training(3, 70, &[1, 2, 3], 0.0);
    assert!(draws.iter().all(|draw| draw.scale == 1.0 && draw.shift == [0.0; 3]));
}

#[test]
fn the_mean_is_an_image_or_a_number() {
    let text = nets::source("mini").unwrap().0;
    let mean_of = |kind: &str| {
        let text = text.replace("mean = \"image\"", &format!("mean = \"{kind}\""));
        let net = Net::parse(&text, "mini", None).unwrap();
        let (image, crop) = (net.augment.image, net.augment.crop);
        let values: Vec<f32> = (0..image * image * 3).map(|i| (i / 3 / image) as f32).collect();
        (sampler(&net).mean(&values), image, crop)
    };
    let (mean, image, crop) = mean_of("image");
    assert_eq!((mean.len(), mean[0]), (crop * crop * 3, ((image - crop) / 2) as f32), "the centre of the mean image");
    let (mean, image, _) = mean_of("scalar");
    assert!(mean.iter().all(|&value| value == (image - 1) as f32 / 2.0));
}

#[test]
fn the_sheet_has_the_centre_and_24_draws() {
    let place = Place::new();
    place.make_data(&["red", "green"], 8, 2);
    let said = place.ok(&["show", "augmentation", "data/train/red/001.png", "--net", "tiny16.toml"]);
    assert!(said.contains("crops of 14 from 16x16, 3 offsets each way, mirrored or not, colour noise 0.1"), "{said}");
    let sheet = image::open(place.path("augmentation.png")).unwrap().to_rgb8();
    assert_eq!((sheet.width(), sheet.height()), (4 + 25 * 18, 22));
    let picture = |index: u32| image::imageops::crop_imm(&sheet, 4 + index * 18, 4, 14, 14).to_image();
    // The first is the centre as it is.
    let rgb = dataset::load_image(&place.path("data/train/red/001.png"), 16).unwrap();
    assert_eq!(picture(0).get_pixel(3, 5).0, rgb[((1 + 5) * 16 + 1 + 3) * 3..][..3]);
    let others = (1..25).filter(|&index| picture(index) != picture(0)).count();
    assert_eq!(others, 24);
    // Its own colours make another sheet.
    place.ok(&[
        "show",
        "augmentation",
        "data/train/red/001.png",
        "--net",
        "tiny16.toml",
        "--data",
        "data",
        "--out",
        "own.png",
    ]);
    assert!(std::fs::read(place.path("own.png")).unwrap() != std::fs::read(place.path("augmentation.png")).unwrap());
    let message = place.fails(1, &["show", "augmentation", "nothing.png"]);
    assert!(message.contains("nothing.png"), "{message}");
}
