//! The order in which a split is read: a shuffle that a seed and an epoch determine.

/// The indexes `0..n` in the order of epoch `epoch` of a run with seed `seed`.
///
/// A Fisher-Yates shuffle from the last position to the first. Its random numbers are SplitMix64
/// (Steele, Lea and Flood, 2014), whose state starts at `mix(seed) + epoch`, mixed once more; position
/// `i` takes the high half of `number * (i + 1)` as its partner, which favours no partner by more than
/// `n / 2^64`. The same arguments give the same order on every machine and in every later version.
///
/// # Panics
/// If `n` is over 2^32.
pub fn permutation(seed: u64, epoch: u32, n: usize) -> Vec<u32> {
    let n = u64::try_from(n).expect("usize fits 64 bits");
    assert!(n <= 1 << 32, "a split of {n} images; at most 2^32 can be indexed");
    let mut order: Vec<u32> = (0..n).map(|i| i as u32).collect();
    let mut state = mix(mix(seed).wrapping_add(u64::from(epoch)));
    for i in (1..order.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let partner = (u128::from(mix(state)) * (i as u128 + 1)) >> 64;
        order.swap(i, partner as usize);
    }
    order
}

/// SplitMix64's finisher: a bijection whose every output bit depends on every input bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_index_occurs_once(seed: u64, epoch: u32, n in 0_usize..500) {
            let mut order = permutation(seed, epoch, n);
            order.sort_unstable();
            prop_assert_eq!(order, (0..n as u32).collect::<Vec<_>>());
        }

        #[test]
        fn seed_and_epoch_change_the_order(seed: u64, epoch in 0..u32::MAX) {
            let order = permutation(seed, epoch, 100);
            prop_assert_eq!(&order, &permutation(seed, epoch, 100));
            prop_assert_ne!(&order, &permutation(seed, epoch + 1, 100));
            prop_assert_ne!(&order, &permutation(seed.wrapping_add(1), epoch, 100));
        }
    }

    #[test]
    fn epochs_of_one_seed_are_not_those_of_the_next() {
        // A sum of seed and epoch would make these equal.
        assert_ne!(permutation(7, 1, 100), permutation(8, 0, 100));
        assert_ne!(permutation(0, 0, 100), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn every_position_is_as_likely() {
        // 20,000 shuffles of five: each image is at each place 4,000 times, give or take 5 sigma.
        let mut counts = [[0_u32; 5]; 5];
        for epoch in 0..20_000 {
            for (place, &image) in permutation(3, epoch, 5).iter().enumerate() {
                counts[place][image as usize] += 1;
            }
        }
        for count in counts.as_flattened() {
            assert!(count.abs_diff(4_000) < 283, "{counts:?}");
        }
    }
}
