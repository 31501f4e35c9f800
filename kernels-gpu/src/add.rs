//! Sums of partial gradients that came from other devices: `target = ((0 + target) + addend 0) + addend 1 + ...`.
//!
//! It begins from zero, as [`crate::sum_parts`] does where one device has all partials: a sum of negative zeros is 0.
//!
//! # Thread mapping
//! A thread owns one pack of one tower: four neighbours with 16-byte accesses, or one element.
//! Tower `t` is row `t` of the grid.
//! # Shared memory
//! None.
//! # Cost
//! 4 bytes read for the target and each addend and 4 written an element.

use crate::element::{Offsets, THREADS};
use crate::product::Places;

kernel! {
    /// Adds `count` addends to `n` elements of each tower. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `target + target_at` and, for each of the addends, `addends + addends_at` are device pointers to `n` elements
    ///   for each tower of the grid. A target overlaps no other operand.
    /// - `count` is at most [`crate::product::MAX_SOURCES`].
    /// - `width` is 1; or 4, and pointers and `n` are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    ADD: fn add<E>(
        target: *mut E,
        target_at: Offsets,
        addends: *const E,
        addends_at: Places,
        count: u32,
        n: u32,
        width: u32,
    ) {
        let tower = crate::arch::block_y();
        let target = target.add(target_at.of(tower) as usize);
        let addend = |index: u32| addends.wrapping_add(addends_at.of(index, tower) as usize);
        if width == 4 {
            device::add::<crate::arch::F32x4, E>(target, addend, count, n);
        } else {
            device::add::<f32, E>(target, addend, count, n);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use crate::element::{Element, Pack, first_element};

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn add<P: Pack, E: Element>(
        target: *mut E,
        addend: impl Fn(u32) -> *const E,
        count: u32,
        n: u32,
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            // SAFETY: `i` and its pack are below `n`.
            unsafe {
                let target = target.add(i as usize);
                let mut sum = P::splat(0.0).zip(P::load(target), |zero, x| zero + x);
                let mut index = 0;
                while index < count {
                    sum = sum.zip(P::load(addend(index).add(i as usize)), |sum, x| sum + x);
                    index += 1;
                }
                sum.store(target);
            }
        }
    }
}
