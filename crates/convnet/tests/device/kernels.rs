//! The first kernels through `convnet::device`: any shape, random numbers, poisoned outputs, guards.

use convnet::device::Argument;
use kernels_gpu::gemm::{self, Dims};
use kernels_gpu::{block_reduce, fill, gemm_bf16, vector_add};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::card::{Bench, Guarded, bits, card};

/// A few shapes a kernel: a shape takes up to a second. Failures are printed, not filed.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) }
}

/// Numbers whose sums round.
fn floats(len: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(-4.0_f32..4.0, len)
}

/// `a` and `b` for a shape.
fn factors() -> impl Strategy<Value = (Dims, Vec<f32>, Vec<f32>)> {
    (1..150_u32, 1..150_u32, 1..40_u32)
        .prop_flat_map(|(m, n, k)| (Just(Dims { m, n, k }), floats((m * k) as usize), floats((k * n) as usize)))
}

/// The upper half of a number's bits.
fn to_bf16(numbers: &[f32]) -> Vec<u16> {
    numbers.iter().map(|number| (number.to_bits() >> 16) as u16).collect()
}

fn from_bf16(number: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(number) << 16))
}

#[test]
fn fill_sets_every_number_and_no_other() {
    let Some(bench) = Bench::new(card(0)) else { return };
    proptest!(cases(), |(n in 1..5000_u32, value in any::<f32>())| {
        let out = Guarded::poisoned::<f32>(&bench.context, n as usize);
        let address = out.address();
        let arguments = [Argument::address(&address), Argument::value(&value), Argument::value(&n)];
        // SAFETY: `out` has room for `n` floats and lives until it is read.
        unsafe { bench.start(&fill::FILL, fill::grid(n), &arguments) };
        prop_assert_eq!(out.read::<u32>(), vec![value.to_bits(); n as usize]);
    });
}

#[test]
fn vector_add_adds_as_the_host_does() {
    let Some(bench) = Bench::new(card(0)) else { return };
    let vectors = (1..5000_usize).prop_flat_map(|n| (floats(n), floats(n)));
    proptest!(cases(), |((a, b) in vectors)| {
        let n = a.len() as u32;
        let (x, y) = (Guarded::of(&bench.context, &a), Guarded::of(&bench.context, &b));
        let out = Guarded::poisoned::<f32>(&bench.context, a.len());
        let addresses = [x.address(), y.address(), out.address()];
        let [x, y, z] = &addresses;
        let arguments = [Argument::address(x), Argument::address(y), Argument::address(z), Argument::value(&n)];
        // SAFETY: all three have `n` floats, do not overlap, and live until `out` is read.
        unsafe { bench.start(&vector_add::VECTOR_ADD, vector_add::grid(n), &arguments) };
        let sums: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        prop_assert_eq!(bits(&out.read::<f32>()), bits(&sums));
    });
}

#[test]
fn block_reduce_sums_in_its_order() {
    let Some(bench) = Bench::new(card(0)) else { return };
    // Short ones leave most of a block without numbers.
    let len = prop_oneof![1_usize..300, 1..3 * block_reduce::CHUNK as usize];
    proptest!(cases(), |(numbers in len.prop_flat_map(floats))| {
        let n = numbers.len() as u32;
        let input = Guarded::of(&bench.context, &numbers);
        let partial = Guarded::poisoned::<f32>(&bench.context, block_reduce::n_partials(n) as usize);
        let addresses = [input.address(), partial.address()];
        let arguments = [Argument::address(&addresses[0]), Argument::address(&addresses[1]), Argument::value(&n)];
        // SAFETY: `input` has `n` floats, `partial` one per block; they do not overlap and live until the end.
        unsafe { bench.start(&block_reduce::BLOCK_REDUCE, block_reduce::grid(n), &arguments) };
        let sums: Vec<f32> = numbers.chunks(block_reduce::CHUNK as usize).map(block_reduce::sum_in_order).collect();
        prop_assert_eq!(bits(&partial.read::<f32>()), bits(&sums));
    });
}

/// Fused multiply-adds from zero, in ascending `k`: what both f32 kernels promise, bit for bit.
fn product(a: &[f32], b: &[f32], Dims { m, n, k }: Dims) -> Vec<f32> {
    let (m, n, k) = (m as usize, n as usize, k as usize);
    let element =
        |row: usize, column: usize| (0..k).fold(0.0_f32, |sum, i| a[row * k + i].mul_add(b[i * n + column], sum));
    (0..m * n).map(|i| element(i / n, i % n)).collect()
}

#[test]
fn products_are_those_of_the_host() {
    let Some(bench) = Bench::new(card(0)) else { return };
    proptest!(cases(), |((dims, a, b) in factors())| {
        let (x, y) = (Guarded::of(&bench.context, &a), Guarded::of(&bench.context, &b));
        let expected = bits(&product(&a, &b, dims));
        for (kernel, grid) in
            [(&gemm::GEMM_NAIVE, gemm::naive_grid(dims)), (&gemm::GEMM_TILED, gemm::tiled_grid(dims))]
        {
            let out = Guarded::poisoned::<f32>(&bench.context, (dims.m * dims.n) as usize);
            let addresses = [x.address(), y.address(), out.address()];
            let [x, y, z] = addresses.each_ref().map(Argument::address);
            // SAFETY: the buffers have the sizes of `dims`, do not overlap, and live until `out` is read.
            unsafe { bench.start(kernel, grid, &[x, y, z, Argument::value(&dims)]) };
            prop_assert_eq!(&bits(&out.read::<f32>()), &expected, "{} of {:?}", kernel.name, dims);
        }
    });
}

/// Off by at most the rounding of the result to bf16, and of `k` additions in f32, rounded in any way.
#[test]
fn bf16_products_are_within_rounding() {
    let Some(bench) = Bench::new(card(0)) else { return };
    let shapes = (1..150_u32, 1..75_u32, 1..18_u32).prop_map(|(m, n, k)| Dims { m, n: 2 * n, k: 8 * k });
    let factors = shapes
        .prop_flat_map(|dims| (Just(dims), floats((dims.m * dims.k) as usize), floats((dims.n * dims.k) as usize)));
    proptest!(cases(), |((dims, a, b) in factors)| {
        let (a, b) = (to_bf16(&a), to_bf16(&b));
        let (x, y) = (Guarded::of(&bench.context, &a), Guarded::of(&bench.context, &b));
        let out = Guarded::poisoned::<u16>(&bench.context, (dims.m * dims.n) as usize);
        let addresses = [x.address(), y.address(), out.address()];
        let [x, y, z] = addresses.each_ref().map(Argument::address);
        // SAFETY: the buffers have the sizes of `dims`, `k` and `n` are multiples of 8 and 2; they do not overlap, and
        // live until `out` is read.
        unsafe { bench.start(&gemm_bf16::GEMM_BF16, gemm_bf16::grid(dims), &[x, y, z, Argument::value(&dims)]) };
        let (n, k) = (dims.n as usize, dims.k as usize);
        for (i, &found) in out.read::<u16>().iter().enumerate() {
            let (row, column) = (&a[i / n * k..][..k], &b[i % n * k..][..k]);
            let products = || row.iter().zip(column).map(|(&a, &b)| from_bf16(a) * from_bf16(b));
            let (sum, size) = (products().sum::<f64>(), products().map(f64::abs).sum::<f64>());
            let bound = 2.0_f64.powi(-8) * sum.abs() + k as f64 * 2.0_f64.powi(-23) * size;
            let error = (from_bf16(found) - sum).abs();
            prop_assert!(error <= bound, "element {i} of {dims:?}: {} for {sum}, bound {bound}", from_bf16(found));
        }
    });
}
