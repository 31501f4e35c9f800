//! Other compilers' PTX: it parses, passes the uniformity rule, and computes what it should.

mod common;

use common::{Gpu, Params};
use cuda_sim::{Config, cfg};

const NVRTC: &str = include_str!("../fixtures/nvrtc.ptx");
const VECTOR_ADD: &str = include_str!("../fixtures/triton_vector_add.ptx");
const SOFTMAX: &str = include_str!("../fixtures/triton_softmax.ptx");
const RUST: &str = include_str!("../fixtures/rust.ptx");

/// Numbers in -1..1, the same each time.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mix = |i: u32| (i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35) >> 8;
    (0..n as u32).map(|i| mix(i) as f32 / 8388608.0 - 1.0).collect()
}

#[test]
fn real_kernels_pass_the_uniformity_rule() {
    for source in [NVRTC, VECTOR_ADD, SOFTMAX, RUST] {
        let gpu = Gpu::new(source);
        for kernel in &gpu.program.module().kernels {
            let found = cfg::divergences(kernel);
            // `reduce` shuffles under `threadIdx.x < 32`: whole warps, but the rule cannot know that.
            assert_eq!(found.len(), if kernel.name == "reduce" { 5 } else { 0 }, "{found:?}");
        }
    }
}

#[test]
fn nvrtc_product() {
    let gpu = Gpu::new(NVRTC);
    for (m, n, k) in [(64, 64, 16), (70, 130, 37), (1, 1, 1), (5, 200, 3)] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (pa, pb) = (gpu.floats(&a), gpu.floats(&b));
        let c = gpu.memory.alloc(0, m * n * 4);
        let params = Params::default().u64(pa).u64(pb).u64(c).u32(m as u32).u32(n as u32).u32(k as u32);
        gpu.run("product", [n.div_ceil(64) as u32, m.div_ceil(64) as u32, 1], [16, 16, 1], params);
        for (i, got) in gpu.read_floats(c, m * n).into_iter().enumerate() {
            let want = (0..k).fold(0.0f32, |sum, j| a[i / n * k + j].mul_add(b[j * n + i % n], sum));
            assert_eq!(got, want, "{m}x{n}x{k}, element {i}");
        }
    }
}

#[test]
fn nvrtc_reduction() {
    let gpu = Gpu::new(NVRTC);
    for n in [1usize, 31, 256, 1000, 5000] {
        let x: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
        let (px, partial) = (gpu.floats(&x), gpu.memory.alloc(0, 3 * 4));
        let params = Params::default().u64(px).u64(partial).u32(n as u32);
        gpu.run("reduce", [3, 1, 1], [256, 1, 1], params);
        assert_eq!(gpu.read_floats(partial, 3).iter().sum::<f32>(), x.iter().sum::<f32>());
    }
}

#[test]
fn nvrtc_scan() {
    let gpu = Gpu::new(NVRTC);
    for n in [1u32, 100, 256] {
        let x: Vec<u32> = (0..n).map(|i| i * 3 + 1).collect();
        let (px, y) = (gpu.words(&x), gpu.memory.alloc(0, n as usize * 4));
        let config = Config { shared_bytes: 2 * 256 * 4, ..Config::new([1; 3], [256, 1, 1]) };
        gpu.launch("scan", &config, Params::default().u64(px).u64(y).u32(n)).unwrap();
        let sums = x.iter().scan(0, |sum, x| {
            *sum += x;
            Some(*sum)
        });
        let want: Vec<u32> = sums.collect();
        assert_eq!(gpu.read(y, n as usize), want);
    }
}

#[test]
fn nvrtc_transpose() {
    let gpu = Gpu::new(NVRTC);
    for (rows, cols) in [(32u32, 32u32), (5, 70), (100, 33)] {
        let x = numbers((rows * cols) as usize, 3);
        let (px, y) = (gpu.floats(&x), gpu.memory.alloc(0, x.len() * 4));
        let params = Params::default().u64(px).u64(y).u32(rows).u32(cols);
        gpu.run("transpose", [cols.div_ceil(32), rows.div_ceil(32), 1], [32, 8, 1], params);
        for (i, got) in gpu.read_floats(y, x.len()).into_iter().enumerate() {
            let (col, row) = (i / rows as usize, i % rows as usize);
            assert_eq!(got, x[row * cols as usize + col]);
        }
    }
}

/// No order of warps and blocks changes a bit of a correct kernel.
#[test]
fn seeds_change_no_bit() {
    let gpu = Gpu::new(NVRTC);
    let (m, n, k) = (70usize, 130usize, 37usize);
    let (pa, pb) = (gpu.floats(&numbers(m * k, 1)), gpu.floats(&numbers(k * n, 2)));
    let run = |seed| {
        let c = gpu.memory.alloc(0, m * n * 4);
        let config = Config { seed, ..Config::new([3, 2, 1], [16, 16, 1]) };
        gpu.launch(
            "product",
            &config,
            Params::default().u64(pa).u64(pb).u64(c).u32(m as u32).u32(n as u32).u32(k as u32),
        )
        .unwrap();
        gpu.read(c, m * n)
    };
    let first = run(0);
    (1..9).for_each(|seed| assert_eq!(run(seed), first));
}

/// Triton passes two pointers of its own after a kernel's parameters.
fn triton(params: Params) -> Params {
    params.u64(0).u64(0)
}

#[test]
fn triton_vector_add() {
    let gpu = Gpu::new(VECTOR_ADD);
    let (x, y) = (numbers(1000, 4), numbers(1000, 5));
    let (px, py, out) = (gpu.floats(&x), gpu.floats(&y), gpu.memory.alloc(0, 4000));
    let params = triton(Params::default().u64(px).u64(py).u64(out).u32(1000));
    gpu.run("vector_add", [4, 1, 1], [128, 1, 1], params);
    let want: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
    assert_eq!(gpu.read_floats(out, 1000), want);
}

#[test]
fn triton_softmax() {
    let gpu = Gpu::new(SOFTMAX);
    let (rows, cols) = (5usize, 300usize);
    let x: Vec<f32> = numbers(rows * cols, 6).iter().map(|x| x * 5.0).collect();
    let (px, out) = (gpu.floats(&x), gpu.memory.alloc(0, x.len() * 4));
    let config = Config { shared_bytes: 64, ..Config::new([rows as u32, 1, 1], [128, 1, 1]) };
    gpu.launch("softmax", &config, triton(Params::default().u64(px).u64(out).u32(cols as u32))).unwrap();
    let got = gpu.read_floats(out, x.len());
    for (x, got) in x.chunks(cols).zip(got.chunks(cols)) {
        let sum: f64 = x.iter().map(|&x| f64::from(x).exp()).sum();
        for (&x, &got) in x.iter().zip(got) {
            let want = f64::from(x).exp() / sum;
            assert!((f64::from(got) - want).abs() <= 1e-6 * want, "{got} {want}");
        }
    }
}

/// A bf16 product with `ldmatrix`, `mma.sync` and three stages of `cp.async`: c = a * b^T.
#[test]
fn rust_mma_product() {
    let gpu = Gpu::new(RUST);
    for kernel in ["gemm_mma_cpasync", "gemm_mma_simple"] {
        for (m, n, k) in [(128usize, 128usize, 64usize), (150, 136, 200)] {
            let bf16 = |x: f32| x.to_bits() & 0xffff_0000;
            let a: Vec<u32> = numbers(m * k, 7).into_iter().map(bf16).collect();
            let b: Vec<u32> = numbers(n * k, 8).into_iter().map(bf16).collect();
            let upload = |x: &[u32]| gpu.upload(x, |x: u32| ((x >> 16) as u16).to_le_bytes());
            let (pa, pb, c) = (upload(&a), upload(&b), gpu.memory.alloc(0, m * n * 2));
            let params = Params::default().u64(pa).u64(pb).u64(c).u32(m as u32).u32(n as u32).u32(k as u32);
            let blocks = (m.div_ceil(128) * n.div_ceil(128)) as u32;
            let config = Config { shared_bytes: 3 * 32768, ..Config::new([blocks, 1, 1], [256, 1, 1]) };
            gpu.launch(kernel, &config, params).unwrap_or_else(|error| panic!("{error}"));
            let got = gpu.read(c, m * n / 2);
            for i in 0..m * n {
                let half = if i % 2 == 0 { got[i / 2] << 16 } else { got[i / 2] & 0xffff_0000 };
                let product = |j: usize| {
                    f64::from(f32::from_bits(a[i / n * k + j])) * f64::from(f32::from_bits(b[i % n * k + j]))
                };
                let (want, size) = (0..k).map(product).fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
                let error = (f64::from(f32::from_bits(half)) - want).abs();
                assert!(error <= want.abs() / 256.0 + size * 1e-6, "{kernel} {m}x{n}x{k} element {i}: off by {error}");
            }
        }
    }
}
