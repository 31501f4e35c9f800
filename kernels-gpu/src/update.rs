//! Momentum update with weight decay: `v = momentum * v - decay * rate * w - rate * g; w = w + v`
//! (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs", 2012, section 5).
//!
//! # Algorithm
//! ```text
//! rate = rates[parameter]
//! for each i: v[i] = momentum * v[i] - (decay * rate) * w[i] - rate * g[i]; w[i] += v[i]
//! ```
//! Weights are f32 always: most updates are smaller than the last place of a bf16. Where products read bf16, the new
//! weights are also written rounded.
//! # Thread mapping
//! A thread owns one pack: four neighbours with 16-byte accesses, or one element.
//! # Shared memory
//! None.
//! # Cost
//! 6 flop an element; 12 bytes read, 8 written, and 2 for a rounded weight. The 61 million parameters of the network are
//! 1.2 GB a step.

use crate::element::{Bf16, THREADS};

kernel! {
    /// Updates one parameter of `n` elements. Grid: [`crate::element::grid`] with `width` and one tower; block: [`THREADS`].
    ///
    /// # Safety
    /// - `weights`, `velocity`, `gradient` are device pointers to `n` floats; they do not overlap.
    /// - `rates` is a device pointer to more than `parameter` floats.
    /// - `width` is 1; or 4, `n` is a multiple of 4 and the first three are aligned to 16 bytes.
    /// - Launched with exactly this grid and block.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    UPDATE: fn update(
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        rates: *const f32,
        parameter: u32,
        momentum: f32,
        decay: f32,
        n: u32,
        width: u32,
    ) {
        let rate = *rates.add(parameter as usize);
        let factors = device::Factors { momentum, shrink: decay * rate, rate };
        if width == 4 {
            device::update::<crate::arch::F32x4>(weights, velocity, gradient, factors, n, |_, _| {});
        } else {
            device::update::<f32>(weights, velocity, gradient, factors, n, |_, _| {});
        }
    }
}

kernel! {
    /// As [`UPDATE`]; writes the new weights to `rounded` as well.
    ///
    /// # Safety
    /// - As [`UPDATE`].
    /// - `rounded` is a device pointer to `n` bf16 that overlaps nothing else; with a `width` of 4 it is aligned to 8
    ///   bytes.
    [threads = THREADS, min_blocks = 1, shared_bytes = 0]
    UPDATE_ROUNDED: fn update_rounded(
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        rates: *const f32,
        parameter: u32,
        momentum: f32,
        decay: f32,
        n: u32,
        width: u32,
        rounded: *mut Bf16,
    ) {
        use crate::arch::F32x4;
        use crate::element::Pack;

        let rate = *rates.add(parameter as usize);
        let factors = device::Factors { momentum, shrink: decay * rate, rate };
        if width == 4 {
            device::update(weights, velocity, gradient, factors, n, |i, w: F32x4| {
                Pack::store(w, rounded.add(i as usize));
            });
        } else {
            device::update(weights, velocity, gradient, factors, n, |i, w: f32| w.store(rounded.add(i as usize)));
        }
    }
}

#[cfg(target_arch = "nvptx64")]
mod device {
    use crate::arch::fma;
    use crate::element::{Pack, first_element};

    #[derive(Clone, Copy)]
    pub(super) struct Factors {
        pub(super) momentum: f32,
        pub(super) shrink: f32,
        pub(super) rate: f32,
    }

    /// Shows the new weights to `also`, with the place of the first.
    ///
    /// # Safety
    /// The kernel's contract; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn update<P: Pack>(
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        factors: Factors,
        n: u32,
        also: impl FnOnce(u32, P),
    ) {
        let i = first_element(P::WIDTH);
        if i < n {
            let Factors { momentum, shrink, rate } = factors;
            // SAFETY: `i` and its pack are below `n`; each thread has its own.
            unsafe {
                let (weights, velocity) = (weights.add(i as usize), velocity.add(i as usize));
                let (w, g) = (P::load(weights), P::load(gradient.add(i as usize)));
                let v = P::load(velocity).zip3(w, g, |v, w, g| fma(-rate, g, fma(-shrink, w, momentum * v)));
                v.store(velocity);
                let w = w.zip(v, |w, v| w + v);
                w.store(weights);
                also(i, w);
            }
        }
    }
}
