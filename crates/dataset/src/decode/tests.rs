//! Each kind of file that a folder of images can hold.

use std::fs;
use std::path::PathBuf;

use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const CMYK: &[u8] = include_bytes!("../../tests/fixtures/cmyk.jpg");
const YCCK: &[u8] = include_bytes!("../../tests/fixtures/ycck.jpg");
const EXIF_6: &[u8] = include_bytes!("../../tests/fixtures/exif-6.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/fixtures/progressive.jpg");
const PALETTE: &[u8] = include_bytes!("../../tests/fixtures/palette.png");

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Content to bytes through a file with the given name.
fn load(name: &str, content: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    load_image(&path, side)
}

/// The message for a file that must be refused; checks that it names the file.
fn refusal(name: &str, content: &[u8]) -> String {
    let message = load(name, content, 8).unwrap_err().to_string();
    assert!(message.starts_with("cannot read image "), "{message}");
    assert!(message.contains(&format!("{name}: ")), "{message}");
    assert!(!message.ends_with('.') && !message.contains('\n'), "{message}");
    message
}

#[track_caller]
fn assert_all_near(rgb: &[u8], expected: [u8; 3]) {
    for pixel in rgb.chunks_exact(3) {
        for (got, want) in pixel.iter().zip(expected) {
            assert!(got.abs_diff(want) <= 3, "{pixel:?}, expected {expected:?}");
        }
    }
}

#[test]
fn every_kind_of_pixel_becomes_rgb() {
    let png = ImageFormat::Png;
    let grey = encode(GrayImage::from_pixel(9, 7, Luma([90])), png);
    let grey_jpeg = encode(GrayImage::from_pixel(9, 7, Luma([90])), ImageFormat::Jpeg);
    let grey_16 = encode(ImageBuffer::from_pixel(9, 7, Luma([0x8080_u16])), png);
    let rgb_16 = encode(ImageBuffer::from_pixel(9, 7, Rgb([0xffff_u16, 0x8080, 0])), png);
    let clear = encode(RgbaImage::from_pixel(9, 7, Rgba([200, 0, 0, 0])), png);
    let half = encode(RgbaImage::from_pixel(9, 7, Rgba([200, 0, 100, 128])), png);
    let grey_half = encode(GrayAlphaImage::from_pixel(9, 7, LumaA([0, 128])), png);
    let webp = encode(RgbaImage::from_pixel(9, 7, Rgba([1, 2, 3, 255])), ImageFormat::WebP);
    let cases: [(&str, &[u8], [u8; 3]); 11] = [
        ("grey.png", &grey, [90; 3]),
        ("grey.jpg", &grey_jpeg, [90; 3]),
        ("grey-16.png", &grey_16, [128; 3]),
        ("rgb-16.png", &rgb_16, [255, 128, 0]),
        ("clear.png", &clear, [255; 3]),
        ("half.png", &half, [227, 127, 177]),
        ("grey-half.png", &grey_half, [127; 3]),
        ("opaque.webp", &webp, [1, 2, 3]),
        ("cmyk.jpg", CMYK, [255, 0, 0]),
        ("ycck.jpg", YCCK, [255, 0, 0]),
        ("progressive.jpg", PROGRESSIVE, [0, 255, 0]),
    ];
    for (name, content, expected) in cases {
        for side in [4, 16] {
            println!("{name} at {side}");
            assert_all_near(&load(name, content, side).unwrap(), expected);
        }
    }
    let palette = load("palette.png", PALETTE, 4).unwrap();
    for row in palette.chunks_exact(12) {
        assert_eq!(row, [0, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255, 255]);
    }
}

#[test]
fn the_content_decides_the_format() {
    let png = encode(GrayImage::from_pixel(3, 3, Luma([7])), ImageFormat::Png);
    assert_eq!(load("photo.JPEG", &png, 3).unwrap(), [7; 27]);
    assert_all_near(&load("photo.png", CMYK, 3).unwrap(), [255, 0, 0]);
}

#[test]
fn exif_orientation_is_applied_before_the_cut() {
    // Shown it is 8x16, red above blue; the centre 8x8 has four rows of each.
    let rgb = load("turned.jpg", EXIF_6, 8).unwrap();
    let (above, below) = rgb.split_at(8 * 4 * 3);
    assert_all_near(above, [255, 0, 0]);
    assert_all_near(below, [0, 0, 255]);

    // An EXIF block that is nonsense counts as none: as stored, 16x8, left red, right blue.
    let mut broken = EXIF_6.to_vec();
    let exif = broken.windows(4).position(|window| window == b"Exif").unwrap();
    broken[exif + 6..exif + 10].fill(0xEE);
    let rgb = load("broken.jpg", &broken, 8).unwrap();
    assert_all_near(&rgb[..3 * 4], [255, 0, 0]);
    assert_all_near(&rgb[3 * 4..3 * 8], [0, 0, 255]);
}

#[test]
fn files_that_are_no_image_say_what_they_are() {
    assert!(refusal("a.jpg", b"").contains("the file is empty"));
    assert!(refusal("b.jpg", b"<html>404</html>").contains("expected JPEG, PNG or WebP"));
    assert!(refusal("c.jpg", b"GIF89a\x01\x00\x01\x00").contains("is a GIF image; convert it"));
    assert!(refusal("d.jpg", b"\0\0\0\x18ftypheic").contains("HEIC"));
    assert!(refusal("e.png", b"\x89PNG\r\n\x1a\n").contains("e.png: "));
    let dir = tempfile::tempdir().unwrap();
    let missing = load_image(&dir.path().join("none.jpg"), 8).unwrap_err().to_string();
    assert!(missing.contains("none.jpg: No such file"), "{missing}");
    assert!(load_image(dir.path(), 8).unwrap_err().to_string().contains("directory"));
}

#[test]
fn truncated_files_are_refused() {
    let noise = |x: u32, y: u32| [(x * 83 + y * 41) as u8, (x * y * 29) as u8, (x ^ (y * 7)) as u8];
    let image = RgbImage::from_fn(64, 48, |x, y| Rgb(noise(x, y)));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let whole = encode(image.clone(), format);
        assert!(load("whole.jpg", &whole, 8).is_ok());
        for tenths in 1..10 {
            refusal("cut.jpg", &whole[..whole.len() * tenths / 10]);
        }
        // A few last bytes: a checksum or a marker may be missing, but nothing may panic.
        for missing in 1..24.min(whole.len()) {
            let result = decode(&whole[..whole.len() - missing]);
            assert!(format != ImageFormat::Jpeg || matches!(result, Err(ImageFault::Truncated)));
        }
    }
}

#[test]
fn a_thumbnail_does_not_hide_that_the_image_is_cut() {
    let whole = encode(RgbImage::from_pixel(32, 32, Rgb([9, 99, 199])), ImageFormat::Jpeg);
    let thumbnail = [0xFF, 0xE1, 0, 8, 0xFF, 0xD8, b'.', b'.', 0xFF, 0xD9];
    let with_thumbnail = [&whole[..2], &thumbnail, &whole[2..]].concat();
    assert_all_near(&load("whole.jpg", &with_thumbnail, 8).unwrap(), [9, 99, 199]);
    let cut = &with_thumbnail[..with_thumbnail.len() - 9];
    assert!(refusal("cut.jpg", cut).contains("truncated"));
    // Bytes behind the image do no harm.
    let trailing = [&whole[..], b"appended \xFF\xDA"].concat();
    assert!(load("trailing.jpg", &trailing, 8).is_ok());
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    let mut jpeg = encode(RgbImage::new(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert!(refusal("huge.jpg", &jpeg).contains("65535 x 65535 pixels; expected 1 to"));

    let mut png = encode(RgbImage::new(16, 16), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x00, 0xFF, 0xFF, 0xFF]);
    let crc = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&crc);
    assert!(refusal("huge.png", &png).contains("huge.png"), "{}", refusal("huge.png", &png));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn tiny_and_thin_images_are_scaled_up() {
    for (width, height) in [(1, 1), (1, 500), (500, 1), (2, 3), (8, 8)] {
        let png = encode(RgbImage::from_pixel(width, height, Rgb([10, 20, 30])), ImageFormat::Png);
        for side in [1, 7, 64] {
            let rgb = load("tiny.png", &png, side).unwrap();
            assert_eq!(rgb, [10, 20, 30].repeat(side * side), "{width}x{height} to {side}");
        }
    }
}

/// Scale the whole image in f64, then cut: what [`scale_and_cut`] does in one step.
fn naive(image: &RgbImage, side: usize) -> Vec<f64> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let shorter = width.min(height);
    let scaled = |length: usize| ((length * side) as f64 / shorter as f64 + 0.5).floor() as usize;
    let weights = |length: usize, at: usize| -> Vec<f64> {
        let scale = length as f64 / scaled(length) as f64;
        let centre = ((scaled(length) - side) / 2 + at) as f64 * scale + 0.5 * scale;
        let tent = |i: usize| (1.0 - ((i as f64 + 0.5 - centre) / scale.max(1.0)).abs()).max(0.0);
        let weights: Vec<f64> = (0..length).map(tent).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    };
    let mut rgb = Vec::new();
    for y in 0..side {
        let rows = weights(height, y);
        for x in 0..side {
            let columns = weights(width, x);
            for channel in 0..3 {
                let value = |(i, j): (usize, usize)| {
                    let pixel = image.get_pixel(j as u32, i as u32);
                    rows[i] * columns[j] * f64::from(pixel.0[channel])
                };
                rgb.push((0..height).flat_map(|i| (0..width).map(move |j| (i, j))).map(value).sum());
            }
        }
    }
    rgb
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scaling_is_the_triangle_filter(
        width in 1_u32..40, height in 1_u32..40, side in 1_usize..24, seed: u32,
    ) {
        let noise = |x: u32, y: u32| {
            let value = (x + y * 64).wrapping_add(seed).wrapping_mul(2_654_435_761);
            Rgb([(value >> 8) as u8, (value >> 16) as u8, (value >> 24) as u8])
        };
        let image = RgbImage::from_fn(width, height, noise);
        let mut rgb = vec![0; side * side * 3];
        scale_and_cut(&image, side, &mut rgb);
        for (&got, want) in rgb.iter().zip(naive(&image, side)) {
            prop_assert!((f64::from(got) - want).abs() < 1.6, "{got}, expected {want}");
        }
    }

    #[test]
    fn damaged_data_never_panics(which in 0_usize..5, at: u16, value: u8) {
        let mut bytes = [CMYK, YCCK, EXIF_6, PROGRESSIVE, PALETTE][which].to_vec();
        let at = usize::from(at) % bytes.len();
        bytes[at] = value;
        // Sizes that are allowed but slow are not what this is about.
        let slow = |bytes: &[u8]| {
            let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
            reader.into_dimensions().is_ok_and(|(width, height)| width.max(height) > 4_096)
        };
        if !slow(&bytes) {
            let _ = decode(&bytes);
        }
    }
}

#[test]
fn a_file_is_named_by_its_whole_path() {
    let path = PathBuf::from("no/such/folder/x.jpg");
    let message = load_image(&path, 8).unwrap_err().to_string();
    assert!(message.contains("no/such/folder/x.jpg"), "{message}");
}
