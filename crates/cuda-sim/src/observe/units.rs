//! What a warp's access asks of the memory: sectors of lines, and passes of banks.

use super::Access;

/// Bytes of a line of the second-level cache, and of a sector, which is fetched at once.
const LINE: u64 = 128;
const SECTOR: u64 = 32;
/// Banks of shared memory, each a word of 4 bytes wide.
const BANKS: u32 = 32;

/// Lines of global memory that an access asks for, in the order of the first lane for each, with a bit for each sector.
#[derive(Debug)]
pub(super) struct Lines {
    lines: [(u64, u8); 32],
    n: usize,
}

impl Lines {
    /// An access is aligned and has at most 16 bytes per lane, so a lane asks for one sector.
    pub(super) fn of(access: &Access<'_>) -> Lines {
        let mut found = Lines { lines: [(0, 0); 32], n: 0 };
        for address in addresses(access, 0..32) {
            let (line, sector) = (address / LINE, 1 << (address / SECTOR % (LINE / SECTOR)));
            match found.lines[..found.n].iter_mut().rev().find(|(other, _)| *other == line) {
                Some((_, sectors)) => *sectors |= sector,
                None => {
                    found.lines[found.n] = (line, sector);
                    found.n += 1;
                }
            }
        }
        found
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u8)> + '_ {
        self.lines[..self.n].iter().copied()
    }

    pub(super) fn sectors(&self) -> u64 {
        self.iter().map(|(_, sectors)| u64::from(sectors.count_ones())).sum()
    }
}

/// Passes of an access to shared memory, and those of them that conflicts make. A pass serves 128 bytes, so accesses of
/// 8 bytes go by half warps and those of 16 by quarters; in each, a bank gives one word at a time.
pub(super) fn passes(access: &Access<'_>) -> (u64, u64) {
    let words = u64::from(access.bytes.div_ceil(4));
    let together = 32 / words.max(1) as usize;
    let (mut passes, mut conflicts) = (0, 0);
    for part in (0..32).step_by(together) {
        let mut banks = Banks { words: [0; BANKS as usize], counts: [0; BANKS as usize], more: Vec::new() };
        for address in addresses(access, part..part + together) {
            (0..words).for_each(|word| banks.add((address / 4 + word) as u32));
        }
        let most = banks.counts.into_iter().max().unwrap_or(0);
        passes += u64::from(most);
        conflicts += u64::from(most.saturating_sub(1));
    }
    (passes, conflicts)
}

/// The words that a pass asks of each bank: the first, how many different ones, and, in conflicts, the others.
struct Banks {
    words: [u32; BANKS as usize],
    counts: [u8; BANKS as usize],
    more: Vec<u32>,
}

impl Banks {
    #[inline]
    fn add(&mut self, word: u32) {
        let bank = (word % BANKS) as usize;
        if self.counts[bank] == 0 {
            (self.words[bank], self.counts[bank]) = (word, 1);
        } else if self.words[bank] != word && !self.more.contains(&word) {
            self.more.push(word);
            self.counts[bank] += 1;
        }
    }
}

fn addresses<'a>(access: &'a Access<'_>, lanes: std::ops::Range<usize>) -> impl Iterator<Item = u64> + 'a {
    lanes.filter(|lane| access.step.lanes >> lane & 1 == 1).map(|lane| access.addresses[lane])
}
