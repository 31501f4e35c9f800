//! Huffman codes, and the bits of a scan.

use super::header::ZIGZAG;

/// Bits that the look-up sees. Longer codes are so rare that a search does.
const LOOK: u32 = 10;

/// A code book.
#[derive(Default)]
pub(super) struct Table {
    /// By the next `LOOK` bits.
    fast: Vec<Entry>,
    /// For each length the first code that is longer, filled up to 16 bits.
    limits: [u32; 17],
    /// For each length the place of its first symbol minus its first code.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// What the next bits mean: a code, then bits of a value.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Bits of code and value; 0 if the look-up was too short.
    all: u8,
    /// Bits of the code.
    code: u8,
    /// Bits of the value.
    size: u8,
    /// Coefficients to step over: 64 at the end of a block.
    run: u8,
}

impl Entry {
    fn new(symbol: u8, code: u32, is_ac: bool) -> Entry {
        let size = symbol & 15;
        let run = match symbol {
            _ if !is_ac => 0,
            0xF0 => 15, // sixteen zeros: fifteen, and one that is written
            symbol if size == 0 && symbol < 0xF0 => 64,
            symbol => symbol >> 4,
        };
        Entry { all: code as u8 + size, code: code as u8, size, run }
    }

    /// The value behind the code at the top of `word`.
    #[inline(always)]
    fn value(self, word: u64) -> i16 {
        let bits = word << self.code;
        let size = u32::from(self.size);
        let value = ((bits >> 1) >> (63 - size)) as i32;
        // Values that begin with a zero are negative: 00 01 10 11 are -3 -2 2 3.
        let is_negative = !((bits as i64) >> 63) as i32;
        (value - (((1 << size) - 1) & is_negative)) as i16
    }
}

impl Table {
    /// A table of codes with `lengths[i]` codes of `i + 1` bits; nothing if there cannot be so many.
    pub(super) fn new(lengths: &[u8; 16], symbols: &[u8], is_ac: bool) -> Option<Table> {
        let mut table =
            Table { fast: vec![Entry::default(); 1 << LOOK], symbols: symbols.to_vec(), ..Table::default() };
        if !is_ac && symbols.iter().any(|&symbol| symbol > 15) {
            return None;
        }
        let (mut code, mut place) = (0_u32, 0);
        for length in 1..=16_u32 {
            table.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..lengths[length as usize - 1] {
                if code >> length != 0 {
                    return None;
                }
                if length <= LOOK {
                    let free = LOOK - length;
                    let entry = Entry::new(symbols[place], length, is_ac);
                    table.fast[(code << free) as usize..][..1 << free].fill(entry);
                }
                code += 1;
                place += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    pub(super) fn is_there(&self) -> bool {
        !self.fast.is_empty()
    }

    #[inline(always)]
    fn fast(&self) -> Option<&[Entry; 1 << LOOK]> {
        self.fast.first_chunk()
    }

    /// What the bits of `buffer`, from the top, mean; for codes that the look-up does not have.
    #[cold]
    fn search(&self, buffer: u64, is_ac: bool) -> Option<Entry> {
        let bits = (buffer >> 48) as u32;
        let length = (LOOK + 1..=16).find(|&length| bits < self.limits[length as usize])?;
        let place = self.offsets[length as usize] + (bits >> (16 - length)) as i32;
        self.symbols.get(place as usize).map(|&symbol| Entry::new(symbol, length, is_ac))
    }
}

/// Bits of a code that the look-up has and its value, at most.
const MOST: u8 = 25;

/// Reads the bits of a piece of a scan.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    /// Ends with padding of at least eight bytes.
    data: &'a [u8],
    /// The bytes of `data` that count.
    length: usize,
    /// The next byte to load.
    at: usize,
    /// The next bits, from the top.
    buffer: u64,
    /// How many of them are loaded.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Reads the first `length` bytes of `data`.
    pub(super) fn new(data: &'a [u8], length: usize) -> Bits<'a> {
        Bits { data, length, at: 0, buffer: 0, count: 0 }
    }

    /// Loads bits until there are at least 56; nothing if that leads far behind the end.
    #[inline(always)]
    fn refill(&mut self) -> Option<()> {
        let word = u64::from_be_bytes(*self.data.get(self.at..)?.first_chunk()?);
        self.buffer |= word >> self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        Some(())
    }

    /// Takes the value that `entry` says comes next, with its code. An entry has 31 bits at most.
    #[inline(always)]
    fn value(&mut self, entry: Entry) -> i16 {
        let value = entry.value(self.buffer);
        self.buffer <<= entry.all;
        self.count -= u32::from(entry.all);
        value
    }

    /// Decodes a block into `block`, which is zero before. Gives how many coefficients, in the file's order,
    /// may not be zero.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        (dc, ac): (&Table, &Table),
        prediction: &mut i16,
        block: &mut [i16; 64],
    ) -> Option<usize> {
        let mut bits = *self; // in registers
        let (dc_fast, ac_fast) = (dc.fast()?, ac.fast()?);
        bits.refill()?;
        let mut entry = dc_fast[(bits.buffer >> (64 - LOOK)) as usize];
        if entry.all == 0 {
            entry = dc.search(bits.buffer, false)?;
        }
        *prediction = prediction.wrapping_add(bits.value(entry));
        block[0] = *prediction;
        let mut place = 1;
        let mut end = 1;
        while place < 64 {
            bits.refill()?;
            let mut entry = ac_fast[(bits.buffer >> (64 - LOOK)) as usize];
            if entry.all == 0 {
                entry = ac.search(bits.buffer, true)?;
            }
            let value = bits.value(entry);
            place += usize::from(entry.run);
            if place > 63 {
                break;
            }
            block[usize::from(ZIGZAG[place] & 63)] = value;
            place += 1;
            end = place;
            // A second one from the same load.
            let second = ac_fast[(bits.buffer >> (64 - LOOK)) as usize];
            if place > 63 || second.all == 0 || entry.all > MOST {
                continue;
            }
            let value = bits.value(second);
            place += usize::from(second.run);
            if place > 63 {
                break;
            }
            block[usize::from(ZIGZAG[place] & 63)] = value;
            place += 1;
            end = place;
        }
        *self = bits;
        Some(end)
    }

    /// Whether no more bits were taken than there were.
    pub(super) fn check(&self) -> Option<()> {
        ((self.at * 8).saturating_sub(self.count as usize) <= self.length * 8).then_some(())
    }
}
