//! Fill: `out[i] = value`.
//!
//! # Algorithm
//! ```text
//! first = 4 * (block * THREADS + thread)
//! out[first .. min(first + 4, n)] = value
//! ```
//! # Thread mapping
//! A thread owns four neighbouring elements and writes them with one 16-byte store.
//! # Shared memory
//! None.
//! # Cost
//! `n` floats written.

use crate::geometry::ceil_div;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Elements of a thread.
pub const PER_THREAD: u32 = 4;

/// The grid for `n` elements.
pub const fn grid(n: u32) -> [u32; 3] {
    [ceil_div(n, THREADS * PER_THREAD), 1, 1]
}

kernel! {
    /// Sets `n` elements. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `out` is a device pointer to `n` floats, aligned to 16 bytes.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    FILL: fn fill(out: *mut f32, value: f32, n: u32) {
        use crate::arch::{F32x4, block_x, thread};

        let first = (block_x() * THREADS + thread()) * PER_THREAD;
        if first < n {
            let out = out.add(first as usize);
            let left = n - first;
            if left >= PER_THREAD {
                F32x4::splat(value).store(out);
            } else {
                let mut i = 0;
                while i < left {
                    *out.add(i as usize) = value;
                    i += 1;
                }
            }
        }
    }
}
