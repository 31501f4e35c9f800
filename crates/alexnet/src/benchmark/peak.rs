//! What this machine can do: multiply-adds and memory traffic of some threads.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};

/// Independent sums: enough to hide the latency of two multiply-add units, few enough for 32 registers.
const SUMS: usize = 20;

/// Multiply-adds of registers.
struct Registers {
    rounds: usize,
}

impl WithSimd for Registers {
    type Output = f64;

    /// Operations per second.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(0.25)));
        let start = Instant::now();
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        black_box(sums.map(|sum| simd.reduce_sum_f32s(sum)));
        (2 * SUMS * S::F32_LANES * self.rounds) as f64 / seconds
    }
}

/// f32 operations per second of `threads` threads, a multiply-add as two; 0 takes as many as there are cores. The
/// best of several short runs, as other programs may be running.
pub fn flops(threads: usize) -> f64 {
    let run = || (0..20).map(|_| Arch::new().dispatch(Registers { rounds: 200_000 })).fold(0.0, f64::max);
    each(threads, run).iter().sum()
}

/// Bytes per second that `threads` threads read and write, together, in arrays far larger than a cache of a core.
pub fn bandwidth(threads: usize) -> f64 {
    const LEN: usize = 1 << 25;
    let run = || {
        let (source, mut target) = (vec![1.0_f32; LEN], vec![0.0_f32; LEN]);
        let pass = |_| {
            let start = Instant::now();
            black_box(&mut target).copy_from_slice(black_box(&source));
            (2 * LEN * size_of::<f32>()) as f64 / start.elapsed().as_secs_f64()
        };
        (0..8).map(pass).fold(0.0, f64::max)
    };
    each(threads, run).iter().sum()
}

/// What `run` gives on each of `threads` threads at once.
fn each(threads: usize, run: impl Fn() -> f64 + Sync) -> Vec<f64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&run)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}
