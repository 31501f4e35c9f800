//! A fast decoder for the JPEGs that photographs mostly are.
//!
//! It takes baseline files of 8 bits, grey or YCbCr with colours at full or half the resolution, in one scan.
//! Of anything else, and of anything that is odd or damaged, it gives nothing, and the caller asks the decoder of
//! the `image` crate, which decides what can be shown and what is wrong. So there are no errors here.
//!
//! # Algorithm
//! 1. Segments are read up to the scan ([`header`]).
//! 2. The scan is copied without its stuffing bytes, so that the bit reader loads eight bytes at a time.
//! 3. Each block is decoded by tables that give code, run and size at once ([`huffman`]), and transformed
//!    ([`idct`]) into a plane of samples.
//! 4. Rows are brought to full resolution by libjpeg's triangle filter and converted to RGB ([`colour`]).
//!
//! Loops are plain and are compiled for the processor's vectors by `pulp`, which chooses at run time. Scaled to 256,
//! pixels are within three levels of what Pillow makes, 0.19 apart on average (100 ImageNet originals).

mod colour;
mod header;
mod huffman;
mod idct;

use header::{Component, Header};
use huffman::Bits;

/// Zeros after each piece of the scan, for the bit reader to run into.
const PADDING: usize = 16;

/// A file of the usual kind, as far as its header tells.
pub(crate) struct Jpeg<'a> {
    header: Header<'a>,
    /// The data of the scan and what follows.
    scan: &'a [u8],
}

impl<'a> Jpeg<'a> {
    /// Reads the header of a file of up to `max_pixels`; nothing if it is not of the usual kind.
    pub(crate) fn open(bytes: &'a [u8], max_pixels: u64) -> Option<Jpeg<'a>> {
        let header = Header::parse(bytes, max_pixels)?;
        let scan = &bytes[header.scan..];
        Some(Jpeg { header, scan })
    }

    pub(crate) fn width(&self) -> usize {
        self.header.width
    }

    pub(crate) fn height(&self) -> usize {
        self.header.height
    }

    /// The EXIF block, from its TIFF header on.
    pub(crate) fn exif(&self) -> Option<&'a [u8]> {
        self.header.exif
    }

    /// Decodes into `rgb`, `[height, width, 3]`; nothing if the data is damaged.
    ///
    /// # Panics
    /// If `rgb` has another length.
    pub(crate) fn decode(&self, rgb: &mut [u8]) -> Option<()> {
        let header = &self.header;
        assert_eq!(rgb.len(), header.width * header.height * 3, "bytes of a picture");
        let pieces = Pieces::new(self.scan)?;
        let mut planes: Vec<Plane> = header.components.iter().map(|it| Plane::new(header, it)).collect();
        pulp::Arch::new().dispatch(Decode { header, pieces: &pieces, planes: &mut planes, rgb })
    }
}

/// The scan without stuffing bytes, cut at its restart markers.
struct Pieces {
    data: Vec<u8>,
    /// Where each piece lies in `data`; zeros follow.
    ranges: Vec<(usize, usize)>,
}

impl Pieces {
    /// Copies a scan; nothing if another marker than that of the image's end follows it.
    fn new(scan: &[u8]) -> Option<Pieces> {
        let mut data = Vec::with_capacity(scan.len() + PADDING);
        let mut ranges = Vec::new();
        let mut start = 0;
        let mut at = 0;
        loop {
            let n_plain = scan[at..].iter().position(|&byte| byte == 0xFF)?;
            data.extend_from_slice(&scan[at..at + n_plain]);
            at += n_plain;
            match scan.get(at + 1)? {
                0x00 => data.push(0xFF),
                0xD0..=0xD7 | 0xD9 => {
                    ranges.push((start, data.len()));
                    data.extend_from_slice(&[0; PADDING]);
                    start = data.len();
                    if scan[at + 1] == 0xD9 {
                        return Some(Pieces { data, ranges });
                    }
                }
                _ => return None,
            }
            at += 2;
        }
    }
}

/// One component's samples.
struct Plane {
    /// Samples that count, without the filling of the last blocks.
    width: usize,
    height: usize,
    /// Samples of a row as stored.
    stride: usize,
    samples: Vec<u8>,
}

impl Plane {
    fn new(header: &Header, component: &Component) -> Plane {
        let (h, v) = (component.horizontal, component.vertical);
        let (max_h, max_v) = header.most();
        let stride = header.units_across() * h * 8;
        Plane {
            width: (header.width * h).div_ceil(max_h),
            height: (header.height * v).div_ceil(max_v),
            stride,
            samples: vec![0; stride * header.units_down() * v * 8],
        }
    }
}

/// The work after the header, to be compiled for the processor at hand.
struct Decode<'a> {
    header: &'a Header<'a>,
    pieces: &'a Pieces,
    planes: &'a mut [Plane],
    rgb: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Decode<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call(self) -> Option<()> {
        let Decode { header, pieces, planes, rgb } = self;
        scan(header, pieces, planes)?;
        colour::convert(header, planes, rgb);
        Some(())
    }
}

/// Decodes the scan into planes.
#[inline(always)]
fn scan(header: &Header, pieces: &Pieces, planes: &mut [Plane]) -> Option<()> {
    let (across, down) = (header.units_across(), header.units_down());
    let interval = if header.restart > 0 { header.restart } else { across * down };
    let mut ranges = pieces.ranges.iter();
    let mut bits = Bits::new(&[], 0);
    let mut predictions = [0; 3];
    for unit in 0..across * down {
        if unit % interval == 0 {
            bits.check()?;
            let &(from, to) = ranges.next()?;
            bits = Bits::new(&pieces.data[from..to + PADDING], to - from);
            predictions = [0; 3];
        }
        let (unit_row, unit_column) = (unit / across, unit % across);
        for ((component, plane), prediction) in header.components.iter().zip(&mut *planes).zip(&mut predictions) {
            let tables = (&header.dc[component.dc], &header.ac[component.ac]);
            let quantiser = &header.quantisers[component.quantiser];
            for y in 0..component.vertical {
                for x in 0..component.horizontal {
                    let mut block = [0; 64];
                    let n_used = bits.block(tables, prediction, &mut block)?;
                    let (row, column) = (unit_row * component.vertical + y, unit_column * component.horizontal + x);
                    let first = row * 8 * plane.stride + column * 8;
                    idct::transform(&block, quantiser, n_used, &mut plane.samples[first..], plane.stride);
                }
            }
        }
    }
    bits.check()
}

#[cfg(test)]
mod tests;
