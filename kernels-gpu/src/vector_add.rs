//! Vector addition: `out[i] = a[i] + b[i]`.
//!
//! # Algorithm
//! ```text
//! first = 4 * (block * THREADS + thread)
//! for i in first .. min(first + 4, n): out[i] = a[i] + b[i]
//! ```
//! # Thread mapping
//! A thread owns four neighbouring elements: two 16-byte loads, one 16-byte store.
//! # Shared memory
//! None.
//! # Cost
//! `n` flop; `2 * n` floats read, `n` written.

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
    /// Adds `n` elements. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `a`, `b`, `out` are device pointers to `n` floats, aligned to 16 bytes.
    /// - `out` is `a`, or `b`, or overlaps neither.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    VECTOR_ADD: fn vector_add(a: *const f32, b: *const f32, out: *mut f32, n: u32) {
        use crate::arch::{F32x4, block_x, thread};

        let first = (block_x() * THREADS + thread()) * PER_THREAD;
        if first < n {
            let (a, b, out) = (a.add(first as usize), b.add(first as usize), out.add(first as usize));
            let left = n - first;
            if left >= PER_THREAD {
                let (x, y) = (F32x4::load(a), F32x4::load(b));
                F32x4::new(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w).store(out);
            } else {
                let mut i = 0;
                while i < left as usize {
                    *out.add(i) = *a.add(i) + *b.add(i);
                    i += 1;
                }
            }
        }
    }
}
