//! The second-level cache: which requests of the SMs go on to DRAM.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::observe::Request;

/// Bytes of a line, and of a sector of it.
const LINE: u64 = 128;
const SECTOR: u64 = 32;
/// No line.
const NONE: u32 = u32::MAX;

/// Bytes between the cache and DRAM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read from DRAM.
    pub read: u64,
    /// Written to DRAM.
    pub written: u64,
}

impl Traffic {
    /// Both ways.
    pub fn bytes(self) -> u64 {
        self.read + self.written
    }
}

/// A cache of lines of 128 bytes, of which it drops the one that was used longest ago. A line's sectors of 32 bytes come
/// when they are read; what is written is kept until its line is dropped, without being read first.
///
/// A card's cache is set-associative, hashes addresses, and is in two halves on an A100 and an H100; none of that is here.
#[derive(Debug)]
pub struct L2 {
    places: HashMap<u64, u32, BuildHasherDefault<LineHasher>>,
    lines: Vec<Line>,
    most: usize,
    newest: u32,
    oldest: u32,
    traffic: Traffic,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    number: u64,
    /// Sectors that are here, and those that DRAM does not have yet.
    valid: u8,
    dirty: u8,
    newer: u32,
    older: u32,
}

impl L2 {
    /// An empty cache.
    pub fn new(bytes: u64) -> L2 {
        let most = (bytes / LINE).clamp(1, u64::from(NONE)) as usize;
        L2 {
            places: HashMap::default(),
            lines: Vec::new(),
            most,
            newest: NONE,
            oldest: NONE,
            traffic: Traffic::default(),
        }
    }

    /// Serves a request.
    pub fn request(&mut self, request: Request) {
        let place = match self.places.get(&request.line()) {
            Some(&place) => {
                self.unlink(place);
                place
            }
            None => self.place(request.line()),
        };
        self.link(place);
        let line = &mut self.lines[place as usize];
        if request.write() {
            line.dirty |= request.sectors();
        } else {
            self.traffic.read += u64::from((request.sectors() & !line.valid).count_ones()) * SECTOR;
        }
        line.valid |= request.sectors();
    }

    /// Bytes so far, and what would be written if everything had to be in DRAM now.
    pub fn traffic(&self) -> Traffic {
        Traffic { written: self.traffic.written + self.waiting(), ..self.traffic }
    }

    /// Bytes that were written and that DRAM does not have yet.
    pub fn waiting(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.dirty.count_ones())).sum::<u64>() * SECTOR
    }

    /// A place for a line that is not here: a new one, or that of the oldest line.
    fn place(&mut self, number: u64) -> u32 {
        let empty = Line { number, valid: 0, dirty: 0, newer: NONE, older: NONE };
        let place = if self.lines.len() < self.most {
            self.lines.push(empty);
            self.lines.len() as u32 - 1
        } else {
            let place = self.oldest;
            self.unlink(place);
            let old = std::mem::replace(&mut self.lines[place as usize], empty);
            self.places.remove(&old.number);
            self.traffic.written += u64::from(old.dirty.count_ones()) * SECTOR;
            place
        };
        self.places.insert(number, place);
        place
    }

    fn unlink(&mut self, place: u32) {
        let Line { newer, older, .. } = self.lines[place as usize];
        match self.lines.get_mut(newer as usize) {
            Some(line) => line.older = older,
            None => self.newest = older,
        }
        match self.lines.get_mut(older as usize) {
            Some(line) => line.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Makes a line the newest.
    fn link(&mut self, place: u32) {
        let second = std::mem::replace(&mut self.newest, place);
        match self.lines.get_mut(second as usize) {
            Some(line) => line.newer = place,
            None => self.oldest = place,
        }
        let line = &mut self.lines[place as usize];
        (line.newer, line.older) = (NONE, second);
    }
}

/// Spreads the numbers of lines, which come in rows: the table's own hash takes most of the time.
#[derive(Debug, Default)]
struct LineHasher(u64);

impl Hasher for LineHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(l2: &mut L2, lines: std::ops::Range<u64>) {
        lines.for_each(|line| l2.request(Request::new(line, 0xf, false)));
    }

    #[test]
    fn what_fits_is_read_once() {
        let mut l2 = L2::new(8 * LINE);
        for _ in 0..3 {
            reads(&mut l2, 0..8);
        }
        assert_eq!(l2.traffic(), Traffic { read: 8 * LINE, written: 0 });
        // The line that was used longest ago goes: 0, and then, since 1 was used again, 2.
        reads(&mut l2, 8..9);
        reads(&mut l2, 1..2);
        reads(&mut l2, 9..10);
        reads(&mut l2, 1..2);
        assert_eq!(l2.traffic().read, 10 * LINE);
        reads(&mut l2, 2..3);
        assert_eq!(l2.traffic().read, 11 * LINE);
    }

    #[test]
    fn rounds_over_more_than_fits_find_nothing() {
        let mut l2 = L2::new(8 * LINE);
        for _ in 0..3 {
            reads(&mut l2, 0..9);
        }
        assert_eq!(l2.traffic().read, 3 * 9 * LINE);
    }

    #[test]
    fn sectors_come_one_by_one_and_go_together() {
        let mut l2 = L2::new(LINE);
        l2.request(Request::new(0, 0b0001, false));
        l2.request(Request::new(0, 0b0011, false));
        l2.request(Request::new(0, 0b1000, true));
        // What was written is not read, whether it is asked for later or not.
        l2.request(Request::new(0, 0b1000, false));
        assert_eq!(l2.traffic(), Traffic { read: 2 * SECTOR, written: SECTOR });
        reads(&mut l2, 1..2);
        assert_eq!(l2.traffic(), Traffic { read: 2 * SECTOR + LINE, written: SECTOR });
    }
}
