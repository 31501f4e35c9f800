//! What kernels over tensors share: element types, packs of neighbours, grids, and the places of towers.
//!
//! Values are f32 in registers whatever they are in memory ([`crate::Precision`]), so a kernel is written once, generic over
//! `Element` and `Pack`, and has one entry per element type ([`crate::Kernels`]).
//! A pack is one element or four neighbours. Four need places and lengths that are multiples of four, which
//! [`width`] decides for a launch as a whole: a branch that all threads take together.

use crate::Argument;
use crate::geometry::ceil_div;
use crate::kernel::Kind;

/// Threads of a block of kernels that compute each element by itself.
pub const THREADS: u32 = 256;

/// Towers of one launch.
pub const MAX_TOWERS: usize = 4;

/// The most elements of one tower: [`Divisor`] is exact up to here.
pub const MAX_ELEMENTS: usize = 1 << 31;

/// Where an operand of each tower begins, in elements from the base of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Offsets {
    first: u32,
    second: u32,
    third: u32,
    fourth: u32,
}

impl Argument for Offsets {
    const KIND: Kind = Kind::Struct;
}

impl Offsets {
    /// The places of up to four towers.
    pub const fn new(offsets: [u32; MAX_TOWERS]) -> Offsets {
        let [first, second, third, fourth] = offsets;
        Offsets { first, second, third, fourth }
    }

    /// The place of a tower. Selects, because an array that is indexed by a variable would lie in local memory.
    #[inline(always)]
    pub const fn of(self, tower: u32) -> u32 {
        let low = if tower == 0 { self.first } else { self.second };
        let high = if tower == 2 { self.third } else { self.fourth };
        if tower < 2 { low } else { high }
    }
}

/// How many neighbours a thread takes: 4 where every one of `multiples` (offsets and lengths) is a multiple of 4, or 1.
pub fn width(multiples: impl IntoIterator<Item = usize>) -> u32 {
    if multiples.into_iter().all(|number| number.is_multiple_of(4)) { 4 } else { 1 }
}

/// The grid for `n` elements of each tower, `width` to a thread.
pub const fn grid(n: u32, width: u32, towers: u32) -> [u32; 3] {
    [ceil_div(n, THREADS * width), towers, 1]
}

/// Division by a number that is known when a kernel is launched: a product, a sum and a shift
/// (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994).
/// The GPU has no instruction for division; the general routine takes some twenty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Divisor {
    divisor: u32,
    multiplier: u32,
    shift: u32,
}

impl Divisor {
    /// # Panics
    /// With a divisor of 0 or above 2^31.
    pub const fn new(divisor: u32) -> Divisor {
        assert!(divisor > 0 && divisor <= 1 << 31, "a divisor from 1 to 2^31");
        let shift = divisor.next_power_of_two().trailing_zeros();
        let rest = (1_u64 << shift) - divisor as u64;
        Divisor { divisor, multiplier: ((rest << 32) / divisor as u64 + 1) as u32, shift }
    }

    /// The number that it divides by.
    #[inline(always)]
    pub const fn divisor(self) -> u32 {
        self.divisor
    }

    /// Quotient and remainder of a number below 2^31.
    #[inline(always)]
    pub const fn divide(self, n: u32) -> (u32, u32) {
        let high = ((n as u64 * self.multiplier as u64) >> 32) as u32;
        let quotient = (high + n) >> self.shift;
        (quotient, n - quotient * self.divisor)
    }
}

#[cfg(target_arch = "nvptx64")]
pub use device::{Element, Pack, first_element};

#[cfg(target_arch = "nvptx64")]
mod device {
    use super::THREADS;
    use crate::arch::{F32x4, U32x2, bf16_pair, block_x, thread};
    use crate::precision::Bf16;

    /// The first element of this thread, in packs of `width`.
    #[inline(always)]
    pub fn first_element(width: u32) -> u32 {
        (block_x() * THREADS + thread()) * width
    }

    /// A type of tensors in device memory.
    pub trait Element: Copy {
        /// The nearest number of this type; of two that are as near, the even one.
        fn round(value: f32) -> f32;
        /// Reads one.
        ///
        /// # Safety
        /// `from` points to an element.
        unsafe fn load(from: *const Self) -> f32;
        /// Reads four neighbours.
        ///
        /// # Safety
        /// `from` points to four elements and is aligned to the four.
        unsafe fn load4(from: *const Self) -> F32x4;
        /// Rounds and writes one.
        ///
        /// # Safety
        /// `to` points to an element.
        unsafe fn store(to: *mut Self, value: f32);
        /// Rounds and writes four neighbours.
        ///
        /// # Safety
        /// `to` points to four elements and is aligned to the four.
        unsafe fn store4(to: *mut Self, value: F32x4);
        /// Reads eight neighbours.
        ///
        /// # Safety
        /// `from` points to eight elements and is aligned to 16 bytes.
        unsafe fn load8(from: *const Self) -> [F32x4; 2];
        /// Rounds and writes eight neighbours.
        ///
        /// # Safety
        /// `to` points to eight elements and is aligned to 16 bytes.
        unsafe fn store8(to: *mut Self, value: [f32; 8]);
    }

    impl Element for f32 {
        #[inline(always)]
        fn round(value: f32) -> f32 {
            value
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> f32 {
            // SAFETY: the caller's contract.
            unsafe { *from }
        }

        #[inline(always)]
        unsafe fn load4(from: *const f32) -> F32x4 {
            // SAFETY: the caller's contract.
            unsafe { F32x4::load(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: f32) {
            // SAFETY: the caller's contract.
            unsafe { *to = value }
        }

        #[inline(always)]
        unsafe fn store4(to: *mut f32, value: F32x4) {
            // SAFETY: the caller's contract.
            unsafe { value.store(to) }
        }

        #[inline(always)]
        unsafe fn load8(from: *const f32) -> [F32x4; 2] {
            // SAFETY: the caller's contract.
            unsafe { [F32x4::load(from), F32x4::load(from.add(4))] }
        }

        #[inline(always)]
        unsafe fn store8(to: *mut f32, [a, b, c, d, e, f, g, h]: [f32; 8]) {
            // SAFETY: the caller's contract.
            unsafe {
                F32x4::new(a, b, c, d).store(to);
                F32x4::new(e, f, g, h).store(to.add(4));
            }
        }
    }

    /// The element in the lower half of a word, and that in the upper one.
    #[inline(always)]
    fn halves(pair: u32) -> [f32; 2] {
        [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
    }

    impl Element for Bf16 {
        #[inline(always)]
        fn round(value: f32) -> f32 {
            halves(bf16_pair(value, 0.0))[0]
        }

        #[inline(always)]
        unsafe fn load(from: *const Bf16) -> f32 {
            // SAFETY: the caller's contract.
            halves(u32::from(unsafe { (*from).0 }))[0]
        }

        #[inline(always)]
        unsafe fn load4(from: *const Bf16) -> F32x4 {
            // SAFETY: the caller's contract.
            let U32x2 { x, y } = unsafe { U32x2::load(from.cast()) };
            let ([x, y], [z, w]) = (halves(x), halves(y));
            F32x4::new(x, y, z, w)
        }

        #[inline(always)]
        unsafe fn store(to: *mut Bf16, value: f32) {
            // SAFETY: the caller's contract.
            unsafe { *to = Bf16(bf16_pair(value, 0.0) as u16) }
        }

        #[inline(always)]
        unsafe fn store4(to: *mut Bf16, value: F32x4) {
            let pairs = U32x2 { x: bf16_pair(value.x, value.y), y: bf16_pair(value.z, value.w) };
            // SAFETY: the caller's contract.
            unsafe { pairs.store(to.cast()) }
        }

        #[inline(always)]
        unsafe fn load8(from: *const Bf16) -> [F32x4; 2] {
            // Read as four floats, because a pack is 16 bytes.
            // SAFETY: the caller's contract.
            let pairs = unsafe { F32x4::load(from.cast()) };
            let four = |low: f32, high: f32| {
                let ([x, y], [z, w]) = (halves(low.to_bits()), halves(high.to_bits()));
                F32x4::new(x, y, z, w)
            };
            [four(pairs.x, pairs.y), four(pairs.z, pairs.w)]
        }

        #[inline(always)]
        unsafe fn store8(to: *mut Bf16, [a, b, c, d, e, f, g, h]: [f32; 8]) {
            let pair = |low, high| f32::from_bits(bf16_pair(low, high));
            // SAFETY: the caller's contract.
            unsafe { F32x4::new(pair(a, b), pair(c, d), pair(e, f), pair(g, h)).store(to.cast()) }
        }
    }

    /// Neighbouring elements of one thread, as f32.
    pub trait Pack: Copy {
        /// How many.
        const WIDTH: u32;

        /// Makes each from its index.
        fn from_fn(f: impl Fn(u32) -> f32) -> Self;
        /// Makes each from those of three packs.
        fn zip3(self, b: Self, c: Self, f: impl Fn(f32, f32, f32) -> f32) -> Self;
        /// Reads them.
        ///
        /// # Safety
        /// `from` points to `WIDTH` elements and is aligned to them.
        unsafe fn load<E: Element>(from: *const E) -> Self;
        /// Rounds and writes them.
        ///
        /// # Safety
        /// `to` points to `WIDTH` elements and is aligned to them.
        unsafe fn store<E: Element>(self, to: *mut E);

        /// The same number in each place.
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self::from_fn(|_| value)
        }

        /// Changes each.
        #[inline(always)]
        fn map(self, f: impl Fn(f32) -> f32) -> Self {
            self.zip3(self, self, |x, _, _| f(x))
        }

        /// Makes each from those of two packs.
        #[inline(always)]
        fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
            self.zip3(b, b, |x, y, _| f(x, y))
        }
    }

    impl Pack for f32 {
        const WIDTH: u32 = 1;

        #[inline(always)]
        fn from_fn(f: impl Fn(u32) -> f32) -> f32 {
            f(0)
        }

        #[inline(always)]
        fn zip3(self, b: f32, c: f32, f: impl Fn(f32, f32, f32) -> f32) -> f32 {
            f(self, b, c)
        }

        #[inline(always)]
        unsafe fn load<E: Element>(from: *const E) -> f32 {
            // SAFETY: the caller's contract.
            unsafe { E::load(from) }
        }

        #[inline(always)]
        unsafe fn store<E: Element>(self, to: *mut E) {
            // SAFETY: the caller's contract.
            unsafe { E::store(to, self) }
        }
    }

    impl Pack for F32x4 {
        const WIDTH: u32 = 4;

        #[inline(always)]
        fn from_fn(f: impl Fn(u32) -> f32) -> F32x4 {
            F32x4::new(f(0), f(1), f(2), f(3))
        }

        #[inline(always)]
        fn zip3(self, b: F32x4, c: F32x4, f: impl Fn(f32, f32, f32) -> f32) -> F32x4 {
            F32x4::new(f(self.x, b.x, c.x), f(self.y, b.y, c.y), f(self.z, b.z, c.z), f(self.w, b.w, c.w))
        }

        #[inline(always)]
        unsafe fn load<E: Element>(from: *const E) -> F32x4 {
            // SAFETY: the caller's contract.
            unsafe { E::load4(from) }
        }

        #[inline(always)]
        unsafe fn store<E: Element>(self, to: *mut E) {
            // SAFETY: the caller's contract.
            unsafe { E::store4(to, self) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_is_exact() {
        let numbers = (0..40_u32).flat_map(|bit| {
            let power = 1_u64 << bit.min(31);
            [power.saturating_sub(1), power, power + 1, power / 3, power / 7 * 5]
        });
        for divisor in (1..300).chain([3025, 65_535, 65_537, 150_528, (1 << 30) + 1, (1 << 31) - 1, 1 << 31]) {
            let by = Divisor::new(divisor);
            for n in numbers.clone().chain((0..40).map(|i| i * u64::from(divisor))).chain([(1 << 31) - 1]) {
                for n in [n.saturating_sub(1), n].into_iter().filter(|&n| n < 1 << 31) {
                    let n = n as u32;
                    assert_eq!(by.divide(n), (n / divisor, n % divisor), "{n} / {divisor}");
                }
            }
        }
    }

    #[test]
    fn towers_have_their_places() {
        let offsets = Offsets::new([5, 7, 11, 13]);
        assert_eq!([0, 1, 2, 3].map(|tower| offsets.of(tower)), [5, 7, 11, 13]);
    }

    #[test]
    fn four_at_a_time_only_where_all_are_multiples() {
        assert_eq!(width([0, 4, 128]), 4);
        assert_eq!(width([0, 4, 130]), 1);
        assert_eq!(grid(1025, 4, 2), [2, 2, 1]);
    }
}
