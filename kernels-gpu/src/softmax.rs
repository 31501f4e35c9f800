//! Softmax with cross-entropy: `p[c] = exp(z[c]) / sum of exp(z)`, `loss = -ln p[label]`; its gradient; and the rank of
//! the label.
//!
//! # Algorithm
//! ```text
//! max = max of z;  rank = number of c with z[c] > z[label], or z[c] == z[label] and c < label
//! sum = sum of exp(z[c] - max);  p[c] = exp(z[c] - max) / sum;  loss = ln sum - (z[label] - max)
//! gradient: d_logits[c] = (p[c] - [c == label]) / images
//! ```
//! Subtracting the maximum keeps the exponentials from overflowing. A NaN makes the rank `classes`, and the
//! probabilities and the loss NaN.
//! # Thread mapping
//! A block owns an image; thread `t` the classes `t`, `t + THREADS`, ... The order of the sum depends on the number of
//! classes alone: a thread's classes in order, then the lanes of a warp in pairs, then the warps in pairs.
//! # Shared memory
//! One float per warp for each of three reductions, so that no barrier is needed between them.
//! # Cost
//! Logits read once from memory and twice from the first cache, probabilities written once; two exponentials a class,
//! which is cheaper than keeping them. For 128 images of 1000 classes it is 1 MB, and launching costs more.

use crate::step::StepInfo;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Dynamic shared memory of a block of the forward pass.
pub const SHARED_BYTES: u32 = 3 * N_WARPS * 4;

const N_WARPS: u32 = THREADS / 32;
const _: () = assert!(N_WARPS == 8, "the last step of a reduction is over eight warps");

/// The grid for `images` images.
pub const fn grid(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

kernel! {
    /// Probabilities, losses and ranks. Grid: [`grid`]; block: [`THREADS`]; dynamic shared memory: [`SHARED_BYTES`].
    ///
    /// # Safety
    /// - `logits` and `probabilities` are device pointers to `classes` elements and floats for each image of the grid,
    ///   `losses` and `ranks` to one float; what is written overlaps nothing else.
    /// - `labels` is a device pointer to a class for each image, below `classes`.
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = SHARED_BYTES]
    FORWARD: fn softmax_forward<E>(
        logits: *const E,
        probabilities: *mut f32,
        losses: *mut f32,
        ranks: *mut f32,
        labels: *const u32,
        classes: u32,
    ) {
        device::forward::<E>(logits, probabilities, losses, ranks, labels, classes);
    }
}

kernel! {
    /// Gradient of the mean loss. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `probabilities` and `d_logits` are device pointers to `classes` floats and elements for each image of the grid;
    ///   they do not overlap.
    /// - `labels` is a device pointer to a class for each image, `step` to the step.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    BACKWARD: fn softmax_backward<E>(
        probabilities: *const f32,
        d_logits: *mut E,
        labels: *const u32,
        step: *const StepInfo,
        classes: u32,
    ) {
        device::backward::<E>(probabilities, d_logits, labels, step, classes);
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{N_WARPS, THREADS};
    use crate::arch::{barrier, block_x, rcp_approx, shared_base, shared_load, shared_store, shuffle_xor, thread};
    use crate::element::Element;
    use crate::math::{exp_of_negative, ln};
    use crate::step::StepInfo;

    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn forward<E: Element>(
        logits: *const E,
        probabilities: *mut f32,
        losses: *mut f32,
        ranks: *mut f32,
        labels: *const u32,
        classes: u32,
    ) {
        // SAFETY: the image is one of the grid's, classes are below `classes`, and no reduction is under a condition.
        unsafe {
            let (image, thread, shared) = (block_x() as usize, thread(), shared_base());
            let first = image * classes as usize;
            let (logits, probabilities) = (logits.add(first), probabilities.add(first));
            let label = *labels.add(image);
            let score = E::load(logits.add(label as usize));

            let (mut max, mut rank) = (f32::NEG_INFINITY, 0.0);
            let mut class = thread;
            while class < classes {
                let z = E::load(logits.add(class as usize));
                max = larger(max, z);
                if z.is_nan() {
                    rank += classes as f32;
                } else if z > score || (z == score && class < label) {
                    rank += 1.0;
                }
                class += THREADS;
            }
            let max = over_block(max, shared, larger);
            // Counts are exact in f32 up to 2^24.
            let rank = over_block(rank, shared + N_WARPS * 4, |a, b| a + b);

            let mut sum = 0.0;
            let mut class = thread;
            while class < classes {
                sum += exp_of_negative(E::load(logits.add(class as usize)) - max);
                class += THREADS;
            }
            let sum = over_block(sum, shared + N_WARPS * 8, |a, b| a + b);

            let factor = rcp_approx(sum);
            let mut class = thread;
            while class < classes {
                let exponential = exp_of_negative(E::load(logits.add(class as usize)) - max);
                *probabilities.add(class as usize) = exponential * factor;
                class += THREADS;
            }
            if thread == 0 {
                *losses.add(image) = ln(sum) - (score - max);
                *ranks.add(image) = rank.min(classes as f32);
            }
        }
    }

    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn backward<E: Element>(
        probabilities: *const f32,
        d_logits: *mut E,
        labels: *const u32,
        step: *const StepInfo,
        classes: u32,
    ) {
        // SAFETY: the image is one of the grid's, and classes are below `classes`.
        unsafe {
            let image = block_x() as usize;
            let first = image * classes as usize;
            let (probabilities, d_logits) = (probabilities.add(first), d_logits.add(first));
            let (label, images) = (*labels.add(image), (*step).images as f32);
            let mut class = thread();
            while class < classes {
                let p = *probabilities.add(class as usize);
                let difference = if class == label { p - 1.0 } else { p };
                E::store(d_logits.add(class as usize), difference / images);
                class += THREADS;
            }
        }
    }

    #[inline(always)]
    fn larger(a: f32, b: f32) -> f32 {
        if b > a { b } else { a }
    }

    /// Combines the values of all threads, the same for each of them. `combine` does not depend on the order of two.
    ///
    /// # Safety
    /// All threads of the block call it together; `shared` is the address of [`N_WARPS`] floats that nothing else uses.
    #[inline(always)]
    unsafe fn over_block(value: f32, shared: u32, combine: impl Fn(f32, f32) -> f32) -> f32 {
        // SAFETY: the caller's contract; a warp writes its float before the barrier.
        unsafe {
            let mut value = value;
            for distance in [16, 8, 4, 2, 1] {
                value = combine(value, shuffle_xor(value, distance));
            }
            if thread() % 32 == 0 {
                shared_store(shared + thread() / 32 * 4, value);
            }
            barrier();
            let mut value = shared_load(shared + thread() % N_WARPS * 4);
            for distance in [4, 2, 1] {
                value = combine(value, shuffle_xor(value, distance));
            }
            value
        }
    }
}
