//! Against the decoder of the `image` crate and the encoder of `jpeg-encoder`, which are other programs.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;
use crate::decode::scale_and_cut;

const MAX_PIXELS: u64 = 1 << 20;

/// A picture with slopes, edges and noise.
fn scene(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 31 + y * 57).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 28;
        let edge = if (x / 9 + y / 13) % 2 == 0 { 60 } else { 0 };
        Rgb([(40 + x + noise) as u8, (40 + y + edge) as u8, (200 - x.min(255) / 2 + seed % 3) as u8])
    })
}

fn write(image: &RgbImage, sampling: SamplingFactor, restart: u16, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(sampling);
    if restart > 0 {
        encoder.set_restart_interval(restart);
    }
    encoder.encode(image.as_raw(), image.width() as u16, image.height() as u16, ColorType::Rgb).unwrap();
    bytes
}

fn read(bytes: &[u8], side: usize) -> Option<Vec<u8>> {
    let mut rgb = vec![0; side * side * 3];
    Jpeg::open(bytes, MAX_PIXELS)?.scale_and_cut(side, &mut rgb)?;
    Some(rgb)
}

/// The largest difference, and the mean one.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (differences.max().unwrap(), sum / a.len() as f64)
}

/// The difference from what the other decoder and scaler make.
fn from_others(bytes: &[u8], side: usize) -> (u8, f64) {
    let mut other = vec![0; side * side * 3];
    scale_and_cut(&image::load_from_memory(bytes).unwrap().into_rgb8(), side, &mut other);
    difference(&read(bytes, side).unwrap(), &other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pixels_are_those_of_others(
        width in 1_u32..120, height in 1_u32..90, side in 1_usize..70, seed: u32, kind in 0..3, restart in 0_u16..5,
        quality in 60_u8..=100,
    ) {
        let sampling = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2][kind as usize];
        let bytes = write(&scene(width, height, seed), sampling, restart, quality);
        let (most, mean) = from_others(&bytes, side);
        // Colours at half the resolution are widened before the other scales them, and ours are sharper; and the
        // other makes some up beyond the right and lower edge, which is much of a small picture.
        let smallest = side.min(width as usize).min(height as usize) as f64;
        let allowed = if kind == 0 { (6, 1.0 + 4.0 / smallest) } else { (255, 8.0 + 16.0 / smallest) };
        prop_assert!(most <= allowed.0 && mean < allowed.1, "{most} at most, {mean} on average");
    }

    #[test]
    fn damage_gives_nothing_or_a_picture(changes: Vec<(u16, u8)>, cut: u16, restart in 0_u16..3) {
        let mut bytes = write(&scene(40, 33, 5), SamplingFactor::F_2_2, restart, 80);
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(usize::from(cut).max(bytes.len() * 3 / 4));
        let _ = read(&bytes, 16);
    }

    #[test]
    fn what_is_written_is_read_by_others(side in 1_usize..70, seed: u32, noisy: bool) {
        let side_32 = side as u32;
        // Grey: colours that change from pixel to pixel are lost in either, and by how much is chance.
        let noise = |x: u32, y: u32| Rgb([(x * 71 + y * 193 + seed % 999).wrapping_mul(2_654_435_761).to_be_bytes()[0]; 3]);
        let image =
            if noisy { RgbImage::from_fn(side_32, side_32, noise) } else { scene(side_32, side_32, seed) };
        let mut bytes = vec![7];
        encode(&image, side, &mut bytes);
        let decoded = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_rgb8();
        let (_, ours) = difference(&decoded(&bytes), &image);
        let other = write(&image, SamplingFactor::F_2_2, 0, 95);
        let (_, theirs) = difference(&decoded(&other), &image);
        prop_assert!(ours <= theirs * 1.1 + 0.5 + 4.0 / side as f64, "{ours} from the picture, another encoder {theirs}");
        prop_assert!(bytes.len() <= other.len() * 11 / 10 + 300, "{} bytes, another {}", bytes.len(), other.len());
    }
}

#[test]
fn half_resolution_is_widened_as_libjpeg_does() {
    for (jpeg, ppm) in [
        (&include_bytes!("../../tests/fixtures/half.jpg")[..], &include_bytes!("../../tests/fixtures/half.ppm")[..]),
        (include_bytes!("../../tests/fixtures/wide.jpg"), include_bytes!("../../tests/fixtures/wide.ppm")),
    ] {
        // Not scaled: the central 21x21 of 35x21.
        let rgb = read(jpeg, 21).unwrap();
        let whole = ppm.strip_prefix(b"P6\n35 21\n255\n").unwrap();
        let expected: Vec<u8> = whole.chunks_exact(35 * 3).flat_map(|row| row[7 * 3..28 * 3].to_vec()).collect();
        // Not rounded to whole colours in between, as libjpeg does.
        let (most, mean) = difference(&rgb, &expected);
        assert!(most <= 3 && mean < 1.0, "{most} at most, {mean} on average");
    }
}

#[test]
fn grey_is_copied() {
    let image = DynamicImage::ImageRgb8(scene(37, 21, 1)).into_luma8();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode(image.as_raw(), 37, 21, ExtendedColorType::L8).unwrap();
    for side in [8, 21, 40] {
        let (most, _) = from_others(&bytes, side);
        assert!(most <= 2, "{most}");
    }
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
        assert!(read(bytes, 8).is_none());
    }
    let image = scene(64, 64, 2);
    assert!(read(&write(&image, SamplingFactor::F_1_2, 0, 90), 8).is_none());
    let whole = write(&image, SamplingFactor::F_2_2, 0, 90);
    assert!(Jpeg::open(&whole, 64 * 64 - 1).is_none(), "more pixels than are allowed");
    assert!(read(&whole, 8).is_some());
    for missing in 1..200 {
        assert!(read(&whole[..whole.len() - missing], 8).is_none(), "cut off");
    }
}

#[test]
fn exif_is_found() {
    let jpeg = Jpeg::open(include_bytes!("../../tests/fixtures/exif-6.jpg"), MAX_PIXELS).unwrap();
    assert_eq!(&jpeg.exif().unwrap()[..2], b"MM");
}
