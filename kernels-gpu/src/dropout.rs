//! Dropout (paper, section 4.2): units multiplied by 0 where dropped, by a factor where kept.
//!
//! Forward pass and gradient are the same multiplication: the mask is a function of (seed, epoch, image, layer, unit)
//! and computed again.
//!
//! # Algorithm
//! ```text
//! words 4g .. 4g + 4 = Philox(counter = (g, image's id, epoch, use), key = seed)
//! y[n, u] = if word first + u < threshold { x[n, u] * factor } else { 0 }
//! ```
//! Units are numbered over all towers: `first` is the number of the tower's first unit.
//! # Thread mapping
//! A thread owns a group of four units that share a Philox block. Groups at a tower's ends may be cut by them.
//! Tower `t` is row `t` of the grid.
//! # Shared memory
//! None.
//! # Cost
//! 4 bytes read and 4 written a unit; about 100 integer instructions for four units.

use crate::Argument;
use crate::element::{Divisor, Offsets, THREADS};
use crate::geometry::ceil_div;
use crate::kernel::Kind;
use crate::step::StepInfo;

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Mask {
    /// Units of a tower.
    pub units: u32,
    /// The number, over all towers, of the first unit of the launch's first tower.
    pub first: u32,
    /// What the random numbers are used for: [`crate::philox`]'s last counter.
    pub usage: u32,
    /// A unit is kept when its word is below this.
    pub threshold: u32,
    /// 1 where every unit is kept: in a test, or with a threshold of 2^32.
    pub keep_all: u32,
    /// What a kept unit is multiplied by.
    pub factor: f32,
    /// Divides by [`groups`].
    pub by_groups: Divisor,
}

impl Argument for Mask {
    const KIND: Kind = Kind::Struct;
}

/// Groups of four that hold `units` units from any number on: one or two may be cut.
pub const fn groups(units: u32) -> u32 {
    ceil_div(units + 3, 4)
}

/// The grid for `images` images: a thread for each group.
pub const fn grid(units: u32, images: u32, towers: u32) -> [u32; 3] {
    [ceil_div(images * groups(units), THREADS), towers, 1]
}

kernel! {
    /// Multiplies the units of `images` images of each tower by the mask. Grid: [`grid`]; block: [`THREADS`].
    ///
    /// # Safety
    /// - For each tower of the grid `input + input_at` and `output + output_at` are device pointers to
    ///   `images * mask.units` elements; an output is its own tower's input, or overlaps no other operand.
    /// - `step` and `ids` are device pointers to the step, and to `images` ids.
    /// - `width` is 1; or 4, and pointers and units are multiples of four elements.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    DROPOUT: fn dropout<E>(
        input: *const E,
        input_at: Offsets,
        output: *mut E,
        output_at: Offsets,
        step: *const StepInfo,
        ids: *const u32,
        mask: Mask,
        images: u32,
        width: u32,
    ) {
        let tower = crate::arch::block_y();
        let (input, output) = (input.add(input_at.of(tower) as usize), output.add(output_at.of(tower) as usize));
        device::dropout::<E>(input, output, step, ids, mask, tower, images, width);
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::Mask;
    use crate::arch::F32x4;
    use crate::element::{Element, Pack, first_element};
    use crate::philox::philox4x32;
    use crate::step::StepInfo;

    /// # Safety
    /// The kernel's contract, for one tower.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the kernel's own")]
    pub(super) unsafe fn dropout<E: Element>(
        input: *const E,
        output: *mut E,
        step: *const StepInfo,
        ids: *const u32,
        mask: Mask,
        tower: u32,
        images: u32,
        width: u32,
    ) {
        let (image, group) = mask.by_groups.divide(first_element(1));
        let first = mask.first + tower * mask.units;
        let group = first / 4 + group;
        if image < images {
            // SAFETY: the image is one of the step's.
            let factors = unsafe { factors(step, ids, mask, image, group) };
            // The group's first unit within the tower; before a tower that begins inside a group it is "negative".
            let unit = (group * 4).wrapping_sub(first);
            let row = (image * mask.units) as usize;
            if width == 4 {
                if unit < mask.units {
                    // SAFETY: units are a multiple of four, and so is `first`: the four are the image's, and aligned.
                    unsafe {
                        let x = <F32x4 as Pack>::load(input.add(row + unit as usize));
                        Pack::store(x.zip(factors, apply), output.add(row + unit as usize));
                    }
                }
            } else {
                unroll! { J in 4 {
                    let unit = unit.wrapping_add(J as u32);
                    let factor = [factors.x, factors.y, factors.z, factors.w][J];
                    if unit < mask.units {
                        // SAFETY: the unit is the image's.
                        unsafe {
                            let x = E::load(input.add(row + unit as usize));
                            E::store(output.add(row + unit as usize), apply(x, factor));
                        }
                    }
                }}
            }
        }
    }

    /// A dropped unit is 0 even if it was not a number.
    #[inline(always)]
    fn apply(x: f32, factor: f32) -> f32 {
        if factor == 0.0 { 0.0 } else { x * factor }
    }

    /// What a group's four units are multiplied by.
    ///
    /// # Safety
    /// The kernel's contract; the image is one of the step's.
    #[inline(always)]
    unsafe fn factors(step: *const StepInfo, ids: *const u32, mask: Mask, image: u32, group: u32) -> F32x4 {
        if mask.keep_all != 0 {
            return F32x4::splat(mask.factor);
        }
        // SAFETY: the caller's contract.
        let (step, id) = unsafe { (*step, *ids.add(image as usize)) };
        let words = philox4x32([group, id, step.epoch, mask.usage], [step.seed_lo, step.seed_hi]);
        F32x4::from_fn(|j| if words[j as usize] < mask.threshold { mask.factor } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_the_units_of_every_tower() {
        for units in 1..40 {
            for first in (0..5).map(|tower| tower * units) {
                let needed = (first + units - 1) / 4 - first / 4 + 1;
                assert!((needed..=needed + 1).contains(&groups(units)), "{units} units from {first}");
            }
        }
    }
}
