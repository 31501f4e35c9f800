//! Momentum update with weight decay: `v = momentum * v - decay * rate * w - rate * g; w = w + v`
//! (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs", 2012, section 5).
//!
//! # Algorithm
//! ```text
//! rate = rates[parameter]
//! for each i: v[i] = momentum * v[i] - (decay * rate) * w[i] - rate * g[i]; w[i] += v[i]
//! ```
//! # Thread mapping
//! A thread owns one pack: four neighbours with 16-byte accesses, or one element.
//! # Shared memory
//! None.
//! # Cost
//! 6 flop an element; 12 bytes read, 8 written. The 61 million parameters of the network are 1.2 GB a step.

use crate::element::THREADS;

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
            device::update::<crate::arch::F32x4>(weights, velocity, gradient, factors, n);
        } else {
            device::update::<f32>(weights, velocity, gradient, factors, n);
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

    /// # Safety
    /// The kernel's contract; the width is `P`'s.
    #[inline(always)]
    pub(super) unsafe fn update<P: Pack>(
        weights: *mut f32,
        velocity: *mut f32,
        gradient: *const f32,
        factors: Factors,
        n: u32,
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
                w.zip(v, |w, v| w + v).store(weights);
            }
        }
    }
}
