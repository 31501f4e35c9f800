//! One image file to `side x side` RGB bytes.
//!
//! # The rule
//! The paper's: the shorter side is scaled to `side`, then the central `side x side` is cut out. The
//! longer side is rounded to the nearest pixel, and the cut starts at half of what is left over,
//! rounded down. Small images are scaled up.
//!
//! Scaling uses the triangle filter, widened by the scale when shrinking (anti-aliasing): what
//! torchvision's `Resize` does, so that accuracies compare, and it cannot ring (it makes no values
//! beyond its input's). Only the pixels that the cut keeps are computed.
//!
//! Baseline JPEGs that need no turning, nearly all photographs, are decoded and scaled by [`crate::jpeg`], which
//! scales brightness and colours apart; of 100 ImageNet originals 100 are such. Everything else goes through the
//! `image` crate and `fast_image_resize`.
//!
//! # Colour
//! - Grey is copied to the three channels; 16 bits are rounded to 8; palettes are looked up.
//! - Transparent pixels are laid over white, which is what such pictures are mostly drawn for.
//! - CMYK and YCCK JPEGs are taken as Adobe stores them (inverted) and multiplied out, without profile.
//! - Colour profiles are ignored: the network sees the stored values, the paper's "raw RGB".
//! - The EXIF orientation is applied first. An EXIF block that cannot be read counts as none.
//!
//! # What is refused
//! The format is told from the content, never from the name. A JPEG without its end marker is
//! refused as truncated, since its decoder would fill the missing part with grey. JPEG data that is
//! damaged in the middle is shown as far as it goes, as browsers do.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::{Error, ImageFault};
use crate::jpeg::Jpeg;

/// The largest number of pixels that is decoded; a header that gives more is refused before
/// anything is allocated for it.
pub(crate) const MAX_PIXELS: u64 = 1 << 27;

/// The largest file that is read as an image.
pub(crate) const MAX_FILE_BYTES: u64 = 512 << 20;

/// Reads an image file as `side x side` interleaved RGB bytes: shorter side scaled to `side`, centre
/// cut out.
///
/// # Errors
/// [`Error::Image`], which names the file and what is wrong with it.
///
/// # Panics
/// If `side` is zero.
pub fn load_image(path: &Path, side: usize) -> Result<Vec<u8>, Error> {
    let mut rgb = vec![0; side * side * 3];
    load_into(path, side, &mut rgb)?;
    Ok(rgb)
}

/// [`load_image`] into a buffer of `side * side * 3` bytes.
pub(crate) fn load_into(path: &Path, side: usize, rgb: &mut [u8]) -> Result<(), Error> {
    let fault = |fault| Error::Image { path: path.to_owned(), fault };
    read_file(path).and_then(|bytes| from_bytes(&bytes, side, rgb)).map_err(fault)
}

/// [`load_image`] of the content of a file, into a buffer of `side * side * 3` bytes.
pub(crate) fn from_bytes(bytes: &[u8], side: usize, rgb: &mut [u8]) -> Result<(), ImageFault> {
    // The buffer is plain bytes that the caller throws away on an error: nothing can be left broken.
    catch_unwind(AssertUnwindSafe(|| decode_into(bytes, side, rgb))).unwrap_or(Err(ImageFault::Panicked))
}

/// The content of an image file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ImageFault> {
    let file = File::open(path).map_err(ImageFault::Io)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(ImageFault::Io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageFault::FileTooLarge);
    }
    Ok(bytes)
}

/// Decodes the content of an image file and scales it into `rgb`.
fn decode_into(bytes: &[u8], side: usize, rgb: &mut [u8]) -> Result<(), ImageFault> {
    if usual_jpeg(bytes, side, rgb).is_some() {
        return Ok(());
    }
    let image = decode(bytes)?;
    scale_and_cut(&image, side, rgb);
    Ok(())
}

/// Decodes and scales a JPEG of the usual kind, upright and without fault; nothing if it is something else.
fn usual_jpeg(bytes: &[u8], side: usize, rgb: &mut [u8]) -> Option<()> {
    let jpeg = Jpeg::open(bytes, MAX_PIXELS)?;
    let orientation = jpeg.exif().and_then(Orientation::from_exif_chunk);
    let is_upright = orientation.is_none_or(|orientation| orientation == Orientation::NoTransforms);
    if is_upright { jpeg.scale_and_cut(side, rgb) } else { None }
}

/// Decodes the content of an image file, upright, in RGB, at its own size.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageFault> {
    let format = format_of(bytes)?;
    if format == ImageFormat::Jpeg && jpeg_is_truncated(bytes) {
        return Err(ImageFault::Truncated);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * 8); // four channels of 16 bits
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(ImageFault::Decode)?;
    let (width, height) = decoder.dimensions();
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels == 0 || n_pixels > MAX_PIXELS {
        return Err(ImageFault::Size { width, height });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(ImageFault::Decode)?;
    image.apply_orientation(orientation);
    Ok(if image.has_alpha() { over_white(&image) } else { image.into_rgb8() })
}

/// A decoder for the content of a JPEG file.
pub(crate) fn jpeg(bytes: &[u8]) -> Result<JpegDecoder<Cursor<&[u8]>>, ImageFault> {
    JpegDecoder::new(Cursor::new(bytes)).map_err(ImageFault::Decode)
}

/// The format, from the content.
fn format_of(bytes: &[u8]) -> Result<ImageFormat, ImageFault> {
    if bytes.is_empty() {
        return Err(ImageFault::Empty);
    }
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => Ok(format),
        Ok(ImageFormat::Gif) => Err(ImageFault::OtherFormat("a GIF image")),
        Ok(ImageFormat::Bmp) => Err(ImageFault::OtherFormat("a BMP image")),
        Ok(ImageFormat::Tiff) => Err(ImageFault::OtherFormat("a TIFF image")),
        Ok(ImageFormat::Avif) => Err(ImageFault::OtherFormat("an AVIF image")),
        _ if bytes.get(4..8) == Some(b"ftyp") => {
            Err(ImageFault::OtherFormat("an image or film of the HEIC, AVIF and MP4 family"))
        }
        _ => Err(ImageFault::UnknownFormat),
    }
}

/// Whether no end marker follows the first scan of a JPEG.
///
/// The segments before it are stepped over by their lengths, since a thumbnail in one of them has an
/// end marker of its own. In the scan itself a data byte 0xFF is always followed by 0x00, so the
/// marker's two bytes cannot occur by chance.
fn jpeg_is_truncated(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    let mut at = 2;
    while let Some(&[lead, marker, hi, lo]) = bytes.get(at..at + 4) {
        if lead != 0xFF {
            at += 1; // stray bytes between segments: decoders step over them
        } else if marker == 0xFF || marker == 0x00 || (0xD0..=0xD8).contains(&marker) {
            at += if marker == 0xFF { 1 } else { 2 };
        } else if marker == START_OF_SCAN {
            return !bytes[at..].windows(2).rev().any(|pair| pair == END_OF_IMAGE);
        } else {
            at += 2 + usize::from(u16::from_be_bytes([hi, lo]));
        }
    }
    true // the file ends before its first scan
}

/// Lays an image with transparency over white.
fn over_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, alpha] = from.0.map(u32::from);
        to.0 = [r, g, b].map(|c| ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8);
    }
    rgb
}

/// Scales the shorter side to `side` and cuts the centre out.
pub(crate) fn scale_and_cut(image: &RgbImage, side: usize, rgb: &mut [u8]) {
    assert!(side > 0 && rgb.len() == side * side * 3, "rgb has {} bytes for side {side}", rgb.len());
    let shorter = image.width().min(image.height()) as usize;
    let (left, columns) = cut(image.width() as usize, shorter, side);
    let (top, rows) = cut(image.height() as usize, shorter, side);
    let side = u32::try_from(side).expect("a side that fits 32 bits");
    let (width, height) = image.dimensions();
    if (width, height) == (side, side) {
        rgb.copy_from_slice(image.as_raw());
        return;
    }
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(left, top, columns, rows);
    // The typed call compiles the kernels of this one pixel type only.
    let source = TypedImageRef::<U8x3>::from_buffer(width, height, image.as_raw())
        .expect("an RGB image has three bytes a pixel");
    let mut target = TypedImage::<U8x3>::from_buffer(side, side, rgb).expect("the length was checked above");
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the cut lies inside the image");
}

/// Where the cut of one dimension lies in the source: start and length, in source pixels.
///
/// The whole dimension would be scaled to `scaled` pixels, of which the `side` central ones are kept.
pub(crate) fn cut(length: usize, shorter: usize, side: usize) -> (f64, f64) {
    let scaled = (length * side + shorter / 2) / shorter;
    let start = (scaled - side) / 2;
    let scale = length as f64 / scaled as f64;
    let from = start as f64 * scale;
    (from, (side as f64 * scale).min(length as f64 - from))
}

#[cfg(test)]
mod tests;
