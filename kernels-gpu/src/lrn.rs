//! Local response normalisation across maps (paper, section 3.3), and its gradient.
//!
//! # Algorithm
//! ```text
//! s[i] = k + alpha * sum of x[j]^2 for |j - i| <= half;  y[i] = x[i] * s[i]^-beta
//! t[j] = dy[j] * x[j] * s[j]^(-beta - 1)
//! dx[i] = dy[i] * s[i]^-beta - 2 * alpha * beta * x[i] * sum of t[j] for |j - i| <= half
//! ```
//! over the maps of one pixel, those of joined towers side by side. Sums are in ascending order of maps. The gradient
//! computes `s` again: reading it would cost as much memory traffic as reading `x`.
//! # Thread mapping
//! A warp owns [`chunk`] maps of one pixel, usually all of them; lane `l` the maps `l`, `l + 32`, ..., so that loads and
//! stores are coalesced. Warps share nothing, so a warp waits for nobody but itself: phases are separated by
//! `bar.warp.sync`, which warps without work reach as well. A group of joined towers is a row of the grid.
//! # Shared memory
//! Per warp a row of [`ROW`] floats: the chunk's `x` and what windows reach on either side, zeros beyond the maps. The
//! gradient has three: `x` with two halves of a window on either side, `t` with one, and `dy[i] * s[i]^-beta`.
//! # Cost
//! Forward: `x` read once, `y` written once, and `size + 2` accesses of shared memory a float. Gradient: `x` and `dy` read
//! once, `dx` written once, `2 * size + 6` accesses of shared memory. Halos are read again only where a pixel's maps
//! need several chunks. With beta 0.75 two special-function instructions a float, otherwise too.
//! # Tried
//! Nothing else yet. Running sums along the maps would save additions, but lose digits.

use crate::Argument;
use crate::element::{Divisor, Offsets};
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Floats of a row of shared memory.
pub const ROW: u32 = 320;
/// Dynamic shared memory of a block of the forward pass.
pub const FORWARD_BYTES: u32 = N_WARPS * ROW * 4;
/// Dynamic shared memory of a block of the gradient.
pub const BACKWARD_BYTES: u32 = 3 * FORWARD_BYTES;
/// The largest half of a window.
pub const MAX_HALF: u32 = (ROW - 32) / 4;

const N_WARPS: u32 = THREADS / 32;

/// The shape of a group of joined towers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Maps of one tower.
    pub channels: u32,
    /// Towers of a group.
    pub joined: u32,
    /// Maps on either side of a window's middle, at most [`MAX_HALF`].
    pub half: u32,
    /// Maps of a warp: [`chunk`] of the group's maps.
    pub chunk: u32,
    /// Pixels times chunks: the warps that have work.
    pub items: u32,
    /// Divides by the chunks of a pixel.
    pub by_chunks: Divisor,
    /// Added to the sum.
    pub k: f32,
    /// Factor of the sum.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

/// How many of a pixel's maps a warp takes: as many as fit into a row of shared memory with what the gradient's windows
/// reach, in equal parts.
pub const fn chunk(maps: u32, half: u32) -> u32 {
    ceil_div(maps, ceil_div(maps, ROW - 4 * half))
}

/// The grid for `items` warps and this many groups of joined towers.
pub const fn grid(items: u32, groups: u32) -> [u32; 3] {
    [ceil_div(items, N_WARPS), groups, 1]
}

kernel! {
    /// Normalises. Grid: [`grid`]; block: [`THREADS`]; dynamic shared memory: [`FORWARD_BYTES`].
    ///
    /// # Safety
    /// - For each tower of each group `input + input_at` and `output + output_at` are device pointers to
    ///   `channels` elements for each pixel; an output overlaps no other operand.
    /// - `shape.chunk` and `shape.items` are as [`chunk`] says, `shape.half` is at most [`MAX_HALF`].
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = FORWARD_BYTES]
    FORWARD: fn lrn_forward<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
    ) {
        device::forward::<E>(input, input_at, output, output_at, shape);
    }
}

kernel! {
    /// Gradient. Grid: [`grid`]; block: [`THREADS`]; dynamic shared memory: [`BACKWARD_BYTES`].
    ///
    /// # Safety
    /// - For each tower of each group `saved + saved_at`, `d_output + d_output_at` and `d_input + d_input_at` are device
    ///   pointers to `channels` elements for each pixel; a `d_input` overlaps no other operand.
    /// - `shape.chunk` and `shape.items` are as [`chunk`] says, `shape.half` is at most [`MAX_HALF`].
    /// - Launched with exactly this grid, block and shared memory.
    [threads = THREADS, min_blocks = 1, shared_bytes = BACKWARD_BYTES]
    BACKWARD: fn lrn_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
    ) {
        device::backward::<E>(saved, saved_at, d_output, d_output_at, d_input, d_input_at, shape);
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{N_WARPS, ROW, Shape};
    use crate::arch::{block_x, block_y, converge, fma, rcp_approx, shared_base, shared_load, shared_store, thread};
    use crate::element::{Element, Offsets};
    use crate::math::inverse_power;

    /// What a warp works on.
    #[derive(Clone, Copy)]
    struct Item {
        shape: Shape,
        /// The group's first tower.
        tower: u32,
        pixel: u32,
        /// The first of its maps.
        first: u32,
        /// Its maps; none where there is no work left.
        len: u32,
        lane: u32,
        /// The address of its shared memory.
        shared: u32,
    }

    impl Item {
        #[inline(always)]
        fn of_warp(shape: Shape, rows: u32) -> Item {
            let (warp, lane) = (thread() / 32, thread() % 32);
            let item = block_x() * N_WARPS + warp;
            let (pixel, chunk) = shape.by_chunks.divide(item);
            let first = chunk * shape.chunk;
            let left = shape.channels * shape.joined - first;
            let len = if left < shape.chunk { left } else { shape.chunk };
            Item {
                shape,
                tower: block_y() * shape.joined,
                pixel,
                first,
                len: if item < shape.items { len } else { 0 },
                lane,
                shared: shared_base() + warp * rows * ROW * 4,
            }
        }

        /// Calls `f` for this lane's share of `0..len`, with `reach` more at either end; 0 is the first of those.
        #[inline(always)]
        fn each(&self, reach: u32, mut f: impl FnMut(u32)) {
            let len = if self.len > 0 { self.len + 2 * reach } else { 0 };
            let mut j = self.lane;
            while j < len {
                f(j);
                j += 32;
            }
        }

        /// Whether there is a map `j - reach` of the chunk. Before the first one it wraps around, and is beyond the last.
        #[inline(always)]
        fn holds(&self, j: u32, reach: u32) -> bool {
            (self.first + j).wrapping_sub(reach) < self.shape.channels * self.shape.joined
        }

        /// The element of map `j - reach` of the chunk, where it [`holds`](Item::holds) one.
        #[inline(always)]
        fn element(&self, at: Offsets, j: u32, reach: u32) -> usize {
            let (map, channels) = (self.first + j - reach, self.shape.channels);
            let tower = u32::from(map >= channels) + u32::from(map >= 2 * channels) + u32::from(map >= 3 * channels);
            let place = self.pixel * channels + map - tower * channels;
            at.of(self.tower + tower) as usize + place as usize
        }

        /// Reads map `j - reach` of the chunk, or 0 where it holds none.
        ///
        /// # Safety
        /// `from` and `at` are an operand of the kernel.
        #[inline(always)]
        unsafe fn load<E: Element>(&self, from: *const E, at: Offsets, j: u32, reach: u32) -> f32 {
            // SAFETY: the map is one of the pixel's.
            if self.holds(j, reach) { unsafe { E::load(from.add(self.element(at, j, reach))) } } else { 0.0 }
        }

        /// `s` of the map whose window begins at `address`.
        ///
        /// # Safety
        /// The window's floats are written.
        #[inline(always)]
        unsafe fn bracket(&self, address: u32) -> f32 {
            // SAFETY: the caller's contract.
            let sum = unsafe { self.window(address, |sum, x| fma(x, x, sum)) };
            fma(self.shape.alpha, sum, self.shape.k)
        }

        /// Adds up a window's floats.
        ///
        /// # Safety
        /// The window's floats are written.
        #[inline(always)]
        unsafe fn window(&self, address: u32, add: impl Fn(f32, f32) -> f32) -> f32 {
            let mut sum = 0.0;
            let mut i = 0;
            while i <= 2 * self.shape.half {
                // SAFETY: the caller's contract.
                sum = add(sum, unsafe { shared_load(address + i * 4) });
                i += 1;
            }
            sum
        }
    }

    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn forward<E: Element>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
    ) {
        let item = Item::of_warp(shape, 1);
        let (half, xs) = (shape.half, item.shared);
        // SAFETY: elements are those of the pixel's maps; a row holds the chunk with two halves, each lane writes floats of
        // its own, and what it reads of others was written before `converge`, which all lanes reach.
        unsafe {
            item.each(half, |j| shared_store(xs + j * 4, item.load(input, input_at, j, half)));
            converge();
            item.each(0, |j| {
                let y = shared_load(xs + (j + half) * 4) * inverse_power(item.bracket(xs + j * 4), shape.beta);
                E::store(output.add(item.element(output_at, j, 0)), y);
            });
        }
    }

    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn backward<E: Element>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
    ) {
        let item = Item::of_warp(shape, 3);
        let half = shape.half;
        let (xs, ts, ds) = (item.shared, item.shared + ROW * 4, item.shared + 2 * ROW * 4);
        let factor = 2.0 * shape.alpha * shape.beta;
        // SAFETY: as in `forward`; the row of `x` holds the chunk with four halves, that of `t` with two.
        unsafe {
            item.each(2 * half, |j| shared_store(xs + j * 4, item.load(saved, saved_at, j, 2 * half)));
            converge();
            item.each(half, |j| {
                // Beyond the maps `dy` counts as 0, and so does `t`, even where `s` is 0.
                let mut t = 0.0;
                if item.holds(j, half) {
                    let s = item.bracket(xs + j * 4);
                    let product = item.load(d_output, d_output_at, j, half) * inverse_power(s, shape.beta);
                    t = product * shared_load(xs + (j + half) * 4) * rcp_approx(s);
                    let own = j.wrapping_sub(half);
                    if own < item.len {
                        shared_store(ds + own * 4, product);
                    }
                }
                shared_store(ts + j * 4, t);
            });
            converge();
            item.each(0, |j| {
                let sum = item.window(ts + j * 4, |sum, t| sum + t);
                let x = shared_load(xs + (j + 2 * half) * 4);
                let dx = fma(-factor * x, sum, shared_load(ds + j * 4));
                E::store(d_input.add(item.element(d_input_at, j, 0)), dx);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_maps_and_fit_into_a_row() {
        for maps in 1..2000 {
            for half in [0, 1, 2, 7, MAX_HALF] {
                let chunk = chunk(maps, half);
                let chunks = ceil_div(maps, chunk);
                assert!(chunk >= 1 && chunk + 4 * half <= ROW, "{maps} maps, {half}");
                assert!(chunks * chunk >= maps && (chunks - 1) * chunk < maps, "{maps} maps, {half}");
            }
        }
        assert_eq!(chunk(256, 2), 256);
    }
}
