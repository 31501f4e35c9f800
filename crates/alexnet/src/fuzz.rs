//! Damaging files on purpose: what is read from others must end with a value or an error, never with a panic.

use std::time::Instant;

/// A generator that is the same everywhere (Steele, Lea, Flood: SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Calls `attempt` at least `least` times, and for `ALEXNET_FUZZ_SECONDS` where that is set; says how often.
pub(crate) fn repeat(what: &str, least: u64, mut attempt: impl FnMut(&mut Random)) {
    let seconds = std::env::var("ALEXNET_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let (start, mut random, mut count) = (Instant::now(), Random(1), 0);
    while start.elapsed().as_secs_f64() < seconds || count < least {
        attempt(&mut random);
        count += 1;
    }
    println!("{count} damaged {what}");
}

/// One to four changes of single bytes: cut off, put in, a bit, a value.
pub(crate) fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let (place, value) = (random.below(bytes.len()), random.next());
        match random.below(4) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, value as u8),
            2 => bytes[place] ^= 1 << (value % 8),
            _ => bytes[place] = value as u8,
        }
    }
}

/// What stands in text for numbers and words that nobody expects.
const ODD: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "65536",
    "65537",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "1e-320",
    "nan",
    "true",
    "\"\"",
    "[]",
];

/// Replaces a number, drops, doubles or swaps lines, or changes bytes, as a person with an editor might.
pub(crate) fn damage_text(text: &mut String, random: &mut Random) {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    for _ in 0..=random.below(3) {
        if lines.is_empty() {
            break;
        }
        let (place, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(6) {
            0 => drop(lines.remove(place)),
            1 => lines.insert(place, lines[other].clone()),
            2 => lines.swap(place, other),
            3 => {
                let mut bytes = std::mem::take(&mut lines[place]).into_bytes();
                damage(&mut bytes, random);
                lines[place] = String::from_utf8_lossy(&bytes).into_owned();
            }
            _ => replace_odd(&mut lines[place], random),
        }
    }
    *text = lines.join("\n");
}

/// Replaces one of the numbers in a text, if there is one, by something odd.
pub(crate) fn replace_odd(text: &mut String, random: &mut Random) {
    let is_number = |c: char| c.is_ascii_digit() || ".-".contains(c);
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|&(at, c)| c.is_ascii_digit() && !text[..at].ends_with(is_number))
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[random.below(starts.len())];
    let end = text[start..].find(|c| !is_number(c)).map_or(text.len(), |length| start + length);
    text.replace_range(start..end, ODD[random.below(ODD.len())]);
}
