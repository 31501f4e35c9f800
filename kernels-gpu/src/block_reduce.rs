//! Block reduction: `partial[b]` = sum of the `CHUNK` elements of block `b`, in a fixed order.
//!
//! # Algorithm
//! ```text
//! sum = 0; for j in 0 .. PER_THREAD: sum += input[CHUNK * block + THREADS * j + thread]
//! for distance in 16, 8, 4, 2, 1: sum += sum of lane (lane + distance)
//! lane 0 of each warp writes its sum to shared memory; barrier
//! sum = warp sum (lane % 8); for distance in 4, 2, 1: sum += sum of lane (lane + distance)
//! thread 0 writes partial[block]
//! ```
//! The same kernel over the partial sums, until one is left, sums any number of elements.
//! The order depends on `n` alone; [`sum_in_order`] is the same sum on the host.
//! # Thread mapping
//! Loads are coalesced: neighbouring threads read neighbouring elements.
//! Every warp does the last step, so that no shuffle is under a condition; one thread writes.
//! # Shared memory
//! One float per warp, [`SHARED_BYTES`] in all, in the dynamic pool.
//! # Cost
//! `n` flop; `n` floats read, `n / CHUNK` written.

use crate::geometry::ceil_div;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Elements of a thread.
pub const PER_THREAD: u32 = 16;
/// Elements of a block.
pub const CHUNK: u32 = THREADS * PER_THREAD;
/// Dynamic shared memory of a block.
pub const SHARED_BYTES: u32 = N_WARPS * 4;

const N_WARPS: u32 = THREADS / 32;
const _: () = assert!(N_WARPS == 8, "the last step adds eight warps");

/// Partial sums of `n` elements: as many as there are blocks.
pub const fn n_partials(n: u32) -> u32 {
    ceil_div(n, CHUNK)
}

/// The grid for `n` elements.
pub const fn grid(n: u32) -> [u32; 3] {
    [n_partials(n), 1, 1]
}

/// What one block makes of its elements, at most [`CHUNK`] of them: the kernel's sum on the host, in
/// the kernel's order.
///
/// # Panics
/// With more than `CHUNK` elements.
pub fn sum_in_order(chunk: &[f32]) -> f32 {
    assert!(chunk.len() <= CHUNK as usize, "{} elements in a chunk of {CHUNK}", chunk.len());
    let mut sums = [0.0_f32; THREADS as usize];
    for row in chunk.chunks(THREADS as usize) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let mut warps = [0.0_f32; N_WARPS as usize];
    for (warp, lanes) in warps.iter_mut().zip(sums.chunks_exact_mut(32)) {
        *warp = tree(lanes);
    }
    tree(&mut warps)
}

/// Adds the upper half to the lower one until one number is left.
fn tree(values: &mut [f32]) -> f32 {
    let mut distance = values.len() / 2;
    while distance > 0 {
        for lane in 0..distance {
            values[lane] += values[lane + distance];
        }
        distance /= 2;
    }
    values[0]
}

kernel! {
    /// Sums blocks of [`CHUNK`] elements. Grid: [`grid`]; block: [`THREADS`]; dynamic shared memory:
    /// [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `input` is a device pointer to `n` floats, `partial` to [`n_partials`] floats; they do not overlap.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    BLOCK_REDUCE: fn block_reduce(input: *const f32, partial: *mut f32, n: u32) {
        use crate::arch::{barrier, block_x, shared_base, shared_load, shared_store, thread};

        let (block, thread, shared) = (block_x(), thread(), shared_base());
        let (warp, lane) = (thread / 32, thread % 32);

        let sum = device::warp_sum(device::sum_of_thread(input, block * CHUNK + thread, n));
        if lane == 0 {
            shared_store(shared + warp * 4, sum);
        }
        barrier();
        let sum = device::sum_of_warps(shared_load(shared + lane % N_WARPS * 4));
        if thread == 0 {
            *partial.add(block as usize) = sum;
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{PER_THREAD, THREADS};
    use crate::arch::shuffle_down;

    /// # Safety
    /// `input` points to `n` floats.
    #[inline(always)]
    pub(super) unsafe fn sum_of_thread(input: *const f32, first: u32, n: u32) -> f32 {
        let mut sum = 0.0;
        let mut j = 0;
        while j < PER_THREAD {
            let i = first + j * THREADS;
            // SAFETY: `i` is below `n`.
            sum += if i < n { unsafe { *input.add(i as usize) } } else { 0.0 };
            j += 1;
        }
        sum
    }

    /// # Safety
    /// All lanes of the warp call it together.
    #[inline(always)]
    pub(super) unsafe fn warp_sum(mut sum: f32) -> f32 {
        // SAFETY: the caller's contract.
        unsafe {
            sum += shuffle_down(sum, 16);
            sum += shuffle_down(sum, 8);
            sum_of_warps(sum)
        }
    }

    /// # Safety
    /// All lanes of the warp call it together.
    #[inline(always)]
    pub(super) unsafe fn sum_of_warps(mut sum: f32) -> f32 {
        // SAFETY: the caller's contract.
        unsafe {
            sum += shuffle_down(sum, 4);
            sum += shuffle_down(sum, 2);
            sum + shuffle_down(sum, 1)
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_sum_counts_every_element_once() {
        for n in [0, 1, 31, 32, 255, 256, 257, 4095, 4096] {
            let ones = [1.0_f32; CHUNK as usize];
            assert_eq!(sum_in_order(&ones[..n]), n as f32);
            let numbers: Vec<f32> = (0..n).map(|i| (i % 64) as f32).collect();
            assert_eq!(sum_in_order(&numbers), numbers.iter().sum::<f32>());
        }
    }

    #[test]
    fn partial_sums_cover_the_elements() {
        assert_eq!(n_partials(1), 1);
        assert_eq!(n_partials(CHUNK), 1);
        assert_eq!(n_partials(CHUNK + 1), 2);
        assert_eq!(grid(3 * CHUNK), [3, 1, 1]);
    }
}
