//! A fast decoder for the JPEGs that photographs mostly are, of the part of the picture that is wanted.
//!
//! It takes baseline files of 8 bits, grey or YCbCr with colours at full or half the resolution, in one scan.
//! Of anything else, and of anything that is odd or damaged, it gives nothing, and the caller asks the decoder of
//! the `image` crate, which decides what can be shown and what is wrong. So there are no errors here.
//!
//! # Algorithm
//! 1. Segments are read up to the scan ([`super::header`]).
//! 2. The scan is copied without its stuffing bytes, so that the bit reader loads eight bytes at a time.
//! 3. Each block is decoded by tables that give code, run and size at once ([`super::huffman`]); those in the
//!    window are transformed ([`super::idct`]) into a plane of samples for each component. What lies below the
//!    window is not read.

use std::ops::Range;

use super::header::{Component, Header};
use super::huffman::Bits;
use super::idct;
use super::scale::LINE;

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

    /// The planes of grey, or of Y, Cb and Cr, at least for the pixels of these columns and rows; nothing if the
    /// data is damaged.
    pub(crate) fn planes(&self, columns: Range<usize>, rows: Range<usize>) -> Option<Vec<Plane>> {
        let header = &self.header;
        let (across, down) = header.most();
        let window = Window {
            columns: columns.start / (8 * across)..columns.end.div_ceil(8 * across).min(header.units_across()),
            rows: rows.start / (8 * down)..rows.end.div_ceil(8 * down).min(header.units_down()),
        };
        let pieces = Pieces::new(self.scan)?;
        let mut planes: Vec<Plane> = header.components.iter().map(|it| Plane::new(header, it, &window)).collect();
        pulp::Arch::new().dispatch(Scan { header, pieces: &pieces, window: &window, planes: &mut planes })?;
        Some(planes)
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
            while let Some(chunk) = scan[at..].first_chunk::<16>()
                && !chunk.iter().fold(false, |any, &byte| any | (byte == 0xFF))
            {
                data.extend_from_slice(chunk);
                at += 16;
            }
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

/// The units that are wanted.
struct Window {
    columns: Range<usize>,
    rows: Range<usize>,
}

/// One component's samples in the window.
pub(crate) struct Plane {
    /// Samples of the whole component, without the filling of the last blocks.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Pixels of the picture that a sample stands for.
    pub(crate) across: usize,
    pub(crate) down: usize,
    /// The first column and row that are here.
    pub(crate) left: usize,
    pub(crate) top: usize,
    /// Samples of a column, filled up to a multiple of [`LINE`].
    pub(crate) stride: usize,
    /// Column by column.
    pub(crate) samples: Vec<u8>,
}

impl Plane {
    fn new(header: &Header, component: &Component, window: &Window) -> Plane {
        let (h, v) = (component.horizontal, component.vertical);
        let (max_h, max_v) = header.most();
        let stride = (window.rows.len() * v * 8).next_multiple_of(LINE);
        Plane {
            width: (header.width * h).div_ceil(max_h),
            height: (header.height * v).div_ceil(max_v),
            across: max_h / h,
            down: max_v / v,
            left: window.columns.start * h * 8,
            top: window.rows.start * v * 8,
            stride,
            samples: vec![0; stride * window.columns.len() * h * 8],
        }
    }

    /// Whether another plane has the same samples of the picture.
    pub(crate) fn is_like(&self, other: &Plane) -> bool {
        (self.across, self.down) == (other.across, other.down)
    }
}

/// Decoding the scan into planes, to be compiled for the processor at hand.
struct Scan<'a> {
    header: &'a Header<'a>,
    pieces: &'a Pieces,
    window: &'a Window,
    planes: &'a mut [Plane],
}

impl pulp::NullaryFnOnce for Scan<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call(self) -> Option<()> {
        let Scan { header, pieces, window, planes } = self;
        let across = header.units_across();
        let interval = if header.restart > 0 { header.restart } else { usize::MAX };
        let mut ranges = pieces.ranges.iter();
        let mut bits = Bits::new(&[], 0);
        let mut predictions = [0; 3];
        for row in 0..window.rows.end {
            for column in 0..across {
                if (row * across + column).is_multiple_of(interval) {
                    bits.check()?;
                    let &(from, to) = ranges.next()?;
                    bits = Bits::new(&pieces.data[from..to + PADDING], to - from);
                    predictions = [0; 3];
                }
                let is_wanted = window.rows.contains(&row) && window.columns.contains(&column);
                for ((it, plane), prediction) in header.components.iter().zip(&mut *planes).zip(&mut predictions) {
                    let tables = (&header.dc[it.dc], &header.ac[it.ac]);
                    for block in 0..it.vertical * it.horizontal {
                        let (y, x) = (block / it.horizontal, block % it.horizontal);
                        let mut block = [0; 64];
                        let n_used = bits.block(tables, prediction, &mut block)?;
                        if is_wanted {
                            let top = (row - window.rows.start) * it.vertical + y;
                            let left = (column - window.columns.start) * it.horizontal + x;
                            let samples = &mut plane.samples[left * 8 * plane.stride + top * 8..];
                            idct::transform(&block, &header.quantisers[it.quantiser], n_used, samples, plane.stride);
                        }
                    }
                }
            }
        }
        bits.check()
    }
}
