//! Activations: ReLU `max(0, x)` (paper, section 3.1), tanh `a * tanh(b * x)` (`tanh[a,b]` of cuda-convnet).
//!
//! Gradients from the output: ReLU `dx = dy if y > 0 else 0`; tanh `dx = dy * b * (a - y * y / a)`.
//! A NaN stays one.
//!
//! # Thread mapping
//! A thread owns one pack of one tower: four neighbours with 16-byte accesses, or one element.
//! Tower `t` is row `t` of the grid.
//! # Shared memory
//! None.
//! # Cost
//! Forward 4 bytes read and 4 written an element; gradient 8 and 4. ReLU is one operation, tanh about 15.

use crate::Argument;
use crate::element::{Offsets, THREADS};
use crate::kernel::Kind;

/// A function: ReLU, or tanh with the scales `a` of the output and `b` of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Function {
    /// 0 for ReLU, 1 for tanh.
    pub tanh: u32,
    /// Scale of tanh's output.
    pub a: f32,
    /// Scale of tanh's input.
    pub b: f32,
}

impl Argument for Function {
    const KIND: Kind = Kind::Struct;
}

kernel! {
    /// Applies a function to `n` elements of each tower. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `input + input_at` and `output + output_at` are device pointers to `n` elements for each tower of the grid.
    /// - An output is its own tower's input, or overlaps no other operand.
    /// - `width` is 1; or 4, and pointers and `n` are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    FORWARD: fn activation_forward<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        function: Function,
        n: u32,
        width: u32,
    ) {
        let tower = crate::arch::block_y();
        let (input, output) =
            (input.add(input_at.of(tower) as usize), output.add(output_at.of(tower) as usize));
        if width == 4 {
            device::forward::<crate::arch::F32x4, E>(input, output, function, n);
        } else {
            device::forward::<f32, E>(input, output, function, n);
        }
    }
}

kernel! {
    /// Gradient of `n` elements of each tower, from the output. Grid: [`crate::element::grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - `saved + saved_at`, `d_output + d_output_at` and `d_input + d_input_at` are device pointers to `n` elements for
    ///   each tower of the grid.
    /// - A `d_input` is its own tower's `d_output`, or overlaps no other operand.
    /// - `width` is 1; or 4, and pointers and `n` are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    BACKWARD: fn activation_backward<E>(
        saved: *const E,
        saved_at: Offsets,
        d_output: *const E,
        d_output_at: Offsets,
        d_input: *mut E,
        d_input_at: Offsets,
        function: Function,
        n: u32,
        width: u32,
    ) {
        let tower = crate::arch::block_y();
        let saved = saved.add(saved_at.of(tower) as usize);
        let (d_output, d_input) =
            (d_output.add(d_output_at.of(tower) as usize), d_input.add(d_input_at.of(tower) as usize));
        if width == 4 {
            device::backward::<crate::arch::F32x4, E>(saved, d_output, d_input, function, n);
        } else {
            device::backward::<f32, E>(saved, d_output, d_input, function, n);
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Function;
    use crate::element::{Element, Pack, first_element};
    use crate::math::tanh;

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn forward<P: Pack, E: Element>(input: *const E, output: *mut E, function: Function, n: u32) {
        let i = first_element(P::WIDTH);
        if i < n {
            let Function { a, b, .. } = function;
            // SAFETY: `i` and its pack are below `n`; each thread reads its own before it writes them.
            unsafe {
                let x = P::load(input.add(i as usize));
                // A comparison, because `max` turns NaN into 0.
                let y = if function.tanh == 0 {
                    x.map(|x| if x < 0.0 { 0.0 } else { x })
                } else {
                    x.map(|x| a * tanh(b * x))
                };
                y.store(output.add(i as usize));
            }
        }
    }

    /// # Safety
    /// The kernel's contract, for one tower; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn backward<P: Pack, E: Element>(
        saved: *const E,
        d_output: *const E,
        d_input: *mut E,
        function: Function,
        n: u32,
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            let Function { a, b, .. } = function;
            // SAFETY: as in `forward`.
            unsafe {
                let (y, dy) = (P::load(saved.add(i as usize)), P::load(d_output.add(i as usize)));
                let dx = if function.tanh == 0 {
                    y.zip(dy, |y, dy| if y > 0.0 { dy } else { 0.0 })
                } else {
                    y.zip(dy, |y, dy| dy * b * (a - y * y / a))
                };
                dx.store(d_input.add(i as usize));
            }
        }
    }
}
