//! Writes a picture as a JPEG of quality 95: baseline, colours at half the resolution, the standard's code tables,
//! what libjpeg writes by default.
//!
//! # Algorithm
//! RGB becomes planes of Y, Cb and Cr, colours averaged over four pixels. Each block of 8x8 is transformed in f32 by
//! the algorithm of Arai, Agui and Nakajima, whose scales are folded into the quantiser, and rounded. A mask of the
//! coefficients that are not zero leads from one to the next; code and value are written together.

use std::array;
use std::sync::LazyLock;

use super::header::ZIGZAG;
use super::idct::SCALES;
use super::tables::{AC, Codes, DC, STEPS};

/// Steps of quantisation in percent of the standard's, at quality 95 as libjpeg counts it.
const PERCENT: u32 = 10;
/// Where each coefficient of the file's order lies in a block that is stored column by column.
const COLUMNS: [u8; 64] = {
    let mut places = ZIGZAG;
    let mut i = 0;
    while i < 64 {
        places[i] = ZIGZAG[i] % 8 * 8 + ZIGZAG[i] / 8;
        i += 1;
    }
    places
};
/// Pixels of a unit: four blocks of brightness, one of each colour.
const UNIT: usize = 16;

/// Replaces the content of `bytes` by the JPEG of `side x side` RGB.
///
/// # Panics
/// If `rgb` has another length or `side` is over 65,535.
pub(crate) fn encode(rgb: &[u8], side: usize, bytes: &mut Vec<u8>) {
    assert_eq!(rgb.len(), side * side * 3, "bytes of a picture");
    bytes.clear();
    write_header(side, bytes);
    pulp::Arch::new().dispatch(Encode { rgb, side, tables: &TABLES, bytes });
    bytes.extend_from_slice(&[0xFF, 0xD9]);
}

/// The step of a coefficient.
fn step(table: usize, at: usize) -> u32 {
    ((u32::from(STEPS[table][at]) * PERCENT + 50) / 100).max(1)
}

/// Everything before the scan's data.
fn write_header(side: usize, bytes: &mut Vec<u8>) {
    let mut segment = |marker: u8, content: &[u8]| {
        bytes.extend_from_slice(&[0xFF, marker]);
        bytes.extend_from_slice(&(content.len() as u16 + 2).to_be_bytes());
        bytes.extend_from_slice(content);
    };
    let [high, low] = u16::try_from(side).expect("a side of at most 65,535").to_be_bytes();
    segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for table in 0..2 {
        let steps = (0..64).map(|at| step(table, usize::from(ZIGZAG[at])) as u8);
        segment(0xDB, &[table as u8].into_iter().chain(steps).collect::<Vec<u8>>());
    }
    segment(0xC0, &[8, high, low, high, low, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    for (class, pair) in [(0x00, &DC), (0x10, &AC)] {
        for (table, Codes { lengths, symbols }) in pair.iter().enumerate() {
            segment(0xC4, &[&[class | table as u8], &lengths[..], symbols].concat());
        }
    }
    segment(0xDA, &[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
    bytes.splice(0..0, [0xFF, 0xD8]);
}

/// What does not depend on the picture, for brightness and for colours.
static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| array::from_fn(Table::new));

struct Table {
    /// Factors of the coefficients of a block, column by column, which make them multiples of their steps.
    factors: [f32; 64],
    dc: [Code; 256],
    ac: [Code; 256],
}

#[derive(Clone, Copy, Default)]
struct Code {
    bits: u32,
    length: u32,
}

impl Table {
    fn new(table: usize) -> Table {
        Table {
            factors: array::from_fn(|i| {
                let (column, row) = (i / 8, i % 8);
                1.0 / (step(table, row * 8 + column) as f32 * SCALES[column] * SCALES[row] * 8.0)
            }),
            dc: codes(&DC[table]),
            ac: codes(&AC[table]),
        }
    }
}

/// The code of each symbol.
fn codes(Codes { lengths, symbols }: &Codes) -> [Code; 256] {
    let mut codes = [Code::default(); 256];
    let mut symbols = symbols.iter();
    let mut bits = 0;
    for (length, &count) in (1..).zip(lengths) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            codes[usize::from(symbol)] = Code { bits, length };
            bits += 1;
        }
        bits <<= 1;
    }
    codes
}

/// The work after the header, to be compiled for the processor at hand.
struct Encode<'a> {
    rgb: &'a [u8],
    side: usize,
    tables: &'a [Table; 2],
    bytes: &'a mut Vec<u8>,
}

impl pulp::NullaryFnOnce for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Encode { rgb, side, tables: [brightness, colours], bytes } = self;
        let width = side.next_multiple_of(UNIT);
        let mut luma = vec![0; width * UNIT];
        let mut chroma = [(); 2].map(|()| vec![0; width / 2 * (UNIT / 2)]);
        let mut sums = vec![[0_i32; 3]; width / 2];
        let mut bits = Bits { buffer: 0, count: 0, bytes };
        let mut before = [0; 3];
        for top in (0..side).step_by(UNIT) {
            for y in 0..UNIT {
                // Beyond the edges the last pixels are repeated.
                let row = &rgb[(top + y).min(side - 1) * side * 3..][..side * 3];
                luma_row(row, &mut luma[y * width..][..width]);
                sum_pairs(row, &mut sums, y % 2 == 0);
                if y % 2 == 1 {
                    let at = y / 2 * (width / 2);
                    let [blue, red] = &mut chroma;
                    chroma_row(&sums, &mut blue[at..], &mut red[at..]);
                }
            }
            for left in (0..width).step_by(UNIT) {
                for (y, x) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                    block(&luma[y * width + left + x..], width, brightness, &mut before[0], &mut bits);
                }
                for (plane, before) in chroma.iter().zip(&mut before[1..]) {
                    block(&plane[left / 2..], width / 2, colours, before, &mut bits);
                }
            }
        }
        bits.finish();
    }
}

/// Y of a row, as libjpeg rounds it; the last repeated.
#[inline(always)]
fn luma_row(rgb: &[u8], luma: &mut [u8]) {
    let pixels = rgb.as_chunks::<3>().0;
    for (y, &[r, g, b]) in luma.iter_mut().zip(pixels) {
        *y = ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + (1 << 15)) >> 16) as u8;
    }
    let last = luma[pixels.len() - 1];
    luma[pixels.len()..].fill(last);
}

/// Sums of pairs of pixels of a row, added to those of the row above unless it is the first of two.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "one index for both")]
fn sum_pairs(rgb: &[u8], sums: &mut [[i32; 3]], is_first: bool) {
    let keep = i32::from(!is_first);
    let pairs = rgb.as_chunks::<6>().0;
    for (sum, pair) in sums.iter_mut().zip(pairs) {
        for c in 0..3 {
            sum[c] = keep * sum[c] + i32::from(pair[c]) + i32::from(pair[c + 3]);
        }
    }
    let end = &rgb[rgb.len() - 3..];
    let filled = pairs.len();
    for sum in &mut sums[filled..] {
        for c in 0..3 {
            sum[c] = keep * sum[c] + 2 * i32::from(end[c]);
        }
    }
}

/// Cb and Cr of sums of four pixels.
#[inline(always)]
fn chroma_row(sums: &[[i32; 3]], blue: &mut [u8], red: &mut [u8]) {
    // 128, and what rounds to the nearest.
    const OFFSET: i32 = (128 << 18) + (1 << 17) - 1;
    for ((&[r, g, b], blue), red) in sums.iter().zip(blue).zip(red) {
        *blue = ((-11_059 * r - 21_709 * g + 32_768 * b + OFFSET) >> 18) as u8;
        *red = ((32_768 * r - 27_439 * g - 5_329 * b + OFFSET) >> 18) as u8;
    }
}

/// Transforms and writes the block at the start of `samples`; `before` is the first coefficient of the one before.
#[inline(always)]
fn block(samples: &[u8], stride: usize, table: &Table, before: &mut i32, bits: &mut Bits) {
    let mut values = [0.0; 64];
    for (values, row) in values.as_chunks_mut::<8>().0.iter_mut().zip(samples.chunks(stride)) {
        for (value, &sample) in values.iter_mut().zip(row) {
            *value = f32::from(sample) - 128.0;
        }
    }
    // Columns, then rows, each eight at once; the result lies column by column.
    let half = pass(&values);
    for row in 0..8 {
        for column in 0..8 {
            values[column * 8 + row] = half[row * 8 + column];
        }
    }
    let whole = pass(&values);
    let mut quantised = [0_i32; 64];
    for ((to, value), factor) in quantised.iter_mut().zip(whole).zip(&table.factors) {
        // Adding 1.5 * 2^23 leaves the rounded value in the lowest bits.
        const MAGIC: f32 = 12_582_912.0;
        *to = (value * factor + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
    }
    let mut ordered = [0_i32; 64];
    let mut mask = 0_u64;
    for (i, (to, &at)) in ordered.iter_mut().zip(&COLUMNS).enumerate() {
        *to = quantised[usize::from(at & 63)];
        mask |= u64::from(*to != 0) << i;
    }
    bits.put(&table.dc, 0, ordered[0] - *before);
    *before = ordered[0];
    mask &= !1;
    let mut last = 0;
    while mask != 0 {
        let at = mask.trailing_zeros();
        mask &= mask - 1;
        let mut run = at - last - 1;
        while run > 15 {
            bits.put(&table.ac, 15, 0);
            run -= 16;
        }
        bits.put(&table.ac, run, ordered[at as usize & 63]);
        last = at;
    }
    if last < 63 {
        bits.put(&table.ac, 0, 0);
    }
}

/// The transform of eight columns at once: value `i` of a column lies at `i * 8`.
#[inline(always)]
fn pass(input: &[f32; 64]) -> [f32; 64] {
    use std::f32::consts::FRAC_1_SQRT_2;
    let mut output = [0.0; 64];
    for lane in 0..8 {
        let at = |i: usize| input[i * 8 + lane];
        let sum: [f32; 4] = array::from_fn(|i| at(i) + at(7 - i));
        let difference: [f32; 4] = array::from_fn(|i| at(i) - at(7 - i));
        let (a, b) = (sum[0] + sum[3], sum[1] + sum[2]);
        let (c, d) = (sum[0] - sum[3], sum[1] - sum[2]);
        let e = (c + d) * FRAC_1_SQRT_2;
        let (f, g, h) = (difference[3] + difference[2], difference[2] + difference[1], difference[1] + difference[0]);
        let i = (f - h) * 0.382_683_43;
        let (j, k) = (f * 0.541_196_1 + i, h * 1.306_563 + i);
        let (l, m) = (difference[0] + g * FRAC_1_SQRT_2, difference[0] - g * FRAC_1_SQRT_2);
        let results = [a + b, l + k, c + e, m - j, a - b, m + j, c - e, l - k];
        for (i, value) in results.into_iter().enumerate() {
            output[i * 8 + lane] = value;
        }
    }
    output
}

/// Writes the bits of a scan.
struct Bits<'a> {
    /// Bits that are not written yet, the last one lowest.
    buffer: u64,
    /// How many: below 32.
    count: u32,
    bytes: &'a mut Vec<u8>,
}

impl Bits<'_> {
    /// The code for `value` behind `run` zeros, and the value.
    #[inline(always)]
    fn put(&mut self, codes: &[Code; 256], run: u32, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        let Code { bits, length } = codes[(run << 4 | size) as usize & 255];
        // Values below zero are written as one less, without the sign: -3 -2 2 3 are 00 01 10 11.
        let low = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        self.buffer = self.buffer << (length + size) | u64::from(bits << size | low);
        self.count += length + size;
        if self.count >= 32 {
            self.count -= 32;
            let word = (self.buffer >> self.count) as u32;
            // Whether a byte of it is 0xFF.
            if word & 0x8080_8080 & !word.wrapping_add(0x0101_0101) == 0 {
                self.bytes.extend_from_slice(&word.to_be_bytes());
            } else {
                word.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
        if byte == 0xFF {
            self.bytes.push(0);
        }
    }

    /// Writes the rest, filled up with ones.
    fn finish(mut self) {
        let free = 64 - self.count;
        let rest = ((self.buffer << (free - 1)) << 1) | (u64::MAX >> self.count);
        let n_bytes = self.count.div_ceil(8) as usize;
        rest.to_be_bytes().into_iter().take(n_bytes).for_each(|byte| self.byte(byte));
    }
}
