//! Counters on kernels whose counts are known.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::{Gpu, Params};
use cuda_sim::observe::{Counters, Counts, Kind};
use cuda_sim::{Config, launch_observed};

/// Runs one warp; %r1 is the thread, %rd1 a buffer of 4 KiB, `s` 4 KiB of shared memory, both written.
fn count(body: &str) -> Counts {
    let gpu = Gpu::kernel(
        ".param .u64 x",
        &format!(
            ".shared .align 128 .b8 s[4096]; ld.param.u64 %rd1, [x]; mov.u32 %r1, %tid.x; mov.u32 %r2, 0;\n{body}"
        ),
    );
    let x = gpu.words(&[7; 1024]);
    let counters = Counters::new(gpu.program.module().kernel("k").unwrap());
    // Shared memory is not written first, so that nothing else is counted.
    let config = Config { checks: false, ..Config::new([1; 3], [32, 1, 1]) };
    launch_observed(&gpu.program, "k", &config, &Params::default().u64(x).0, &gpu.memory, &counters).unwrap();
    counters.counts()
}

/// A global access with `stride` bytes between lanes.
fn global(access: &str, stride: u32) -> Counts {
    count(&format!("mul.wide.u32 %rd2, %r1, {stride}; add.s64 %rd2, %rd1, %rd2; {access}"))
}

#[test]
fn sectors() {
    // Coalesced: 128 bytes are four sectors. With a stride of 8 bytes twice as many, from 32 on one for each lane.
    for (stride, sectors) in [(0, 1), (4, 4), (8, 8), (32, 32), (128, 32)] {
        assert_eq!(global("ld.global.u32 %r3, [%rd2];", stride).read_sectors, sectors);
        assert_eq!(global("st.global.u32 [%rd2], %r1;", stride).write_sectors, sectors);
    }
    assert_eq!(global("ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%rd2];", 16).read_sectors, 16);
    // Shifted by a word, a warp's 128 bytes touch a fifth sector.
    assert_eq!(global("ld.global.u32 %r3, [%rd2+4];", 4).read_sectors, 5);
    assert_eq!(global("red.global.add.u32 [%rd2], 1;", 4).read_sectors, 4);
    let copy = global("cp.async.cg.shared.global [s], [%rd2], 16; cp.async.wait_all;", 16);
    assert_eq!((copy.read_sectors, copy.write_sectors), (16, 0));
}

#[test]
fn banks() {
    let shared = |access: &str, stride: u32| {
        let counts = count(&format!("mul.lo.u32 %r3, %r1, {stride}; mov.u32 %r4, s; add.u32 %r3, %r3, %r4; {access}"));
        (counts.shared_passes, counts.bank_conflicts)
    };
    // Words in a row, one word for all, a padded column, and strides that put n lanes into a bank.
    for (stride, ways) in [(4, 1), (0, 1), (12, 1), (124, 1), (8, 2), (16, 4), (64, 16), (128, 32)] {
        assert_eq!(shared("st.shared.u32 [%r3], %r1;", stride), (ways, ways - 1));
    }
    assert_eq!(shared("ld.shared.u8 %r5, [%r3];", 1), (1, 0));
    // 16 bytes go by quarters of a warp.
    assert_eq!(shared("ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r3];", 16), (4, 0));
    assert_eq!(shared("ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r3];", 32), (8, 4));
    assert_eq!(shared("ld.shared.v2.u32 {%r5, %r6}, [%r3];", 8), (2, 0));
    // Rows of 128 bytes: the eight rows of each matrix begin in one bank.
    let matrix = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%r3];";
    assert_eq!(shared(matrix, 128), (32, 28));
    assert_eq!(shared(matrix, 16), (4, 0));
}

#[test]
fn kinds_and_lanes() {
    let counts = count(
        "mov.f32 %f1, 0f3F800000; fma.rn.f32 %f2, %f1, %f1, %f1; fma.rn.f32 %f2, %f1, %f1, %f2; add.f32 %f2, %f2, %f1;
         ex2.approx.f32 %f3, %f2; bar.sync 0; shfl.sync.bfly.b32 %r3, %r1, 1, 31, -1;
         mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f4, %f5, %f6, %f7}, {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f1, %f1, %f1, %f1};
         setp.lt.u32 %p1, %r1, 8; @%p1 bra L; add.f32 %f2, %f2, %f1; add.f32 %f2, %f2, %f1; L: ret;",
    );
    let of = |kind| (counts.instructions(kind), counts.lanes(kind));
    assert_eq!(of(Kind::Fma), (2, 64));
    assert_eq!(of(Kind::Float), (3, 32 + 24 + 24));
    assert_eq!(of(Kind::Special), (1, 32));
    assert_eq!((of(Kind::Barrier), of(Kind::Warp), of(Kind::Tensor)), ((1, 32), (1, 32), (1, 32)));
    assert_eq!(of(Kind::Branch), (2, 8 + 32));
    assert_eq!(counts.tensor_multiply_adds, 16 * 8 * 16);
    // 24 did not take the branch, 8 skipped two additions.
    assert_eq!(counts.idle_lanes, 24 + 8 + 8);
}
