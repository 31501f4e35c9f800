//! Against the decoder of the `image` crate, which is another program.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;

const MAX_PIXELS: u64 = 1 << 20;

/// A picture with slopes, edges and noise.
fn scene(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 31 + y * 57).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 28;
        let edge = if (x / 9 + y / 13) % 2 == 0 { 60 } else { 0 };
        Rgb([(x * 3 + noise) as u8, (y * 2 + edge) as u8, (255 - x.min(255) / 2 + seed % 3) as u8])
    })
}

fn encode(image: &RgbImage, sampling: SamplingFactor, restart: u16, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(sampling);
    if restart > 0 {
        encoder.set_restart_interval(restart);
    }
    encoder.encode(image.as_raw(), image.width() as u16, image.height() as u16, ColorType::Rgb).unwrap();
    bytes
}

/// Width, height and pixels.
fn decode(bytes: &[u8], max_pixels: u64) -> Option<(usize, usize, Vec<u8>)> {
    let jpeg = Jpeg::open(bytes, max_pixels)?;
    let mut rgb = vec![0; jpeg.width() * jpeg.height() * 3];
    jpeg.decode(&mut rgb)?;
    Some((jpeg.width(), jpeg.height(), rgb))
}

/// The largest difference from the other decoder, and the mean one.
fn difference(bytes: &[u8]) -> (u8, f64) {
    let (width, height, rgb) = decode(bytes, MAX_PIXELS).unwrap();
    let other = image::load_from_memory(bytes).unwrap().into_rgb8();
    assert_eq!((width as u32, height as u32), other.dimensions());
    let differences = rgb.iter().zip(other.as_raw()).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (differences.max().unwrap(), sum / rgb.len() as f64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pixels_are_those_of_another_decoder(
        width in 1_u32..90, height in 1_u32..70, seed: u32, kind in 0..3, restart in 0_u16..5, quality in 30_u8..=100,
    ) {
        let sampling = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2][kind as usize];
        let bytes = encode(&scene(width, height, seed), sampling, restart, quality);
        let (most, mean) = difference(&bytes);
        // The other makes up colours beyond the right and lower edge, where libjpeg repeats the last ones.
        let allowed = if kind == 0 { 4 } else { 255 };
        prop_assert!(most <= allowed && mean < 1.0, "{most} at most, {mean} on average");
    }

    #[test]
    fn damage_gives_nothing_or_a_picture(changes: Vec<(u16, u8)>, cut: u16, restart in 0_u16..3) {
        let mut bytes = encode(&scene(40, 33, 5), SamplingFactor::F_2_2, restart, 80);
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(usize::from(cut).max(bytes.len() * 3 / 4));
        if let Some((width, height, _)) = decode(&bytes, MAX_PIXELS) {
            prop_assert!(width * height <= 1 << 20);
        }
    }
}

#[test]
fn half_resolution_is_widened_as_libjpeg_does() {
    for (jpeg, ppm) in [
        (&include_bytes!("../../tests/fixtures/half.jpg")[..], &include_bytes!("../../tests/fixtures/half.ppm")[..]),
        (include_bytes!("../../tests/fixtures/wide.jpg"), include_bytes!("../../tests/fixtures/wide.ppm")),
    ] {
        let (_, _, rgb) = decode(jpeg, MAX_PIXELS).unwrap();
        let expected = ppm.strip_prefix(b"P6\n35 21\n255\n").unwrap();
        let most = rgb.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(rgb.len() == expected.len() && most <= 2, "{most}");
    }
}

#[test]
fn grey_is_copied() {
    let image = DynamicImage::ImageRgb8(scene(37, 21, 1)).into_luma8();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode(image.as_raw(), 37, 21, ExtendedColorType::L8).unwrap();
    let (most, _) = difference(&bytes);
    assert!(most <= 2, "{most}");
}

#[test]
fn what_is_unusual_is_left_to_the_other_decoder() {
    for bytes in [
        &include_bytes!("../../tests/fixtures/cmyk.jpg")[..],
        include_bytes!("../../tests/fixtures/ycck.jpg"),
        include_bytes!("../../tests/fixtures/progressive.jpg"),
        include_bytes!("../../tests/fixtures/palette.png"),
        b"",
    ] {
        assert!(decode(bytes, MAX_PIXELS).is_none());
    }
    let image = scene(64, 64, 2);
    let tall = encode(&image, SamplingFactor::F_1_2, 0, 90);
    assert!(decode(&tall, MAX_PIXELS).is_none());
    let whole = encode(&image, SamplingFactor::F_2_2, 0, 90);
    assert!(decode(&whole, 64 * 64 - 1).is_none(), "more pixels than are allowed");
    assert!(decode(&whole, 64 * 64).is_some());
    for missing in 1..200 {
        assert!(decode(&whole[..whole.len() - missing], MAX_PIXELS).is_none(), "cut off");
    }
}

#[test]
fn exif_is_found() {
    let jpeg = Jpeg::open(include_bytes!("../../tests/fixtures/exif-6.jpg"), MAX_PIXELS).unwrap();
    assert_eq!(&jpeg.exif().unwrap()[..2], b"MM");
}
