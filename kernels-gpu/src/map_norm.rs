//! Local response normalisation within each map (`rnorm` of the 2012 code), and its gradient.
//!
//! # Algorithm
//! ```text
//! s[p] = k + alpha * sum of x[q]^2 for q in the window around p;  y[p] = x[p] * s[p]^-beta
//! t[q] = dy[q] * x[q] * s[q]^(-beta - 1)
//! dx[p] = dy[p] * s[p]^-beta - 2 * alpha * beta * x[p] * sum of t[q] for q in the window around p
//! ```
//! Windows are squares, clipped at the map's border; sums are in row-major order.
//! The gradient is two kernels: the first writes `t` to scratch memory and `dy * s^-beta` to `dx`, the second subtracts.
//! In one, a thread would need `s` of every pixel of its window, and so windows of windows.
//! # Thread mapping
//! A thread owns one pack (four neighbouring maps with 16-byte accesses, or one) of a pixel. Tower `t` is row `t` of the
//! grid.
//! # Shared memory
//! None: neighbouring windows meet in the first cache.
//! # Cost
//! Forward: `x` read and `y` written once in memory, `size^2` loads from caches a float. Gradient: 4 floats read and 3
//! written a float in memory, `2 * size^2` loads from caches.
//! # Tried
//! Nothing else yet. Sums of rows kept for the next pixel would turn `size^2` loads into `2 * size`.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::kernel::Kind;

/// The shape of one tower.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Rows of a map.
    pub height: u32,
    /// Columns of a map.
    pub width: u32,
    /// Maps.
    pub channels: u32,
    /// Pixels on either side of a window's middle.
    pub half: u32,
    /// Neighbouring maps of a thread: 1 or 4.
    pub pack: u32,
    /// Divides by the packs of a pixel.
    pub by_packs: Divisor,
    /// Divides by the columns.
    pub by_columns: Divisor,
    /// Divides by the rows.
    pub by_rows: Divisor,
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

kernel! {
    /// Normalises `n` elements of each tower. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `input + input_at` and `output + output_at` are device pointers to `n` elements, whole
    ///   images; an output overlaps no other operand.
    /// - The shape's divisors are those of its extents; `half` is below 2^30.
    /// - `shape.pack` is 1; or 4, and pointers and channels are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    FORWARD: fn map_norm_forward<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let (input, output) = (input.add(input_at.of(tower) as usize), output.add(output_at.of(tower) as usize));
        if shape.pack == 4 {
            device::forward::<crate::arch::F32x4, E>(input, output, shape, n);
        } else {
            device::forward::<f32, E>(input, output, shape, n);
        }
    }
}

kernel! {
    /// The first half of the gradient of `n` elements of each tower: `terms[q] = t[q]`, `d_input[p] = dy[p] * s[p]^-beta`.
    /// Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `saved + saved_at`, `d_output + d_output_at` and `d_input + d_input_at` are device
    ///   pointers to `n` elements, whole images, and `terms` to `n` floats for all towers together; `terms` and `d_input`
    ///   overlap no other operand.
    /// - The shape's divisors are those of its extents; `half` is below 2^30.
    /// - `shape.pack` is 1; or 4, and pointers and channels are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    TERMS: fn map_norm_terms<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        terms: *mut f32,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let saved = saved.add(saved_at.of(tower) as usize);
        let (d_output, d_input) =
            (d_output.add(d_output_at.of(tower) as usize), d_input.add(d_input_at.of(tower) as usize));
        let terms = terms.add(tower as usize * n as usize);
        if shape.pack == 4 {
            device::terms::<crate::arch::F32x4, E>(saved, d_output, d_input, terms, shape, n);
        } else {
            device::terms::<f32, E>(saved, d_output, d_input, terms, shape, n);
        }
    }
}

kernel! {
    /// The second half: subtracts from `d_input`. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// As [`TERMS`], which has written `terms` and `d_input`.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    BACKWARD: fn map_norm_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        terms: *const f32,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let (saved, d_input) = (saved.add(saved_at.of(tower) as usize), d_input.add(d_input_at.of(tower) as usize));
        let terms = terms.add(tower as usize * n as usize);
        if shape.pack == 4 {
            device::backward::<crate::arch::F32x4, E>(saved, d_input, terms, shape, n);
        } else {
            device::backward::<f32, E>(saved, d_input, terms, shape, n);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Shape;
    use crate::arch::{fma, rcp_approx};
    use crate::element::{Element, Pack, first_element};
    use crate::math::inverse_power;

    /// Adds up the window around the pack at element `i`.
    ///
    /// # Safety
    /// `values` points to whole images, with `i` among them; the width is `P`'s.
    #[inline(always)]
    unsafe fn window<P: Pack, E: Element>(values: *const E, shape: &Shape, i: u32, add: impl Fn(f32, f32) -> f32) -> P {
        let (pixel, pack) = shape.by_packs.divide(i / P::WIDTH);
        let (row, column) = shape.by_columns.divide(pixel);
        let (image, row) = shape.by_rows.divide(row);
        let end =
            |middle: u32, pixels: u32| if middle + shape.half < pixels { middle + shape.half + 1 } else { pixels };
        let (bottom, right) = (end(row, shape.height), end(column, shape.width));
        let mut sum = P::splat(0.0);
        let mut from_row = row.saturating_sub(shape.half);
        while from_row < bottom {
            let mut from_column = column.saturating_sub(shape.half);
            while from_column < right {
                let pixel = (image * shape.height + from_row) * shape.width + from_column;
                // SAFETY: the pixel is one of the image's.
                let x = unsafe { P::load(values.add((pixel * shape.channels + pack * P::WIDTH) as usize)) };
                sum = sum.zip(x, &add);
                from_column += 1;
            }
            from_row += 1;
        }
        sum
    }

    /// `s` of the pack at element `i`.
    ///
    /// # Safety
    /// As [`window`].
    #[inline(always)]
    unsafe fn bracket<P: Pack, E: Element>(values: *const E, shape: &Shape, i: u32) -> P {
        // SAFETY: the caller's contract.
        let sum: P = unsafe { window(values, shape, i, |sum, x| fma(x, x, sum)) };
        sum.map(|sum| fma(shape.alpha, sum, shape.k))
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn forward<P: Pack, E: Element>(input: *const E, output: *mut E, shape: Shape, n: u32) {
        let i = first_element(P::WIDTH);
        if i < n {
            // SAFETY: `i` and its pack are below `n`, and this thread's own.
            unsafe {
                let s: P = bracket(input, &shape, i);
                let x = P::load(input.add(i as usize));
                x.zip(s, |x, s| x * inverse_power(s, shape.beta)).store(output.add(i as usize));
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn terms<P: Pack, E: Element>(
        saved: *const E,
        d_output: *const E,
        d_input: *mut E,
        terms: *mut f32,
        shape: Shape,
        n: u32,
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            // SAFETY: `i` and its pack are below `n`, and this thread's own.
            unsafe {
                let s: P = bracket(saved, &shape, i);
                let (x, dy) = (P::load(saved.add(i as usize)), P::load(d_output.add(i as usize)));
                let product = dy.zip(s, |dy, s| dy * inverse_power(s, shape.beta));
                product.store(d_input.add(i as usize));
                product.zip3(x, s, |product, x, s| product * x * rcp_approx(s)).store(terms.add(i as usize));
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn backward<P: Pack, E: Element>(
        saved: *const E,
        d_input: *mut E,
        terms: *const f32,
        shape: Shape,
        n: u32,
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            let factor = 2.0 * shape.alpha * shape.beta;
            // SAFETY: `i` and its pack are below `n`, and this thread's own.
            unsafe {
                let sum: P = window(terms, &shape, i, |sum, t| sum + t);
                let x = P::load(saved.add(i as usize));
                let d_input = d_input.add(i as usize);
                P::load(d_input.cast_const()).zip3(x, sum, |d, x, sum| fma(-factor * x, sum, d)).store(d_input);
            }
        }
    }
}
