//! Max pooling (paper, section 3.4): windows may overlap, and are clipped at the border.
//!
//! # Algorithm
//! ```text
//! forward:  y[n, i, j, c] = max of x[n, i * stride .. + size, j * stride .. + size, c]
//! gradient: dx[n, row, col, c] = sum, over the windows that hold (row, col), in row-major order, of
//!           dy[window] where x[row, col] is the window's first maximum in row-major order
//! ```
//! The gradient is in gather form: an input pixel looks at each window that holds it and finds whether it is the first
//! maximum, that is, above all pixels before it and not below any after it.
//! No thread adds to what another one writes, so there are no atomics, and the order of the sum is fixed.
//! A NaN wins its window; its gradient is given to nobody.
//! # Thread mapping
//! A thread owns one pack (four neighbouring maps with 16-byte accesses, or one) of an output pixel, or, for the
//! gradient, of an input pixel. Neighbouring threads own neighbouring maps. Tower `t` is row `t` of the grid.
//! The gradient of the paper's windows, three pixels at a stride of two, has a kernel of its own: a thread owns a pack
//! of a cell of 2 x 2 inputs, reads the 5 x 5 inputs of the four windows that touch it, once, and compares in
//! registers. Rows and columns beyond the border are those at the border again, which changes no maximum.
//! # Shared memory
//! None: neighbouring windows meet in the first cache.
//! # Cost
//! Forward: each input read once from memory and `(size / stride)^2` times from caches, each output written once.
//! Gradient: inputs and `dy` read once from memory, `dx` written once; from the first cache `size^2` inputs for each of
//! about `(size / stride)^2` windows: 20 an input for 3x3 windows at stride 2, where the kernel of cells needs 6.25 and
//! 18 comparisons.
//! # Tried
//! `min_blocks` says 4 for the general gradient: without a number ptxas 13 aims at 40 registers and spills.
//! On an H100 the general gradient of 3x3 windows at stride 2 reached 650 to 810 GB/s in f32.
//!
//! Long: the forward pass and two forms of its gradient share the rule of the first maximum.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Extents of one tower.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Shape {
    /// Rows of an input map.
    pub in_height: u32,
    /// Columns of an input map.
    pub in_width: u32,
    /// Maps.
    pub channels: u32,
    /// Rows of an output map.
    pub out_height: u32,
    /// Columns of an output map.
    pub out_width: u32,
    /// Side of a window.
    pub size: u32,
    /// Pixels between windows.
    pub stride: u32,
    /// Divides by them.
    pub by_stride: Divisor,
    /// Neighbouring maps of a thread: 1 or 4.
    pub width: u32,
    /// Divides by the packs of a pixel, `channels / width`.
    pub by_packs: Divisor,
    /// Divides by the columns of what threads own: outputs, or for the gradient inputs.
    pub by_columns: Divisor,
    /// Divides by the rows of what threads own.
    pub by_rows: Divisor,
}

impl Argument for Shape {
    const KIND: Kind = Kind::Struct;
}

kernel! {
    /// Pools each tower to `n` elements. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `output + output_at` is a device pointer to `n` elements, whole images, and
    ///   `input + input_at` to as many images; an output overlaps no other operand.
    /// - `shape` has no extent of 0, every window begins inside the input, and its divisors are those of outputs.
    /// - `shape.width` is 1; or 4, and pointers and channels are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    FORWARD: fn pool_forward<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let (input, output) = (input.add(input_at.of(tower) as usize), output.add(output_at.of(tower) as usize));
        if shape.width == 4 {
            device::forward::<crate::arch::F32x4, E>(input, output, shape, n);
        } else {
            device::forward::<f32, E>(input, output, shape, n);
        }
    }
}

kernel! {
    /// Gradient of `n` inputs of each tower. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `saved + saved_at` and `d_input + d_input_at` are device pointers to `n` elements,
    ///   whole images, and `d_output + d_output_at` to as many images; a `d_input` overlaps no other operand.
    /// - `shape` has no extent of 0, every window begins inside the input, and its divisors are those of inputs.
    /// - `shape.width` is 1; or 4, and pointers and channels are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 4, shared_bytes = 0]
    BACKWARD: fn pool_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let saved = saved.add(saved_at.of(tower) as usize);
        let (d_output, d_input) =
            (d_output.add(d_output_at.of(tower) as usize), d_input.add(d_input_at.of(tower) as usize));
        if shape.width == 4 {
            device::backward::<crate::arch::F32x4, E>(saved, d_output, d_input, shape, n);
        } else {
            device::backward::<f32, E>(saved, d_output, d_input, shape, n);
        }
    }
}

/// Side of a cell of [`BACKWARD_CELLS`], the stride of its windows.
pub const CELL: u32 = 2;
/// Side of the windows of [`BACKWARD_CELLS`].
pub const CELL_WINDOW: u32 = 3;
/// Threads of a block of [`BACKWARD_CELLS`]: 25 packs of f32 need more registers than 256 threads leave.
pub const CELLS_THREADS: u32 = 128;

/// The grid for `n` packs of cells of each tower.
pub const fn cells_grid(n: u32, towers: u32) -> [u32; 3] {
    [ceil_div(n, CELLS_THREADS), towers, 1]
}

kernel! {
    /// Gradient for windows of [`CELL_WINDOW`] pixels at a stride of [`CELL`], of `n` packs of cells of each tower. Grid:
    /// [`cells_grid`]; block: [`CELLS_THREADS`].
    ///
    /// # Safety
    /// - As [`BACKWARD`], but the shape's divisors are those of cells, `ceil(in_height / 2)` by `ceil(in_width / 2)`.
    /// - Launched with exactly this grid and block.
    [threads = CELLS_THREADS, min_blocks = 3, shared_bytes = 0]
    BACKWARD_CELLS: fn pool_backward_cells<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        shape: Shape,
        n: u32,
    ) {
        let tower = crate::arch::block_y();
        let saved = saved.add(saved_at.of(tower) as usize);
        let (d_output, d_input) =
            (d_output.add(d_output_at.of(tower) as usize), d_input.add(d_input_at.of(tower) as usize));
        if shape.width == 4 {
            device::backward_cells::<crate::arch::F32x4, E>(saved, d_output, d_input, shape, n);
        } else {
            device::backward_cells::<f32, E>(saved, d_output, d_input, shape, n);
        }
    }
}

/// The windows `first..end` that hold a row or column, of `windows` with `size` pixels, a stride apart.
#[inline(always)]
pub const fn windows_over(pixel: u32, size: u32, by_stride: Divisor, windows: u32) -> (u32, u32) {
    let first = if pixel < size { 0 } else { by_stride.divide(pixel - size).0 + 1 };
    let end = by_stride.divide(pixel).0 + 1;
    (first, if end < windows { end } else { windows })
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{CELLS_THREADS, Shape, windows_over};
    use crate::arch::{block_x, thread};
    use crate::element::{Element, Pack, first_element};

    /// Image, row, column and first map of the pack that begins at element `i`.
    #[inline(always)]
    fn place<P: Pack>(shape: &Shape, i: u32) -> (u32, u32, u32, u32) {
        let (pixel, pack) = shape.by_packs.divide(i / P::WIDTH);
        let (row, column) = shape.by_columns.divide(pixel);
        let (image, row) = shape.by_rows.divide(row);
        (image, row, column, pack * P::WIDTH)
    }

    /// The element of the input at a place.
    #[inline(always)]
    fn input_index(shape: &Shape, image: u32, row: u32, column: u32, map: u32) -> usize {
        (((image * shape.in_height + row) * shape.in_width + column) * shape.channels + map) as usize
    }

    /// Rows (or columns) of the window that begins at `first`: up to here.
    #[inline(always)]
    fn window_end(first: u32, size: u32, pixels: u32) -> u32 {
        if first + size < pixels { first + size } else { pixels }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn forward<P: Pack, E: Element>(input: *const E, output: *mut E, shape: Shape, n: u32) {
        let i = first_element(P::WIDTH);
        if i < n {
            let (image, i_row, i_column, map) = place::<P>(&shape, i);
            let (top, left) = (i_row * shape.stride, i_column * shape.stride);
            let (bottom, right) =
                (window_end(top, shape.size, shape.in_height), window_end(left, shape.size, shape.in_width));
            let mut maxima = P::splat(f32::NEG_INFINITY);
            let mut row = top;
            while row < bottom {
                let mut column = left;
                while column < right {
                    // SAFETY: the place is inside the image.
                    let x = unsafe { P::load(input.add(input_index(&shape, image, row, column, map))) };
                    maxima = maxima.zip(x, |max, x| if x > max || x.is_nan() { x } else { max });
                    column += 1;
                }
                row += 1;
            }
            // SAFETY: `i` and its pack are below `n`, and this thread's own.
            unsafe { maxima.store(output.add(i as usize)) };
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn backward<P: Pack, E: Element>(
        saved: *const E,
        d_output: *const E,
        d_input: *mut E,
        shape: Shape,
        n: u32,
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            let (image, row, column, map) = place::<P>(&shape, i);
            let (first_row, end_row) = windows_over(row, shape.size, shape.by_stride, shape.out_height);
            let (first_column, end_column) = windows_over(column, shape.size, shape.by_stride, shape.out_width);
            // SAFETY: the place is inside the image.
            let own = unsafe { P::load(saved.add(i as usize)) };
            let mut sum = P::splat(0.0);
            let mut window_row = first_row;
            while window_row < end_row {
                let mut window_column = first_column;
                while window_column < end_column {
                    let pixel = (image * shape.out_height + window_row) * shape.out_width + window_column;
                    let place = Place { image, row, column, map };
                    // SAFETY: the window is one of the image's, and holds the pixel.
                    unsafe {
                        let wins = first_maximum::<P, E>(saved, &shape, place, own, window_row, window_column);
                        let dy = P::load(d_output.add((pixel * shape.channels + map) as usize));
                        sum = sum.zip3(wins, dy, |sum, wins, dy| if wins != 0.0 { sum + dy } else { sum });
                    }
                    window_column += 1;
                }
                window_row += 1;
            }
            // SAFETY: `i` and its pack are below `n`, and this thread's own.
            unsafe { sum.store(d_input.add(i as usize)) };
        }
    }

    /// 1 where place `own` of a window of nine, in row-major order, is its first maximum, or 0.
    macro_rules! first_maximum {
        ($x:ident, $top:literal, $left:literal, $own:literal) => {{
            let own = $x[$top + $own / 3][$left + $own % 3];
            let mut wins = P::splat(1.0);
            first_maximum!(@ wins, own, $x, $top, $left, $own, 0 1 2 3 4 5 6 7 8);
            wins
        }};
        (@ $wins:ident, $own:ident, $x:ident, $top:literal, $left:literal, $place:literal, $($other:literal)*) => {$(
            let x = $x[$top + $other / 3][$left + $other % 3];
            if $other < $place {
                $wins = $wins.zip3($own, x, |wins, own, x| if own > x { wins } else { 0.0 });
            } else if $other > $place {
                $wins = $wins.zip3($own, x, |wins, own, x| if own >= x { wins } else { 0.0 });
            }
        )*};
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn backward_cells<P: Pack, E: Element>(
        saved: *const E,
        d_output: *const E,
        d_input: *mut E,
        shape: Shape,
        n: u32,
    ) {
        let i = block_x() * CELLS_THREADS + thread();
        if i < n {
            let (image, cell_row, cell_column, map) = place::<P>(&shape, i * P::WIDTH);
            let (row, column) = (2 * cell_row, 2 * cell_column);
            let clamp = |pixel: u32, ahead: u32, pixels: u32| {
                let pixel = (pixel + ahead).saturating_sub(2);
                if pixel < pixels { pixel } else { pixels - 1 }
            };
            // Around the cell, from two rows above and two columns left of it on.
            let mut x = [[P::splat(0.0); 5]; 5];
            macro_rules! load {
                ($($row:literal)*) => {$(
                    load!(@ $row, clamp(row, $row, shape.in_height), 0 1 2 3 4);
                )*};
                (@ $row:literal, $from:expr, $($column:literal)*) => {
                    let from = $from;
                    $(
                        let across = clamp(column, $column, shape.in_width);
                        // SAFETY: the pixel is inside the image.
                        x[$row][$column] =
                            unsafe { P::load(saved.add(input_index(&shape, image, from, across, map))) };
                    )*
                };
            }
            let dy = |row: u32, column: u32| {
                // Above and left of the first window the number wraps around.
                if row < shape.out_height && column < shape.out_width {
                    let pixel = (image * shape.out_height + row) * shape.out_width + column;
                    // SAFETY: the window is one of the image's.
                    unsafe { P::load(d_output.add((pixel * shape.channels + map) as usize)) }
                } else {
                    P::splat(0.0)
                }
            };
            let (above, left) = (cell_row.wrapping_sub(1), cell_column.wrapping_sub(1));
            let windows = [dy(above, left), dy(above, cell_column), dy(cell_row, left), dy(cell_row, cell_column)];
            let add =
                |sum: P, wins: P, dy: P| sum.zip3(wins, dy, |sum, wins, dy| if wins != 0.0 { sum + dy } else { sum });
            let store = |down: u32, across: u32, sum: P| {
                let (row, column) = (row + down, column + across);
                if row < shape.in_height && column < shape.in_width {
                    // SAFETY: the pixel is inside the image, and this thread's own.
                    unsafe { sum.store(d_input.add(input_index(&shape, image, row, column, map))) };
                }
            };
            // The windows above first: their first two rows need no registers then.
            let zero = P::splat(0.0);
            load!(0 1 2);
            let corner = add(add(zero, first_maximum!(x, 0, 0, 8), windows[0]), first_maximum!(x, 0, 2, 6), windows[1]);
            let right = add(zero, first_maximum!(x, 0, 2, 7), windows[1]);
            load!(3 4);
            let corner = add(corner, first_maximum!(x, 2, 0, 2), windows[2]);
            store(0, 0, add(corner, first_maximum!(x, 2, 2, 0), windows[3]));
            store(0, 1, add(right, first_maximum!(x, 2, 2, 1), windows[3]));
            let below = add(zero, first_maximum!(x, 2, 0, 5), windows[2]);
            store(1, 0, add(below, first_maximum!(x, 2, 2, 3), windows[3]));
            store(1, 1, add(zero, first_maximum!(x, 2, 2, 4), windows[3]));
        }
    }

    #[derive(Clone, Copy)]
    struct Place {
        image: u32,
        row: u32,
        column: u32,
        map: u32,
    }

    /// 1 where `own`, the input at `place`, is the first maximum of the window, or 0.
    ///
    /// # Safety
    /// The kernel's contract, for one tower; the window is one of the image's, and holds the place.
    #[inline(always)]
    unsafe fn first_maximum<P: Pack, E: Element>(
        saved: *const E,
        shape: &Shape,
        place: Place,
        own: P,
        window_row: u32,
        window_column: u32,
    ) -> P {
        let (top, left) = (window_row * shape.stride, window_column * shape.stride);
        let (bottom, right) =
            (window_end(top, shape.size, shape.in_height), window_end(left, shape.size, shape.in_width));
        let mut wins = P::splat(1.0);
        let mut row = top;
        while row < bottom {
            let mut column = left;
            while column < right {
                // SAFETY: the pixel is inside the image.
                let x = unsafe { P::load(saved.add(input_index(shape, place.image, row, column, place.map))) };
                let before = row < place.row || (row == place.row && column < place.column);
                wins = wins.zip3(own, x, |wins, own, x| if own > x || (own == x && !before) { wins } else { 0.0 });
                column += 1;
            }
            row += 1;
        }
        wins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_over_a_pixel_are_those_that_hold_it() {
        for (size, stride, windows) in [(3, 2, 5), (2, 2, 4), (1, 3, 4), (4, 1, 6), (3, 5, 2)] {
            for pixel in 0..(windows - 1) * stride + size + 2 {
                let holds = |window: &u32| (window * stride..window * stride + size).contains(&pixel);
                let (first, end) = windows_over(pixel, size, Divisor::new(stride), windows);
                assert!((0..windows).filter(holds).eq(first..end), "pixel {pixel} of {size}/{stride}");
            }
        }
    }
}
