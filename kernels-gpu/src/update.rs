//! Momentum update with weight decay: `v = momentum * v - decay * rate * w - rate * g; w = w + v`
//! (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs", 2012, section 5).
//!
//! # Algorithm
//! ```text
//! for each parameter, rate = rates[its number]:
//!     for each i: v[i] = momentum * v[i] - (decay * rate) * w[i] - rate * g[i]; w[i] += v[i]
//! ```
//! Weights are f32 always: most updates are smaller than the last place of a bf16. Where products read bf16, the new
//! weights are also written rounded.
//! # Thread mapping
//! All parameters are one launch. A block owns [`BLOCK`] elements of one [`Parameter`], which it finds by halving the
//! table; a thread owns four neighbours with 16-byte accesses where they are aligned.
//! # Shared memory
//! None.
//! # Cost
//! 6 flop an element; 12 bytes read, 8 written, and 2 for a rounded weight. The 61 million parameters of the network are
//! 1.2 GB a step.
//! # Tried
//! On an H100 a launch for each of the 37 parameters took 3 us or more for each, 85 us beyond what the bytes need.

use crate::Argument;
use crate::element::{Offsets, THREADS};
use crate::geometry::ceil_div;
use crate::kernel::Kind;
use crate::precision::Bf16;

/// Elements of a block.
pub const BLOCK: u32 = 4 * THREADS;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Parameter {
    /// Its first block; ascending.
    pub first_block: u32,
    /// Where its weights begin.
    pub weights: u32,
    /// Where its velocity begins.
    pub velocity: u32,
    /// Where its gradient begins.
    pub gradient: u32,
    /// Elements.
    pub len: u32,
    /// Which of the step's rates applies.
    pub rate: u32,
    /// Factor of the last step's velocity.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
}

impl Parameter {
    /// The struct as it lies in memory.
    pub const fn words(self) -> [u32; 8] {
        let Parameter { first_block, weights, velocity, gradient, len, rate, momentum, decay } = self;
        [first_block, weights, velocity, gradient, len, rate, momentum.to_bits(), decay.to_bits()]
    }

    /// Its blocks.
    pub const fn blocks(self) -> u32 {
        ceil_div(self.len, BLOCK)
    }
}

const _: () = assert!(size_of::<Parameter>() == 32);

/// The numbers of an update of up to four problems, for a kernel that has their gradients in registers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Rule {
    /// Which of the step's rates applies to each.
    pub rate: Offsets,
    /// Factor of the last step's velocity.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
}

impl Argument for Rule {
    const KIND: Kind = Kind::Struct;
}

kernel! {
    /// Updates all parameters of a table. Grid: the blocks of all parameters; block: [`THREADS`].
    ///
    /// # Safety
    /// - `table` is a device pointer to `n` parameters, in the order of their blocks, none of them without elements.
    /// - `weights`, `velocity`, `gradient` are device pointers, aligned to 16 bytes, to floats for each parameter at its
    ///   places; no two of these overlap.
    /// - `rates` is a device pointer to a rate for each parameter.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    UPDATE: fn update(
        table: *const Parameter,
        n: u32,
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        rates: *const f32,
    ) {
        device::update(device::Parameters { table, n, weights, velocity, gradient, rates }, |_, _| {}, |_, _| {});
    }
}

kernel! {
    /// As [`UPDATE`]; writes the new weights to `rounded` as well.
    ///
    /// # Safety
    /// - As [`UPDATE`].
    /// - `rounded` is a device pointer, aligned to 8 bytes, to a bf16 for each weight, at its place, and overlaps nothing
    ///   else.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    UPDATE_ROUNDED: fn update_rounded(
        table: *const Parameter,
        n: u32,
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        rates: *const f32,
        rounded: *mut Bf16,
    ) {
        use crate::arch::F32x4;
        use crate::element::Pack;

        device::update(
            device::Parameters { table, n, weights, velocity, gradient, rates },
            |i, w: F32x4| Pack::store(w, rounded.add(i)),
            |i, w: f32| Pack::store(w, rounded.add(i)),
        );
    }
}

#[cfg(target_arch = "nvptx64")]
pub use device::Factors;

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::{BLOCK, Parameter, Rule};
    use crate::arch::{F32x4, block_x, fma, thread};
    use crate::element::Pack;

    /// What weights, velocities and gradients are multiplied by.
    #[derive(Clone, Copy)]
    pub struct Factors {
        momentum: f32,
        /// Weight decay times rate.
        shrink: f32,
        rate: f32,
    }

    impl Rule {
        /// Those of a problem.
        ///
        /// # Safety
        /// `rates` is a device pointer to the rates that the rule names.
        #[inline(always)]
        pub unsafe fn factors(self, rates: *const f32, problem: u32) -> Factors {
            // SAFETY: the caller's contract.
            let rate = unsafe { *rates.add(self.rate.of(problem) as usize) };
            Factors { momentum: self.momentum, shrink: self.decay * rate, rate }
        }
    }

    impl Factors {
        /// The new weights and velocities.
        #[inline(always)]
        pub fn apply<P: Pack>(self, weights: P, velocity: P, gradient: P) -> (P, P) {
            let Factors { momentum, shrink, rate } = self;
            let v = velocity.zip3(weights, gradient, |v, w, g| fma(-rate, g, fma(-shrink, w, momentum * v)));
            (weights.zip(v, |w, v| w + v), v)
        }

        /// Updates a pack in memory, and gives its new weights.
        ///
        /// # Safety
        /// Both point to a pack of floats and are aligned to it.
        #[inline(always)]
        pub unsafe fn update<P: Pack>(self, weights: *mut f32, velocity: *mut f32, gradient: P) -> P {
            // SAFETY: the caller's contract.
            unsafe {
                let (w, v) = self.apply(P::load(weights), P::load(velocity), gradient);
                v.store(velocity);
                w.store(weights);
                w
            }
        }
    }

    /// Those of a launch.
    #[derive(Clone, Copy)]
    pub(super) struct Parameters {
        pub(super) table: *const Parameter,
        pub(super) n: u32,
        pub(super) weights: *mut f32,
        pub(super) velocity: *mut f32,
        pub(super) gradient: *const f32,
        pub(super) rates: *const f32,
    }

    impl Parameters {
        /// The parameter of this block: the last whose first block is not beyond it.
        ///
        /// # Safety
        /// The kernel's contract.
        #[inline(always)]
        unsafe fn of_block(&self) -> Parameter {
            let (mut low, mut high) = (0, self.n);
            while high - low > 1 {
                let middle = u32::midpoint(low, high);
                // SAFETY: below `n`.
                if unsafe { (*self.table.add(middle as usize)).first_block } <= block_x() {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            // SAFETY: below `n`.
            unsafe { *self.table.add(low as usize) }
        }
    }

    /// Shows the new weights with their places to `also_four` or `also_one`.
    ///
    /// # Safety
    /// The kernel's contract.
    #[inline(always)]
    pub(super) unsafe fn update(
        parameters: Parameters,
        also_four: impl FnOnce(usize, F32x4),
        also_one: impl Fn(usize, f32),
    ) {
        // SAFETY: the kernel's contract; elements are those of this thread.
        unsafe {
            let parameter = parameters.of_block();
            let mut i = (block_x() - parameter.first_block) * BLOCK + 4 * thread();
            let aligned = (parameter.weights | parameter.velocity | parameter.gradient) % 4 == 0;
            if aligned && i + 4 <= parameter.len {
                one::<F32x4>(&parameters, &parameter, i, also_four);
            } else {
                let end = if parameter.len < i + 4 { parameter.len } else { i + 4 };
                while i < end {
                    one::<f32>(&parameters, &parameter, i, &also_one);
                    i += 1;
                }
            }
        }
    }

    /// Updates the pack at element `i` of a parameter, and shows its new weights to `also`.
    ///
    /// # Safety
    /// The kernel's contract; the pack is one of the parameter's, and this thread's own.
    #[inline(always)]
    unsafe fn one<P: Pack>(parameters: &Parameters, parameter: &Parameter, i: u32, also: impl FnOnce(usize, P)) {
        let Parameter { rate, momentum, decay, .. } = *parameter;
        let place = (parameter.weights + i) as usize;
        // SAFETY: the caller's contract.
        unsafe {
            let rate = *parameters.rates.add(rate as usize);
            let factors = Factors { momentum, shrink: decay * rate, rate };
            let velocity = parameters.velocity.add((parameter.velocity + i) as usize);
            let gradient = P::load(parameters.gradient.add((parameter.gradient + i) as usize));
            also(place, factors.update(parameters.weights.add(place), velocity, gradient));
        }
    }
}
