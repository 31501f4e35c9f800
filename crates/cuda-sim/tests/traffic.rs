//! DRAM bytes of kernels whose traffic is known, and samples against whole launches.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::{Gpu, Params};
use cuda_sim::model::{A100, Card, Counted, Launch, Occupancy, Scarce, Traffic, count};
use cuda_sim::observe::{Intercept, intercept};
use cuda_sim::{Config, LaunchError, Memory, Program, Stats, launch_observed};

/// y = x, a word per thread, for n words.
const COPY: &str = "
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.u32 %r2, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r2, %r1; @%p1 bra END;
    mul.wide.u32 %rd3, %r2, 4; add.s64 %rd1, %rd1, %rd3; add.s64 %rd2, %rd2, %rd3;
    ld.global.u32 %r5, [%rd1]; st.global.u32 [%rd2], %r5;
    END: ret;";

/// What a product asks for: block (x, y) reads panel y of a and panel x of b, n lines each, and writes a line of c.
const PRODUCT: &str = "
    ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [c]; ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ctaid.y; mov.u32 %r4, %nctaid.x;
    mad.lo.u32 %r4, %r3, %r4, %r2; mov.u32 %r5, %tid.x; mul.wide.u32 %rd4, %r5, 4;
    mul.lo.u32 %r6, %r1, 128; mul.wide.u32 %rd5, %r6, %r3; mul.wide.u32 %rd6, %r6, %r2; mul.wide.u32 %rd7, %r4, 128;
    add.s64 %rd1, %rd1, %rd5; add.s64 %rd1, %rd1, %rd4; add.s64 %rd2, %rd2, %rd6; add.s64 %rd2, %rd2, %rd4;
    add.s64 %rd3, %rd3, %rd7; add.s64 %rd3, %rd3, %rd4; mov.f32 %f1, 0f00000000;
    LOOP: ld.global.f32 %f2, [%rd1]; ld.global.f32 %f3, [%rd2]; fma.rn.f32 %f1, %f2, %f3, %f1;
    add.s64 %rd1, %rd1, 128; add.s64 %rd2, %rd2, 128; sub.u32 %r1, %r1, 1;
    setp.ne.u32 %p1, %r1, 0; @%p1 bra LOOP;
    st.global.f32 [%rd3], %f1; ret;";

const ONE: Occupancy = Occupancy { blocks: 1, scarce: Scarce::Threads };
const ALL: u64 = u64::MAX;

fn card(sms: u32, l2_bytes: u64) -> Card {
    Card { sms, l2_bytes, ..A100 }
}

fn copy(words: u32, card: &Card, budget: u64) -> Counted {
    let gpu = Gpu::kernel(".param .u64 x, .param .u64 y, .param .u32 n", COPY);
    let (x, y) = (gpu.words(&vec![1; words as usize]), gpu.memory.alloc(0, words as usize * 4));
    let config = Config::new([words.div_ceil(256), 1, 1], [256, 1, 1]);
    let params = Params::default().u64(x).u64(y).u32(words).0;
    let launch = Launch { program: &gpu.program, kernel: "k", config: &config, params: &params, memory: &gpu.memory };
    count(launch, card, ONE, budget).unwrap()
}

/// A product of `rows` by `columns` blocks, panels of 16 lines.
fn product(rows: u32, columns: u32, card: &Card) -> Traffic {
    let gpu = Gpu::kernel(".param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n", PRODUCT);
    let [a, b] = [rows, columns].map(|panels| gpu.floats(&vec![1.0; (panels * 16 * 32) as usize]));
    let c = gpu.memory.alloc(0, (rows * columns * 128) as usize);
    let config = Config::new([columns, rows, 1], [32, 1, 1]);
    let params = Params::default().u64(a).u64(b).u64(c).u32(16).0;
    let launch = Launch { program: &gpu.program, kernel: "k", config: &config, params: &params, memory: &gpu.memory };
    count(launch, card, ONE, ALL).unwrap().dram
}

#[test]
fn a_streaming_copy_moves_every_byte_once_each_way() {
    // However small the cache.
    for l2_bytes in [128, 1 << 20] {
        let counted = copy(1 << 14, &card(4, l2_bytes), ALL);
        assert_eq!(counted.dram, Traffic { read: 1 << 16, written: 1 << 16 });
        assert_eq!((counted.blocks, counted.run), (64, 64));
        assert_eq!((counted.counts.read_sectors * 32, counted.counts.write_sectors * 32), (1 << 16, 1 << 16));
    }
}

#[test]
fn a_product_that_fits_reads_its_operands_once() {
    let panel = 16 * 128;
    let written = 6 * 8 * 128;
    let fits = product(6, 8, &card(8, 1 << 20));
    assert_eq!(fits, Traffic { read: (6 + 8) * panel, written });
    // A wave is a row of blocks. With room for half of b only, each row reads all of b again, and a once.
    let too_big = product(6, 8, &card(8, 4 * panel));
    assert_eq!(too_big, Traffic { read: (6 + 6 * 8) * panel, written });
}

#[test]
fn a_sample_counts_what_the_launch_does() {
    // The last of 400 blocks has 10 words.
    let card = card(10, 1 << 16);
    let words = 399 * 256 + 10;
    let (all, sample) = (copy(words, &card, ALL), copy(words, &card, 0));
    assert_eq!((all.run, sample.run), (400, 20));
    // Inner blocks are all alike, and the edges are counted themselves.
    assert_eq!(sample.counts, all.counts);
    assert_eq!(sample.counts.read_sectors, 399 * 32 + 2);
    let near = |got: u64, expected: u64| assert!(got.abs_diff(expected) * 100 < expected, "{got} for {expected}");
    near(sample.dram.read, all.dram.read);
    near(sample.dram.written, all.dram.written);
}

/// Counts launches and runs none of their blocks.
struct Takes(AtomicU64);

impl Intercept for Takes {
    fn launch(
        &self,
        program: &Program,
        kernel: &str,
        config: &Config,
        params: &[u8],
        memory: &Memory,
    ) -> Result<Stats, LaunchError> {
        self.0.fetch_add(1, Relaxed);
        let none = cuda_sim::observe::Only { blocks: Vec::new(), grid: config.grid };
        launch_observed(program, kernel, config, params, memory, &none)
    }
}

#[test]
fn an_interceptor_takes_launches() {
    let gpu = Gpu::kernel(".param .u64 x, .param .u64 y, .param .u32 n", COPY);
    let (x, y) = (gpu.words(&[7; 256]), gpu.words(&[0; 256]));
    let run = || gpu.run("k", [1, 1, 1], [256, 1, 1], Params::default().u64(x).u64(y).u32(256));
    let takes = Arc::new(Takes(AtomicU64::new(0)));
    intercept(Some(takes.clone()));
    assert_eq!(run(), Stats::default());
    intercept(None);
    assert_eq!((takes.0.load(Relaxed), gpu.read(y, 1)), (1, vec![0]));
    run();
    assert_eq!(gpu.read(y, 1), [7]);
}
