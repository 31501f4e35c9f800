//! How a picture is stored: JPEG, or uncompressed as PPM.

use image::ImageDecoder as _;
use serde::{Deserialize, Serialize};

use crate::decode;
use crate::error::ImageFault;
use crate::jpeg;

/// The format of stored pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// JPEG of quality 95, colours at half the resolution, as photographs mostly have them already.
    Jpeg,
    /// Uncompressed: `side * side * 3` bytes of RGB behind a PPM header.
    Raw,
}

impl Encoding {
    /// How names of members end.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Encoding::Jpeg => "jpg",
            Encoding::Raw => "ppm",
        }
    }

    /// Encodes `side x side` RGB into `bytes`, whose content is replaced.
    pub(crate) fn encode(self, rgb: &[u8], side: usize, bytes: &mut Vec<u8>) {
        match self {
            Encoding::Jpeg => jpeg::encode(rgb, side, bytes),
            Encoding::Raw => {
                bytes.clear();
                bytes.extend_from_slice(ppm_header(side).as_bytes());
                bytes.extend_from_slice(rgb);
            }
        }
    }

    /// Decodes into `side x side` RGB.
    pub(crate) fn decode(self, bytes: &[u8], side: usize, rgb: &mut [u8]) -> Result<(), ImageFault> {
        match self {
            Encoding::Jpeg => {
                let decoder = decode::jpeg(bytes)?;
                let (width, height) = decoder.dimensions();
                let is_rgb = decoder.color_type() == image::ColorType::Rgb8;
                if (width as usize, height as usize) != (side, side) || !is_rgb {
                    return Err(ImageFault::PackedSize { width, height, side });
                }
                decoder.read_image(rgb).map_err(ImageFault::Decode)
            }
            Encoding::Raw => match bytes.strip_prefix(ppm_header(side).as_bytes()) {
                Some(pixels) if pixels.len() == rgb.len() => {
                    rgb.copy_from_slice(pixels);
                    Ok(())
                }
                _ => Err(ImageFault::UnknownFormat),
            },
        }
    }
}

fn ppm_header(side: usize) -> String {
    format!("P6\n{side} {side}\n255\n")
}
