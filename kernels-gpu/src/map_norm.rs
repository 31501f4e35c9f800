//! Local response normalisation within each map (`rnorm` of the 2012 code), and its gradient.
//!
//! # Algorithm
//! ```text
//! s[p] = k + alpha * sum of x[q]^2 for q in the window around p;  y[p] = x[p] * s[p]^-beta
//! t[q] = dy[q] * x[q] * s[q]^(-beta - 1)
//! dx[p] = dy[p] * s[p]^-beta - 2 * alpha * beta * x[p] * sum of t[q] for q in the window around p
//! ```
//! Windows are squares, clipped at the map's border; sums are in row-major order, or in strips of columns, then of these.
//! The gradient is two kernels: the first writes `t` to scratch memory and `dy * s^-beta` to `dx`, the second subtracts.
//! In one, a thread would need `s` of every pixel of its window, and so windows of windows.
//! # Thread mapping
//! A thread owns one pack (four neighbouring maps with 16-byte accesses, or one) of a pixel, or with windows of five
//! pixels ([`STRIP_HALF`]) of a row of pixels: it goes along the row and keeps the sums of the last five columns. Tower
//! `t` is row `t` of the grid.
//! # Shared memory
//! None: neighbouring windows meet in the first cache.
//! # Cost
//! Forward: `x` read and `y` written once in memory. Gradient: 5 elements read and 3 written in memory. From caches
//! `size^2` elements for each sum, in strips `size + 1`.
//! # Tried
//! On an H100 the sums of all 25 pixels for each result gave 709 GB/s forward and 534 backward in bf16, limited by
//! instructions.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::kernel::Kind;

/// Pixels on either side of a window's middle, in windows that are summed along strips.
pub const STRIP_HALF: u32 = 2;

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

impl Shape {
    /// Whether threads own strips.
    #[inline(always)]
    pub const fn strips(&self) -> bool {
        self.half == STRIP_HALF
    }

    /// The grid for `n` elements of each tower.
    pub const fn grid(&self, n: u32, towers: u32) -> [u32; 3] {
        crate::element::grid(if self.strips() { n / self.width } else { n }, self.pack, towers)
    }
}

kernel! {
    /// Normalises `n` elements of each tower. Grid: [`Shape::grid`]; block: [`THREADS`].
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
    /// Grid: [`Shape::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `saved + saved_at`, `d_output + d_output_at` and `d_input + d_input_at` are device
    ///   pointers to `n` elements, whole images, and `terms` to `n` elements for all towers together; `terms` and `d_input`
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
        terms: *mut E,
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
    /// The second half: subtracts from `d_input`. Grid: [`Shape::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// As [`TERMS`], which has written `terms` and `d_input`.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    BACKWARD: fn map_norm_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        terms: *const E,
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

    /// Gives each of this thread's packs, of `n` elements, with the sum of the window around it: the place of its first
    /// element, and the sum.
    ///
    /// # Safety
    /// `values` points to whole images of `n` elements; the width is `P`'s.
    #[inline(always)]
    unsafe fn windows<P: Pack, E: Element>(
        values: *const E,
        shape: &Shape,
        n: u32,
        add: impl Fn(f32, f32) -> f32,
        mut each: impl FnMut(usize, P),
    ) {
        let i = first_element(P::WIDTH);
        // SAFETY: the caller's contract; the packs are below `n`.
        unsafe {
            if !shape.strips() {
                if i < n {
                    each(i as usize, window(values, shape, i, add));
                }
            } else if i < n / shape.width {
                strip(values, shape, i, add, each);
            }
        }
    }

    /// The sum of the window around the pack at element `i`.
    ///
    /// # Safety
    /// `values` points to whole images, with `i` among them; the width is `P`'s.
    #[inline(always)]
    unsafe fn window<P: Pack, E: Element>(values: *const E, shape: &Shape, i: u32, add: impl Fn(f32, f32) -> f32) -> P {
        let (pixel, pack) = shape.by_packs.divide(i / P::WIDTH);
        let (row, column) = shape.by_columns.divide(pixel);
        let (image, row) = shape.by_rows.divide(row);
        let (bottom, right) = (end(row, shape.half, shape.height), end(column, shape.half, shape.width));
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

    /// Rows (or columns) of the window around `middle`: up to here.
    #[inline(always)]
    fn end(middle: u32, half: u32, pixels: u32) -> u32 {
        if middle + half < pixels { middle + half + 1 } else { pixels }
    }

    /// [`windows`] of a row of pixels, the strip that begins at element `i` of a matrix with a pixel for each row.
    ///
    /// # Safety
    /// `values` points to whole images, with the row among them; the width is `P`'s.
    #[inline(always)]
    unsafe fn strip<P: Pack, E: Element>(
        values: *const E,
        shape: &Shape,
        i: u32,
        add: impl Fn(f32, f32) -> f32,
        mut each: impl FnMut(usize, P),
    ) {
        let (row, pack) = shape.by_packs.divide(i / P::WIDTH);
        let (image, row) = shape.by_rows.divide(row);
        let (top, bottom) = (row.saturating_sub(shape.half), end(row, shape.half, shape.height));
        let place = |row: u32, column: u32| {
            let pixel = (image * shape.height + row) * shape.width + column;
            (pixel * shape.channels + pack * P::WIDTH) as usize
        };
        let sum_of_column = |column: u32| {
            let mut sum = P::splat(0.0);
            let mut row = if column < shape.width { top } else { bottom };
            while row < bottom {
                // SAFETY: the pixel is one of the image's.
                sum = sum.zip(unsafe { P::load(values.add(place(row, column))) }, &add);
                row += 1;
            }
            sum
        };
        let zero = P::splat(0.0);
        let mut columns = [zero, zero, zero, sum_of_column(0), sum_of_column(1)];
        let mut column = 0;
        while column < shape.width {
            let [_, first, second, third, fourth] = columns;
            columns = [first, second, third, fourth, sum_of_column(column + 2)];
            let plus = |a: P, b: P| a.zip(b, |a, b| a + b);
            let sum = plus(plus(plus(plus(columns[0], columns[1]), columns[2]), columns[3]), columns[4]);
            each(place(row, column), sum);
            column += 1;
        }
    }

    /// `s` from a sum of squares.
    #[inline(always)]
    fn bracket<P: Pack>(shape: &Shape, sum: P) -> P {
        sum.map(|sum| fma(shape.alpha, sum, shape.k))
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn forward<P: Pack, E: Element>(input: *const E, output: *mut E, shape: Shape, n: u32) {
        // SAFETY: the packs are below `n`, and this thread's own.
        unsafe {
            windows::<P, E>(
                input,
                &shape,
                n,
                |sum, x| fma(x, x, sum),
                |i, sum| {
                    let (x, s) = (P::load(input.add(i)), bracket(&shape, sum));
                    x.zip(s, |x, s| x * inverse_power(s, shape.beta)).store(output.add(i));
                },
            );
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn terms<P: Pack, E: Element>(
        saved: *const E,
        d_output: *const E,
        d_input: *mut E,
        terms: *mut E,
        shape: Shape,
        n: u32,
    ) {
        // SAFETY: the packs are below `n`, and this thread's own.
        unsafe {
            windows::<P, E>(
                saved,
                &shape,
                n,
                |sum, x| fma(x, x, sum),
                |i, sum| {
                    let s = bracket(&shape, sum);
                    let (x, dy) = (P::load(saved.add(i)), P::load(d_output.add(i)));
                    let product = dy.zip(s, |dy, s| dy * inverse_power(s, shape.beta));
                    product.store(d_input.add(i));
                    product.zip3(x, s, |product, x, s| product * x * rcp_approx(s)).store(terms.add(i));
                },
            );
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn backward<P: Pack, E: Element>(
        saved: *const E,
        d_input: *mut E,
        terms: *const E,
        shape: Shape,
        n: u32,
    ) {
        let factor = 2.0 * shape.alpha * shape.beta;
        // SAFETY: the packs are below `n`, and this thread's own.
        unsafe {
            windows::<P, E>(
                terms,
                &shape,
                n,
                |sum, t| sum + t,
                |i, sum| {
                    let (x, d_input) = (P::load(saved.add(i)), d_input.add(i));
                    P::load(d_input.cast_const()).zip3(x, sum, |d, x, sum| fma(-factor * x, sum, d)).store(d_input);
                },
            );
        }
    }
}
