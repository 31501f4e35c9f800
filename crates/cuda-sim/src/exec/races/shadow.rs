//! What was last done to each word, or to each byte where accesses are smaller.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Deed;
use super::clocks::over;
use crate::observe::Step;

/// Words of a page; pages come into being when they are touched.
const PAGE: usize = 512;

/// Who did something, and when: from bit 0 on 16 bits of instruction, whether it was atomic, whether by the whole warp,
/// 10 bits of thread, 16 of time, 20 of block. 0 is nobody, since time starts at 1.
///
/// In shared memory the block is a number that rises with each block that uses the memory, so that marks of one block
/// before some time, and all of the blocks before, are the numbers below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    /// The mark of lane 0.
    pub(super) fn new(block: u32, step: Step, time: u16, deed: Deed) -> Mark {
        let flags = u64::from(deed.atomic) << 16 | u64::from(deed.together) << 17;
        let (index, thread) = (u64::from(step.index.min(0xffff)), u64::from(step.warp * 32));
        Mark(index | flags | thread << 18 | Mark::floor(block, time))
    }

    /// Marks of `block` before `time`, and those of blocks before it, are less.
    pub(super) fn floor(block: u32, time: u16) -> u64 {
        u64::from(block & 0xf_ffff) << 44 | u64::from(time) << 28
    }

    fn lane(self, lane: u32) -> Mark {
        Mark(self.0 | u64::from(lane) << 18)
    }

    pub(super) fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(super) fn thread(self) -> u32 {
        (self.0 >> 18 & 0x3ff) as u32
    }

    fn warp(self) -> u32 {
        self.thread() / 32
    }

    fn time(self) -> u16 {
        (self.0 >> 28) as u16
    }

    pub(super) fn block(self) -> u32 {
        (self.0 >> 44) as u32
    }

    pub(super) fn atomic(self) -> bool {
        self.0 >> 16 & 1 == 1
    }

    fn together(self) -> bool {
        self.0 >> 17 & 1 == 1
    }

    /// Whether the same warp did both at the same time.
    fn is_beside(self, other: Mark) -> bool {
        (self.0 ^ other.0) >> 23 == 0
    }
}

/// Lanes that do the same, and what their warp knows of others.
#[derive(Clone, Copy)]
pub(super) struct Thread<'a> {
    /// That of lane 0.
    pub(super) mark: Mark,
    pub(super) known: &'a [u16; 32],
    pub(super) deed: Deed,
    /// Marks below are over for certain.
    pub(super) floor: u64,
    /// In memory that other blocks see, too.
    pub(super) global: bool,
}

impl Thread<'_> {
    pub(super) fn time(&self) -> u16 {
        self.mark.time()
    }

    fn lane(self, lane: u32) -> Self {
        Thread { mark: self.mark.lane(lane), ..self }
    }

    /// Whether what `other` did is over.
    #[inline(always)]
    fn follows(&self, other: Mark) -> bool {
        if other.0 < self.floor {
            return true;
        }
        if other.block() != self.mark.block() {
            // Marks of another block in shared memory are left from the block that ran here before.
            return !self.global;
        }
        let own = other.warp() == self.mark.warp();
        let done = other.together() || !self.deed.together && other.thread() == self.mark.thread();
        (own && done) || over(other.time(), self.known[other.warp() as usize])
    }

    /// The two reads to remember of a word, after these two and this one.
    #[inline(always)]
    fn among(&self, [first, second]: [Mark; 2]) -> [Mark; 2] {
        if first.0 < self.floor {
            [self.mark, second]
        } else if second.is_beside(self.mark) {
            [first, second]
        } else if self.follows(first) {
            [self.mark, second]
        } else if self.follows(second) || second.block() == first.block() {
            [first, self.mark]
        } else {
            [first, second]
        }
    }

    #[inline(always)]
    fn races(&self, other: Mark) -> bool {
        !(self.follows(other) || self.deed.atomic && other.atomic())
    }
}

/// The other side of a race.
#[derive(Debug, Clone, Copy)]
pub(super) struct Other {
    pub(super) mark: Mark,
    pub(super) wrote: bool,
}

#[derive(Debug, Default)]
struct Cell {
    write: AtomicU64,
    /// Two reads that are not ordered; of two blocks, where there were two.
    reads: [AtomicU64; 2],
}

impl Cell {
    #[inline(always)]
    fn record(&self, by: &Thread<'_>) -> Option<Other> {
        if by.deed.writes {
            let before = Mark(self.write.load(Relaxed));
            self.write.store(by.mark.0, Relaxed);
            return by.races(before).then_some(Other { mark: before, wrote: true });
        }
        self.read(by);
        None
    }

    #[inline(always)]
    fn read(&self, by: &Thread<'_>) {
        let before = self.last_reads();
        self.remember(before, by.among(before));
    }

    #[inline(always)]
    fn last_reads(&self) -> [Mark; 2] {
        [0, 1].map(|read| Mark(self.reads[read].load(Relaxed)))
    }

    #[inline(always)]
    fn remember(&self, before: [Mark; 2], now: [Mark; 2]) {
        for ((read, before), now) in self.reads.iter().zip(before).zip(now) {
            if now != before {
                read.store(now.0, Relaxed);
            }
        }
    }

    /// Whether somebody wrote it, or read it.
    fn is_touched(&self, writes: bool) -> bool {
        let note = if writes { &self.write } else { &self.reads[0] };
        note.load(Relaxed) != 0
    }

    #[inline(always)]
    fn conflict(&self, by: &Thread<'_>) -> Option<Other> {
        let write = Mark(self.write.load(Relaxed));
        if by.races(write) {
            return Some(Other { mark: write, wrote: true });
        }
        if !by.deed.writes {
            return None;
        }
        let reads = self.reads.iter().map(|read| Mark(read.load(Relaxed)));
        reads.filter(|&read| by.races(read)).map(|mark| Other { mark, wrote: false }).next()
    }
}

#[derive(Debug)]
struct Page {
    words: Box<[Cell]>,
    /// Accesses of less than a word.
    bytes: OnceLock<Box<[Cell]>>,
}

fn cells(n: usize) -> Box<[Cell]> {
    (0..n).map(|_| Cell::default()).collect()
}

/// What was done to each word of an allocation or of a block's shared memory.
#[derive(Debug)]
pub(super) struct Shadow {
    pages: Box<[OnceLock<Page>]>,
}

impl Shadow {
    pub(super) fn new(bytes: usize) -> Shadow {
        Shadow { pages: (0..bytes.div_ceil(4 * PAGE)).map(|_| OnceLock::new()).collect() }
    }

    #[inline(always)]
    fn page(&self, word: usize) -> &Page {
        self.pages[word / PAGE].get_or_init(|| Page { words: cells(PAGE), bytes: OnceLock::new() })
    }

    /// Remembers an access of `bytes` at each lane's offset, and tells which lane raced with a write before.
    pub(super) fn record(&self, by: Thread<'_>, at: &[u64; 32], bytes: u32, lanes: u32) -> Option<(u32, Other)> {
        each(at, lanes, by.deed, |lane, at| self.record_one(&by.lane(lane), at, bytes as usize))
    }

    /// Whether an access that was remembered races with what others did.
    pub(super) fn conflict(&self, by: Thread<'_>, at: &[u64; 32], bytes: u32, lanes: u32) -> Option<(u32, Other)> {
        each(at, lanes, by.deed, |lane, at| self.conflict_of_one(&by.lane(lane), at, bytes as usize))
    }

    /// Both at once, for memory that no other core uses.
    pub(super) fn touch(&self, by: Thread<'_>, at: &[u64; 32], bytes: u32, lanes: u32) -> Option<(u32, Other)> {
        each(at, lanes, by.deed, |lane, at| {
            let by = by.lane(lane);
            let found = self.conflict_of_one(&by, at, bytes as usize);
            self.record_one(&by, at, bytes as usize);
            found
        })
    }

    #[inline(always)]
    fn record_one(&self, by: &Thread<'_>, at: usize, bytes: usize) -> Option<Other> {
        let page = self.page(at / 4);
        let cells = if bytes < 4 {
            let at = at % (4 * PAGE);
            &page.bytes.get_or_init(|| cells(4 * PAGE))[at..at + bytes]
        } else {
            let word = at / 4 % PAGE;
            &page.words[word..word + bytes / 4]
        };
        cells.iter().fold(None, |found, cell| cell.record(by).or(found))
    }

    #[inline(always)]
    fn conflict_of_one(&self, by: &Thread<'_>, at: usize, bytes: usize) -> Option<Other> {
        let page = self.page(at / 4);
        let word = at / 4 % PAGE;
        let found = page.words[word..word + bytes.div_ceil(4)].iter().find_map(|cell| cell.conflict(by));
        found.or_else(|| {
            let at = at % (4 * PAGE);
            page.bytes.get()?[at..at + bytes].iter().find_map(|cell| cell.conflict(by))
        })
    }

    /// [`Shadow::touch`] for whole words that all lanes read; false when it may be a race.
    /// Two lanes stand for all that read at one place, when they are neighbours or every eighth, as in the tiles of
    /// products.
    #[inline(always)]
    pub(super) fn read<const N: usize>(&self, by: Thread<'_>, at: &[u32; 32]) -> bool {
        for lane in 0..32 {
            let alike = |by: usize| lane >= by && at[lane - by] == at[lane];
            if alike(1) || alike(8) {
                continue;
            }
            let word = at[lane] as usize / 4;
            let page = self.page(word);
            let word = word % PAGE;
            let Some(cells) = page.words.get(word..).and_then(<[Cell]>::first_chunk::<N>) else { return false };
            let other = [1, 8].into_iter().map(|by| lane + by).find(|&other| at.get(other) == Some(&at[lane]));
            let by = [lane, other.unwrap_or(lane)].map(|lane| by.lane(lane as u32));
            if page.bytes.get().is_some() || !read_of_two(cells, by) {
                return false;
            }
        }
        true
    }

    /// The bytes that were written, or those that were read.
    pub(super) fn touched(&self, writes: bool) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut add = |start: usize, bytes: usize| {
            let (start, end) = (start as u64, (start + bytes) as u64);
            match ranges.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => ranges.push(start..end),
            }
        };
        for (index, page) in self.pages.iter().enumerate() {
            let Some(Page { words, bytes }) = page.get() else { continue };
            for (word, cell) in words.iter().enumerate() {
                let at = (index * PAGE + word) * 4;
                match bytes.get() {
                    _ if cell.is_touched(writes) => add(at, 4),
                    Some(bytes) => (0..4)
                        .filter(|byte| bytes[word * 4 + byte].is_touched(writes))
                        .for_each(|byte| add(at + byte, 1)),
                    None => {}
                }
            }
        }
        ranges
    }

    /// The last write to the word at an offset.
    pub(super) fn last_write(&self, offset: u64) -> Other {
        let word = offset as usize / 4;
        Other { mark: Mark(self.page(word).words[word % PAGE].write.load(Relaxed)), wrote: true }
    }
}

/// Remembers a read of some words by two lanes of a warp; false when it may be a race.
#[inline(always)]
fn read_of_two<const N: usize>(cells: &[Cell; N], by: [Thread<'_>; 2]) -> bool {
    let both = |before| by.iter().fold(before, |before, by| by.among(before));
    let reads = cells.each_ref().map(Cell::last_reads);
    if reads.iter().all(|&words| words == reads[0]) {
        // As it is where the words are always read together: one answer is for all.
        let now = both(reads[0]);
        if now != reads[0] {
            cells.iter().for_each(|cell| cell.remember(reads[0], now));
        }
    } else {
        cells.iter().zip(reads).for_each(|(cell, before)| cell.remember(before, both(before)));
    }
    let writes = cells.each_ref().map(|cell| Mark(cell.write.load(Relaxed)));
    writes.iter().all(|&write| write.0 < by[0].floor || by.iter().all(|by| !by.races(write)))
}

/// Calls `f` for lanes and their offsets until it finds something. Of neighbouring lanes that read at one place, two
/// stand for all.
#[inline(always)]
fn each(
    at: &[u64; 32],
    lanes: u32,
    deed: Deed,
    mut f: impl FnMut(u32, usize) -> Option<Other>,
) -> Option<(u32, Other)> {
    for lane in 0..32 {
        let index = lane as usize;
        if lanes >> lane & 1 == 0 {
            continue;
        }
        let repeats = !deed.writes && lane >= 2 && lanes >> (lane - 2) & 7 == 7;
        if repeats && at[index - 1] == at[index] && at[index - 2] == at[index] {
            continue;
        }
        if let Some(found) = f(lane, at[index] as usize) {
            return Some((lane, found));
        }
    }
    None
}
