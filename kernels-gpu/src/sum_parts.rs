//! Sums of parts: the second half of every sum that is split, and bias and activation behind it.
//!
//! `out[i] = finish(sum over sources of (sum over slices of part[source][slice][i]))`, both in ascending order.
//! Where there are several sources, what each adds is rounded to the type of `out`: in an input gradient it may have
//! come from another card in that type.
//!
//! # Thread mapping
//! A thread owns an element; problem `t` is row `t` of the grid.
//! # Shared memory
//! None.
//! # Cost
//! 4 bytes read for each part and an element written, an addition for each part.

use crate::Argument;
use crate::element::{Divisor, Offsets};
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Threads of a block.
pub const THREADS: u32 = 256;

/// What happens to a finished sum of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Finish {
    /// Whether the column's bias is added.
    pub bias: u32,
    /// 0 for none, 1 for ReLU, 2 for tanh.
    pub activation: u32,
    /// Scale of tanh's output.
    pub a: f32,
    /// Scale of tanh's input.
    pub b: f32,
}

impl Finish {
    /// The sum as it is.
    pub const NONE: Finish = Finish { bias: 0, activation: 0, a: 0.0, b: 0.0 };
}

impl Argument for Finish {
    const KIND: Kind = Kind::Struct;
}

/// Extents of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sum {
    /// Elements of a part.
    pub len: u32,
    /// By elements of a row.
    pub by_columns: Divisor,
    /// Sources of a problem that are summed and rounded one by one.
    pub sources: u32,
    /// Parts of a source.
    pub slices: u32,
}

impl Argument for Sum {
    const KIND: Kind = Kind::Struct;
}

/// The grid for a number of problems.
pub const fn grid(sum: Sum, problems: u32) -> [u32; 3] {
    [ceil_div(sum.len, THREADS), problems, 1]
}

kernel! {
    /// Adds parts. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `parts` is a device pointer to `sources * slices * len` floats for each problem of the grid.
    /// - `output + output_at` are device pointers to `len` elements for each problem, and overlap nothing else.
    /// - Where `finish` says so, `bias + bias_at` are device pointers to a float for each column.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    SUM_PARTS: fn sum_parts<E>(
        parts: *const f32,
        output: *mut E,
        output_at: Offsets,
        bias: *const f32,
        bias_at: Offsets,
        sum: Sum,
        finish: Finish,
    ) {
        use crate::arch::{block_x, block_y, thread};
        use crate::element::Element;

        let (i, problem) = (block_x() * THREADS + thread(), block_y());
        if i < sum.len {
            let len = sum.len as usize;
            let mut from = parts.add(problem as usize * (sum.sources * sum.slices) as usize * len + i as usize);
            let mut total = 0.0;
            let mut source = 0;
            while source < sum.sources {
                let mut of_source = 0.0;
                let mut slice = 0;
                while slice < sum.slices {
                    of_source += *from;
                    from = from.add(len);
                    slice += 1;
                }
                total += if sum.sources > 1 { E::round(of_source) } else { of_source };
                source += 1;
            }
            let (_, column) = sum.by_columns.divide(i);
            let total = device::finish(finish, total, bias.wrapping_add(bias_at.of(problem) as usize), column);
            E::store(output.add(output_at.of(problem) as usize + i as usize), total);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
pub use device::finish;

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Finish;
    use crate::math::tanh;

    /// Bias and activation on a sum of a column.
    ///
    /// # Safety
    /// Where `finish` says so, `bias` points to a float for each column.
    #[inline(always)]
    pub unsafe fn finish(finish: Finish, sum: f32, bias: *const f32, column: u32) -> f32 {
        let Finish { a, b, .. } = finish;
        // SAFETY: the caller's contract.
        let x = if finish.bias != 0 { sum + unsafe { *bias.add(column as usize) } } else { sum };
        match finish.activation {
            0 => x,
            // A comparison, because `max` turns NaN into 0.
            1 => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            _ => a * tanh(b * x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_the_elements() {
        let sum = Sum { len: 257, by_columns: Divisor::new(1), sources: 1, slices: 2 };
        assert_eq!(grid(sum, 3), [2, 3, 1]);
    }
}
