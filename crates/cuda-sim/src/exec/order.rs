//! Orders that a GPU leaves open: a seed picks them, and the same seed picks the same.

/// The orders of a seed; seed 0 takes everything by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order(pub(crate) u64);

impl Order {
    /// The block that runs at a place of the order: all in turn from a random one on, upwards or downwards, so that
    /// neighbours still follow each other and share the host's caches.
    pub(crate) fn block(self, place: usize, blocks: usize) -> usize {
        let random = self.random(blocks as u64);
        let place = (place + (random >> 1) as usize % blocks) % blocks;
        if random & 1 == 0 { place } else { blocks - 1 - place }
    }

    /// Shuffles the warps of a block, differently for each `key`.
    pub(crate) fn warps(self, warps: &mut [usize], key: u64) {
        if self.0 != 0 {
            for end in (1..warps.len()).rev() {
                let other = Order(self.0 ^ key).random(end as u64) % (end as u64 + 1);
                warps.swap(end, other as usize);
            }
        }
    }

    /// Which of `n` copies that are due arrives first; the others follow in turn.
    pub(crate) fn first(self, n: usize, key: u64) -> usize {
        if n == 0 { 0 } else { (self.random(key) >> 1) as usize % n }
    }

    /// SplitMix64; 0 for seed 0.
    fn random(self, key: u64) -> u64 {
        if self.0 == 0 {
            return 0;
        }
        let z = self.0.wrapping_add(key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
