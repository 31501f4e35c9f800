//! How other people write the patterns that fast kernels are made of, as other compilers leave them: what they compute,
//! and counts that can be worked out by hand.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::{Gpu, Params};
use cuda_sim::observe::{Counters, Counts, Kind};
use cuda_sim::{Config, cfg, launch_observed};

const NVRTC: &str = include_str!("../fixtures/nvrtc.ptx");
const LAYER_NORM: &str = include_str!("../fixtures/triton_layer_norm.ptx");
const MATMUL: &str = include_str!("../fixtures/triton_matmul.ptx");

/// Whole numbers in -8..8, the same each time: products and sums of a few hundred are exact in f32, and in bf16 they are
/// themselves.
fn whole(n: usize, seed: u32) -> Vec<f32> {
    let mix = |i: u32| (i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35) >> 28;
    (0..n as u32).map(|i| mix(i) as f32 - 8.0).collect()
}

/// As bf16, two in a word.
fn bf16(gpu: &Gpu, numbers: &[f32]) -> u64 {
    gpu.upload(numbers, |x| ((x.to_bits() >> 16) as u16).to_le_bytes())
}

/// Runs a kernel with all checks, and counts.
fn run(gpu: &Gpu, kernel: &str, config: &Config, params: Params) -> Counts {
    let counters = Counters::new(gpu.program.module().kernel(kernel).unwrap());
    launch_observed(&gpu.program, kernel, config, &params.0, &gpu.memory, &counters).unwrap();
    counters.counts()
}

#[test]
fn an_atomic_histogram() {
    let gpu = Gpu::new(NVRTC);
    let x: Vec<u32> = (0..5000).map(|i| i * 5).collect();
    let (from, counts) = (gpu.words(&x), gpu.words(&[0; 64]));
    let params = Params::default().u64(from).u64(counts).u32(5000);
    let done = run(&gpu, "histogram", &Config::new([4, 1, 1], [256, 1, 1]), params);
    let mut want = vec![0; 64];
    x.iter().for_each(|&x| want[x as usize % 64] += 1);
    assert_eq!(gpu.read(counts, 64), want);
    // 20,000 bytes are 625 sectors; each of four blocks adds 64 words to global memory, 8 sectors.
    assert_eq!((done.read_sectors, done.write_sectors), (625 + 4 * 8, 0));
    // 157 warps' worth of additions in shared memory, where a warp's values lie in 32 banks, and in each block two
    // warps that clear and two that read.
    assert_eq!((done.shared_passes, done.bank_conflicts), (157 + 4 * 4, 0));
}

#[test]
fn a_pipeline_of_asynchronous_copies() {
    let gpu = Gpu::new(NVRTC);
    let (blocks, tiles) = (3, 5);
    let x = whole(blocks * tiles * 512, 1);
    let (from, to) = (gpu.floats(&x), gpu.memory.alloc(0, x.len() * 4));
    let params = Params::default().u64(from).u64(to).u32(tiles as u32);
    let done = run(&gpu, "pipeline", &Config::new([blocks as u32, 1, 1], [128, 1, 1]), params);
    let tile = |tile: &[f32]| (0..512).map(|i| tile[i] + tile[(127 - i / 4) * 4 + i % 4]).collect::<Vec<_>>();
    assert_eq!(gpu.read_floats(to, x.len()), x.chunks(512).flat_map(tile).collect::<Vec<_>>());
    // Every byte once each way, though it goes by shared memory.
    assert_eq!((done.read_sectors, done.write_sectors), ((x.len() / 8) as u64, (x.len() / 8) as u64));
    // A copy and two reads of 16 bytes a thread, four passes for a warp, forwards and backwards alike.
    assert_eq!((done.shared_passes, done.bank_conflicts), ((blocks * tiles * 4 * 3 * 4) as u64, 0));
}

#[test]
fn a_product_on_tensor_cores() {
    let gpu = Gpu::new(NVRTC);
    let (m, n, k) = (32usize, 16usize, 48usize);
    let (a, b) = (whole(m * k, 2), whole(n * k, 3));
    let (pa, pb, c) = (bf16(&gpu, &a), bf16(&gpu, &b), gpu.memory.alloc(0, m * n * 4));
    let params = Params::default().u64(pa).u64(pb).u64(c).u32(n as u32).u32(k as u32);
    let done = run(&gpu, "mma_product", &Config::new([n as u32 / 8, m as u32 / 16, 1], [32, 1, 1]), params);
    for (i, got) in gpu.read_floats(c, m * n).into_iter().enumerate() {
        assert_eq!(got, (0..k).map(|j| a[i / n * k + j] * b[i % n * k + j]).sum::<f32>(), "element {i}");
    }
    assert_eq!((done.tensor_multiply_adds, done.instructions(Kind::Tensor)), ((m * n * k) as u64, 12));
    // Six fragments for each of 12 `mma`, of eight rows in different sectors; four stores of eight rows for each tile.
    assert_eq!((done.read_sectors, done.write_sectors), (12 * 6 * 8, 4 * 4 * 8));
}

#[test]
fn a_stencil_through_a_tile_with_a_border() {
    let gpu = Gpu::new(NVRTC);
    let (rows, cols) = (24i32, 64i32);
    let x = whole((rows * cols) as usize, 4);
    let (from, to) = (gpu.floats(&x), gpu.memory.alloc(0, x.len() * 4));
    let params = Params::default().u64(from).u64(to).u32(rows as u32).u32(cols as u32);
    let done = run(&gpu, "stencil", &Config::new([2, 3, 1], [32, 8, 1]), params);
    let at = |r: i32, c: i32| {
        if (0..rows).contains(&r) && (0..cols).contains(&c) { x[(r * cols + c) as usize] } else { 0.0 }
    };
    for (i, got) in gpu.read_floats(to, x.len()).into_iter().enumerate() {
        let (r, c) = (i as i32 / cols, i as i32 % cols);
        assert_eq!(got, (at(r, c) + at(r - 1, c) + at(r + 1, c) + at(r, c - 1) + at(r, c + 1)) * 0.2, "{r}, {c}");
    }
    assert_eq!(done.write_sectors, (rows * cols / 8) as u64);
    // In each of six blocks 340 words of the tile are written by eleven warps, and eight warps read five neighbours.
    assert_eq!((done.shared_passes, done.bank_conflicts), (6 * (11 + 8 * 5), 0));
}

/// Triton passes two pointers of its own after a kernel's parameters.
fn triton(params: Params) -> Params {
    params.u64(0).u64(0)
}

#[test]
fn a_layer_norm_of_triton() {
    let gpu = Gpu::new(LAYER_NORM);
    let (rows, cols) = (5usize, 256usize);
    let (x, weight, bias) = (whole(rows * cols, 5), whole(cols, 6), whole(cols, 7));
    let out = gpu.memory.alloc(0, x.len() * 4);
    let params = Params::default().u64(gpu.floats(&x)).u64(out).u64(gpu.floats(&weight)).u64(gpu.floats(&bias));
    let config = Config { shared_bytes: 16, ..Config::new([rows as u32, 1, 1], [128, 1, 1]) };
    let done = run(&gpu, "layer_norm", &config, triton(params.u32(cols as u32)));
    for (row, got) in x.chunks(cols).zip(gpu.read_floats(out, x.len()).chunks(cols)) {
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / cols as f64;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / cols as f64;
        for (i, &got) in got.iter().enumerate() {
            let normal = (f64::from(row[i]) - mean) / (variance + 1e-5).sqrt();
            let want = normal * f64::from(weight[i]) + f64::from(bias[i]);
            assert!((f64::from(got) - want).abs() < 1e-5, "{got} {want}");
        }
    }
    // A row of x, of the weights and of the biases is 32 sectors each, in every program again.
    assert_eq!((done.read_sectors, done.write_sectors), ((rows * 3 * 32) as u64, (rows * 32) as u64));
}

#[test]
fn a_pipelined_product_of_triton() {
    let gpu = Gpu::new(MATMUL);
    assert_eq!(cfg::divergences(gpu.program.module().kernel("matmul").unwrap()), []);
    let (m, n, k) = (70usize, 64usize, 96usize);
    let (a, b) = (whole(m * k, 8), whole(k * n, 9));
    let (pa, pb, c) = (bf16(&gpu, &a), bf16(&gpu, &b), gpu.memory.alloc(0, m * n * 4));
    let params = Params::default().u64(pa).u64(pb).u64(c).u32(m as u32).u32(n as u32).u32(k as u32);
    let config = Config { shared_bytes: 16384, ..Config::new([2, 1, 1], [128, 1, 1]) };
    let done = run(&gpu, "matmul", &config, triton(params));
    for (i, got) in gpu.read_floats(c, m * n).into_iter().enumerate() {
        assert_eq!(got, (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum::<f32>(), "element {i}");
    }
    // Two tiles of 64 rows, the second nearly empty. Fragments lie swizzled, so no bank is asked twice.
    assert_eq!(done.tensor_multiply_adds, (128 * n * k) as u64);
    assert_eq!(done.bank_conflicts, 0);
    // a once, b by each of the two tiles; 70 rows of c.
    assert_eq!((done.read_sectors, done.write_sectors), (((m * k + 2 * k * n) / 16) as u64, (m * n / 8) as u64));
}
