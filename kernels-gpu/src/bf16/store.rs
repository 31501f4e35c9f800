//! What happens to the sums of a product on tensor cores: bias, activation, and the way to memory, or an update by them.

use super::device::{Sums, Tile, warp_place};
use super::operand::Extent;
use super::{CHUNK, THREADS};
use crate::arch::{
    U32x2, barrier, bf16_pair, shared_base, shared_load4, shared_store, store_f32x2, store_u32, thread, wait_for_copies,
};
use crate::math::tanh;
use crate::product::{Block, Product};
use crate::sum_parts::Finish;
use crate::update::Factors;

/// Adds the biases of the columns, and applies the activation.
///
/// # Safety
/// Where `finish` says so, `bias` points to a float for each column.
#[inline(always)]
pub(super) unsafe fn finish<T: Tile>(
    sums: &mut Sums,
    block: Block,
    product: Product,
    finish: Finish,
    bias: *const f32,
) {
    let column = block.column + warp_place::<T>().1 + thread() % 4 * 2;
    unroll!(J in 8 {
        unroll!(C in 2 {
            let column = column + (8 * J + C) as u32;
            if J < T::ACROSS && column < product.n {
                // SAFETY: the column is inside.
                let bias = if finish.bias != 0 { unsafe { *bias.add(column as usize) } } else { 0.0 };
                unroll!(I in 4 {
                    if I < T::DOWN {
                        sums[I][J][C] += bias;
                        sums[I][J][C + 2] += bias;
                    }
                });
            }
        });
    });
    // The choice stands outside of the loops: 128 copies of it would not stay in the cache of instructions.
    match finish.activation {
        0 => {}
        // A comparison, because `max` turns NaN into 0.
        1 => each_sum::<T>(sums, |x| if x < 0.0 { 0.0 } else { x }),
        _ => each_sum::<T>(sums, |x| finish.a * tanh(finish.b * x)),
    }
}

/// Changes every sum.
#[inline(always)]
fn each_sum<T: Tile>(sums: &mut Sums, change: impl Fn(f32) -> f32) {
    unroll!(I in 4 {
        unroll!(J in 8 {
            if I < T::DOWN && J < T::ACROSS {
                sums[I][J] = sums[I][J].map(&change);
            }
        });
    });
}

/// Gives every pair of neighbours whose first is inside of `out`: row, column, both sums.
#[inline(always)]
fn each_pair<T: Tile>(sums: &Sums, block: Block, product: Product, mut write: impl FnMut(u32, u32, [f32; 2])) {
    let (row, column) = warp_place::<T>();
    let lane = thread() % 32;
    let (row, column) = (block.row + row + lane / 4, block.column + column + lane % 4 * 2);
    unroll!(I in 4 {
        unroll!(J in 8 {
            if I < T::DOWN && J < T::ACROSS {
                let (row, column) = (row + 16 * I as u32, column + 8 * J as u32);
                let [first, second, third, fourth] = sums[I][J];
                if column < product.n {
                    if row < product.m {
                        write(row, column, [first, second]);
                    }
                    if row + 8 < product.m {
                        write(row + 8, column, [third, fourth]);
                    }
                }
            }
        });
    });
}

/// Writes the sums as bf16, in chunks: through shared memory, because a warp has eight pieces of eight rows.
///
/// # Safety
/// All threads of the block reach it, with the whole pool, and no more products follow. `to` points to `m * n` bf16;
/// it is aligned to 16 bytes, and `n` is a multiple of [`CHUNK`].
#[inline(always)]
pub(super) unsafe fn store_chunks<T: Tile>(sums: &Sums, block: Block, product: Product, to: *mut u16) {
    // Rows are 16 bytes longer than the tile, so that the eight of a fragment lie in different banks.
    let (pool, pitch) = (shared_base(), T::OUTER * 2 + 16);
    let (row, column) = warp_place::<T>();
    let lane = thread() % 32;
    let place = pool + (row + lane / 4) * pitch + (column + lane % 4 * 2) * 2;
    wait_for_copies::<0>();
    // SAFETY: all copies of this thread have ended, and behind the barrier nobody reads a stage.
    unsafe { barrier() };
    unroll!(I in 4 {
        unroll!(J in 8 {
            if I < T::DOWN && J < T::ACROSS {
                let place = place + 16 * I as u32 * pitch + 16 * J as u32;
                let [first, second, third, fourth] = sums[I][J];
                // SAFETY: a place of the tile for each pair.
                unsafe {
                    shared_store(place, bf16_pair(first, second));
                    shared_store(place + 8 * pitch, bf16_pair(third, fourth));
                }
            }
        });
    });
    // SAFETY: all threads of the block reach it.
    unsafe { barrier() };
    let mut i = thread();
    while i < T::Rows::OUTER * T::CHUNKS {
        let (row, chunk) = (i / T::CHUNKS, i % T::CHUNKS);
        let (at, column) = (pool + row * pitch + chunk * 16, block.column + chunk * CHUNK);
        let row = block.row + row;
        if row < product.m && column < product.n {
            // SAFETY: a chunk of the tile that is written, and inside of the output.
            unsafe {
                let to = to.wrapping_add(row as usize * product.n as usize + column as usize);
                shared_load4(at).store(to.cast());
            }
        }
        i += THREADS;
    }
}

/// Writes the sums as bf16, one by one.
///
/// # Safety
/// `to` points to `m * n` bf16.
#[inline(always)]
pub(super) unsafe fn store_each<T: Tile>(sums: &Sums, block: Block, product: Product, to: *mut u16) {
    let n = product.n;
    each_pair::<T>(sums, block, product, |row, column, [first, second]| {
        let to = to.wrapping_add(row as usize * n as usize + column as usize);
        let pair = bf16_pair(first, second);
        // SAFETY: the first element is inside, and so is the second where there is one.
        unsafe {
            *to = pair as u16;
            if column + 1 < n {
                *to.add(1) = (pair >> 16) as u16;
            }
        }
    });
}

/// Writes the sums to their part of floats; with `PAIRS`, columns and place are even.
///
/// # Safety
/// `parts` points to parts of `m * n` floats.
#[inline(always)]
pub(super) unsafe fn store_part<T: Tile, const PAIRS: bool>(
    sums: &Sums,
    block: Block,
    product: Product,
    parts: *mut f32,
) {
    let Product { m, n, .. } = product;
    let part = parts.wrapping_add(block.part as usize * m as usize * n as usize);
    each_pair::<T>(sums, block, product, |row, column, [first, second]| {
        let to = part.wrapping_add(row as usize * n as usize + column as usize);
        // SAFETY: the first element is inside, and so is the second where there is one.
        unsafe {
            if PAIRS {
                store_f32x2(to, first, second);
            } else {
                *to = first;
                if column + 1 < n {
                    *to.add(1) = second;
                }
            }
        }
    });
}

/// Where weights are that are updated.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    pub(super) weights: *mut f32,
    pub(super) velocity: *mut f32,
    /// The weights as products read them.
    pub(super) rounded: *mut u16,
}

impl Weights {
    /// The weights and the velocities of a pair of neighbours, of which one may be beyond the end of the row.
    ///
    /// # Safety
    /// The first is inside, and so is the second with `two`; with `PAIRS`, `two` is set and places are even.
    #[inline(always)]
    unsafe fn load<const PAIRS: bool>(self, place: usize, two: bool) -> [[f32; 2]; 2] {
        let pair = |from: *mut f32| {
            // SAFETY: the caller's contract.
            unsafe {
                if PAIRS {
                    let U32x2 { x, y } = U32x2::load(from.add(place).cast());
                    [f32::from_bits(x), f32::from_bits(y)]
                } else {
                    [*from.add(place), if two { *from.add(place + 1) } else { 0.0 }]
                }
            }
        };
        [pair(self.weights), pair(self.velocity)]
    }

    /// Writes what [`Weights::load`] read, and the weights rounded.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn store<const PAIRS: bool>(self, place: usize, two: bool, w: [f32; 2], v: [f32; 2]) {
        let rounded = bf16_pair(w[0], w[1]);
        // SAFETY: the caller's contract.
        unsafe {
            if PAIRS {
                store_f32x2(self.weights.add(place), w[0], w[1]);
                store_f32x2(self.velocity.add(place), v[0], v[1]);
                store_u32(self.rounded.add(place).cast(), rounded);
                return;
            }
            *self.weights.add(place) = w[0];
            *self.velocity.add(place) = v[0];
            *self.rounded.add(place) = rounded as u16;
            if two {
                *self.weights.add(place + 1) = w[1];
                *self.velocity.add(place + 1) = v[1];
                *self.rounded.add(place + 1) = (rounded >> 16) as u16;
            }
        }
    }
}

/// Updates weights by the sums, which are their gradient; with `PAIRS`, columns and places are even.
///
/// # Safety
/// Each of `to` points to `m * n` numbers.
#[inline(always)]
pub(super) unsafe fn update<T: Tile, const PAIRS: bool>(
    sums: &Sums,
    block: Block,
    product: Product,
    factors: Factors,
    to: Weights,
) {
    let Product { m, n, .. } = product;
    let (row, column) = warp_place::<T>();
    let lane = thread() % 32;
    let (row, column) = (block.row + row + lane / 4, block.column + column + lane % 4 * 2);
    // Four pairs of weights and velocities are under way before the first is used: alone, each would be waited for.
    unroll!(I in 4 {
        unroll!(H in 2 {
            unroll!(Q in 2 {
                if I < T::DOWN {
                    let row = row + 16 * I as u32 + 8 * H as u32;
                    let column = |k: usize| column + 8 * (4 * Q + k) as u32;
                    let place = |k: usize| row as usize * n as usize + column(k) as usize;
                    let mut old = [[[0.0; 2]; 2]; 4];
                    unroll!(K in 4 {
                        if 4 * Q + K < T::ACROSS && row < m && column(K) < n {
                            // SAFETY: the first of the pair is inside.
                            old[K] = unsafe { to.load::<PAIRS>(place(K), column(K) + 1 < n) };
                        }
                    });
                    unroll!(K in 4 {
                        if 4 * Q + K < T::ACROSS && row < m && column(K) < n {
                            let ([w, v], sums) = (old[K], sums[I][4 * Q + K]);
                            let (w0, v0) = factors.apply(w[0], v[0], sums[2 * H]);
                            let (w1, v1) = factors.apply(w[1], v[1], sums[2 * H + 1]);
                            // SAFETY: as above.
                            unsafe { to.store::<PAIRS>(place(K), column(K) + 1 < n, [w0, w1], [v0, v1]) };
                        }
                    });
                }
            });
        });
    });
}
