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
//! Windows of five maps, where packs allow it ([`PACK`]): a thread owns [`PACK`] neighbouring maps of a pixel, and reads
//! what its windows reach on either side from the first cache. Any other window: a thread owns one map. Neighbouring
//! threads own neighbouring maps. A group of joined towers is a row of the grid.
//! # Shared memory
//! None.
//! # Cost
//! Forward: `x` read and `y` written once in memory, twice `x` from the first cache, 5 multiply-adds and two
//! special-function instructions an element (beta 0.75). Gradient: `x` and `dy` read and `dx` written once, twice both
//! from the first cache; `s` and `t` of 12 maps for 8 results.
//! Other windows: `size` loads an element forward, `size^2` for the gradient.
//! # Tried
//! A warp with the maps of a pixel in shared memory, `size + 2` accesses of it an element, was limited by instructions:
//! on an H100, 967 GB/s forward and 884 backward for 48 maps a tower, where two thirds of the lanes had work.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Neighbouring maps of a thread, where maps and places are multiples of it and [`Shape::half`] is [`PACK_HALF`].
pub const PACK: u32 = 8;
/// Maps on either side of the windows that packs are for.
pub const PACK_HALF: u32 = 2;

/// The shape of a group of joined towers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Maps of one tower.
    pub channels: u32,
    /// Towers of a group.
    pub joined: u32,
    /// Maps on either side of a window's middle.
    pub half: u32,
    /// Neighbouring maps of a thread: [`PACK`] or 1.
    pub pack: u32,
    /// Packs of the group's pixels: the threads that have work.
    pub packs: u32,
    /// Divides by the packs of a pixel.
    pub by_packs: Divisor,
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

/// The grid for `packs` threads and this many groups of joined towers.
pub const fn grid(packs: u32, groups: u32) -> [u32; 3] {
    [ceil_div(packs, THREADS), groups, 1]
}

kernel! {
    /// Normalises. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of each group `input + input_at` and `output + output_at` are device pointers to
    ///   `channels` elements for each pixel; an output overlaps no other operand.
    /// - `shape.pack` is 1; or [`PACK`], and `half` is [`PACK_HALF`], and pointers and channels are multiples of it.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    FORWARD: fn lrn_forward<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
    ) {
        if shape.pack == PACK {
            device::forward_pack::<E>(input, input_at, output, output_at, shape);
        } else {
            device::forward_each::<E>(input, input_at, output, output_at, shape);
        }
    }
}

kernel! {
    /// Gradient. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of each group `saved + saved_at`, `d_output + d_output_at` and `d_input + d_input_at` are device
    ///   pointers to `channels` elements for each pixel; a `d_input` overlaps no other operand.
    /// - `shape.pack` is 1; or [`PACK`], and `half` is [`PACK_HALF`], and pointers and channels are multiples of it.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    BACKWARD: fn lrn_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
    ) {
        if shape.pack == PACK {
            device::backward_pack::<E>(saved, saved_at, d_output, d_output_at, d_input, d_input_at, shape);
        } else {
            device::backward_each::<E>(saved, saved_at, d_output, d_output_at, d_input, d_input_at, shape);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{PACK, PACK_HALF, Shape};
    use crate::arch::{F32x4, block_x, block_y, fma, rcp_approx, thread};
    use crate::element::{Element, Offsets, THREADS};
    use crate::math::inverse_power;

    /// A pixel of a group.
    #[derive(Clone, Copy)]
    struct Pixel<'a> {
        shape: &'a Shape,
        /// The group's first tower.
        tower: u32,
        pixel: u32,
    }

    impl Pixel<'_> {
        /// The pixel of this thread, and the first of its maps; none where there is no work left.
        #[inline(always)]
        fn of_thread(shape: &Shape) -> Option<(Pixel<'_>, u32)> {
            let i = block_x() * THREADS + thread();
            let (pixel, pack) = shape.by_packs.divide(i);
            let tower = block_y() * shape.joined;
            if i < shape.packs { Some((Pixel { shape, tower, pixel }, pack * shape.pack)) } else { None }
        }

        /// Whether there is a map; before the first one its number wraps around.
        #[inline(always)]
        fn holds(&self, map: u32) -> bool {
            map < self.shape.channels * self.shape.joined
        }

        /// The element of a map.
        #[inline(always)]
        fn element(&self, at: Offsets, map: u32) -> usize {
            let channels = self.shape.channels;
            let tower = u32::from(map >= channels) + u32::from(map >= 2 * channels) + u32::from(map >= 3 * channels);
            let place = self.pixel * channels + map - tower * channels;
            at.of(self.tower + tower) as usize + place as usize
        }

        /// Reads a map, or 0 where there is none.
        ///
        /// # Safety
        /// `from` and `at` are an operand of the kernel.
        #[inline(always)]
        unsafe fn load<E: Element>(&self, from: *const E, at: Offsets, map: u32) -> f32 {
            // SAFETY: the map is one of the pixel's.
            if self.holds(map) { unsafe { E::load(from.add(self.element(at, map))) } } else { 0.0 }
        }

        /// Reads a pack, and four maps on either side: zeros where there are none.
        ///
        /// # Safety
        /// As [`Pixel::load`]; `map` is the first of a pack.
        #[inline(always)]
        unsafe fn load_around<E: Element>(&self, from: *const E, at: Offsets, map: u32) -> [f32; 16] {
            let four = |map: u32| {
                // SAFETY: four maps of one tower, aligned to the four.
                if self.holds(map) { unsafe { E::load4(from.add(self.element(at, map))) } } else { F32x4::splat(0.0) }
            };
            // SAFETY: the pack is inside.
            let [low, high] = unsafe { E::load8(from.add(self.element(at, map))) };
            let (before, after) = (four(map.wrapping_sub(4)), four(map + PACK));
            [
                before.x, before.y, before.z, before.w, low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w,
                after.x, after.y, after.z, after.w,
            ]
        }

        /// `s` of a map.
        ///
        /// # Safety
        /// As [`Pixel::load`].
        #[inline(always)]
        unsafe fn bracket<E: Element>(&self, from: *const E, at: Offsets, map: u32) -> f32 {
            let Shape { half, alpha, k, .. } = *self.shape;
            let mut sum = 0.0;
            let mut i = 0;
            while i <= 2 * half {
                // SAFETY: the caller's contract.
                let x = unsafe { self.load(from, at, (map + i).wrapping_sub(half)) };
                sum = fma(x, x, sum);
                i += 1;
            }
            fma(alpha, sum, k)
        }
    }

    /// The sum of the five around place `i` of a pack with its neighbours.
    macro_rules! window {
        ($add:expr, $values:ident, $i:expr) => {{
            const FIRST: usize = $i - PACK_HALF as usize;
            let add = $add;
            add(
                add(add(add(add(0.0, $values[FIRST]), $values[FIRST + 1]), $values[FIRST + 2]), $values[FIRST + 3]),
                $values[FIRST + 4],
            )
        }};
    }

    /// # Safety
    /// The kernel's contract, for packs.
    #[inline(always)]
    pub(super) unsafe fn forward_pack<E: Element>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
    ) {
        if let Some((pixel, map)) = Pixel::of_thread(&shape) {
            // SAFETY: elements are those of the pixel's maps; those that are written are this thread's.
            unsafe {
                let x = pixel.load_around(input, input_at, map);
                let mut y = [0.0; PACK as usize];
                unroll!(I in 8 {
                    let s = fma(shape.alpha, window!(|sum: f32, x: f32| fma(x, x, sum), x, I + 4), shape.k);
                    y[I] = x[I + 4] * inverse_power(s, shape.beta);
                });
                E::store8(output.add(pixel.element(output_at, map)), y);
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for single maps.
    #[inline(always)]
    pub(super) unsafe fn forward_each<E: Element>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
    ) {
        if let Some((pixel, map)) = Pixel::of_thread(&shape) {
            // SAFETY: as in `forward_pack`.
            unsafe {
                let s = pixel.bracket(input, input_at, map);
                let y = pixel.load(input, input_at, map) * inverse_power(s, shape.beta);
                E::store(output.add(pixel.element(output_at, map)), y);
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for packs.
    #[inline(always)]
    pub(super) unsafe fn backward_pack<E: Element>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
    ) {
        if let Some((pixel, map)) = Pixel::of_thread(&shape) {
            let factor = 2.0 * shape.alpha * shape.beta;
            // SAFETY: elements are those of the pixel's maps; those that are written are this thread's.
            unsafe {
                let x = pixel.load_around(saved, saved_at, map);
                let dy = pixel.load_around(d_output, d_output_at, map);
                // Of the pack and two maps on either side, from place 2 on.
                let (mut t, mut product) = ([0.0; 16], [0.0; 16]);
                macro_rules! term {
                    ($($i:literal)*) => {$({
                        let s = fma(shape.alpha, window!(|sum: f32, x: f32| fma(x, x, sum), x, $i), shape.k);
                        product[$i] = dy[$i] * inverse_power(s, shape.beta);
                        t[$i] = product[$i] * x[$i] * rcp_approx(s);
                    })*};
                }
                term!(4 5 6 7 8 9 10 11);
                // Beyond the maps `dy` counts as 0, and so does `t`, even where `s` is 0.
                if pixel.holds(map.wrapping_sub(1)) {
                    term!(2 3);
                }
                if pixel.holds(map + PACK) {
                    term!(12 13);
                }
                let mut dx = [0.0; PACK as usize];
                unroll!(I in 8 {
                    let sum = window!(|sum: f32, t: f32| sum + t, t, I + 4);
                    dx[I] = fma(-factor * x[I + 4], sum, product[I + 4]);
                });
                E::store8(d_input.add(pixel.element(d_input_at, map)), dx);
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for single maps.
    #[inline(always)]
    pub(super) unsafe fn backward_each<E: Element>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
    ) {
        if let Some((pixel, map)) = Pixel::of_thread(&shape) {
            let factor = 2.0 * shape.alpha * shape.beta;
            let (mut sum, mut own) = (0.0, 0.0);
            let mut i = 0;
            // SAFETY: as in `backward_pack`.
            unsafe {
                while i <= 2 * shape.half {
                    let j = (map + i).wrapping_sub(shape.half);
                    if pixel.holds(j) {
                        let s = pixel.bracket(saved, saved_at, j);
                        let product = pixel.load(d_output, d_output_at, j) * inverse_power(s, shape.beta);
                        sum += product * pixel.load(saved, saved_at, j) * rcp_approx(s);
                        if i == shape.half {
                            own = product;
                        }
                    }
                    i += 1;
                }
                let dx = fma(-factor * pixel.load(saved, saved_at, map), sum, own);
                E::store(d_input.add(pixel.element(d_input_at, map)), dx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_the_packs() {
        assert_eq!(grid(257, 2), [2, 2, 1]);
    }
}
