//! Small programs: memory of every kind, atomics, warps that part and meet, barriers, shuffles.

mod common;

use common::{Gpu, Params};
use cuda_sim::observe::{Access, AccessKind, BlockObserver, Memory, Observer, Step};
use cuda_sim::{Config, launch_observed};

/// Runs `body` with the thread in %r1 and stores %r9 to out[thread].
fn out(threads: u32, body: &str) -> Vec<u32> {
    let gpu = Gpu::kernel(".param .u64 out", &format!("mov.u32 %r1, %tid.x; {body}\n{STORE}"));
    let y = gpu.memory.alloc(0, threads as usize * 4);
    gpu.run("k", [1; 3], [threads, 1, 1], Params::default().u64(y));
    gpu.read(y, threads as usize)
}

const STORE: &str =
    "ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd2, %rd1, %rd2; st.global.u32 [%rd2], %r9;";

fn each(threads: u32, f: impl Fn(u32) -> u32) -> Vec<u32> {
    (0..threads).map(f).collect()
}

#[test]
fn loops_of_different_length_meet_again() {
    let steps = |mut n: u32| {
        let mut steps = 0;
        while n > 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        steps
    };
    let body = "mov.u32 %r9, 0; mov.u32 %r2, %r1;
        L: setp.le.u32 %p1, %r2, 1; @%p1 bra DONE;
        and.b32 %r3, %r2, 1; setp.eq.u32 %p2, %r3, 0; @%p2 bra EVEN;
        mad.lo.u32 %r2, %r2, 3, 1; bra NEXT;
        EVEN: shr.u32 %r2, %r2, 1;
        NEXT: add.u32 %r9, %r9, 1; bra L;
        DONE: bar.warp.sync -1; bar.sync 0;";
    assert_eq!(out(100, body), each(100, steps));
}

#[test]
fn lanes_that_return_early_leave_the_others_whole() {
    let body = "mov.u32 %r9, 5; setp.lt.u32 %p1, %r1, 7; @%p1 bra A;
        setp.gt.u32 %p2, %r1, 20; @%p2 bra B; add.u32 %r9, %r9, 1;
        B: add.u32 %r9, %r9, 10; bra C;
        A: add.u32 %r9, %r9, 100; C: activemask.b32 %r2; popc.b32 %r2, %r2; add.u32 %r9, %r9, %r2;";
    assert_eq!(
        out(32, body),
        each(32, |t| 32
            + 5
            + if t < 7 {
                100
            } else if t > 20 {
                10
            } else {
                11
            })
    );
}

#[test]
fn scopes_have_registers_and_labels_of_their_own() {
    let body = "mov.u32 %r9, 0;
        { .reg .pred p; .reg .b32 n; mov.u32 n, 3; L: add.u32 %r9, %r9, 1; sub.u32 n, n, 1; setp.ne.u32 p, n, 0; @p bra L; }
        { .reg .pred p; .reg .b32 n; mov.u32 n, 4; L: add.u32 %r9, %r9, 10; sub.u32 n, n, 1; setp.ne.u32 p, n, 0; @p bra L; }";
    assert_eq!(out(2, body), [43, 43]);
}

#[test]
fn every_width_loads_and_stores() {
    let body = ".shared .align 16 .b8 s[512]; .local .align 8 .b8 l[16];
        mov.u32 %r2, s; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3;
        st.shared.v4.b32 [%r2], {0x81828384, 0x01020304, %r1, 0xfffe0005};
        ld.shared.s8 %r3, [%r2+3]; ld.shared.u8 %r4, [%r2+1]; ld.shared.s16 %h1, [%r2+14]; ld.shared.u64 %rd4, [%r2+8];
        cvt.s32.s16 %r5, %h1; cvt.u32.u64 %r6, %rd4;
        mov.u64 %rd5, l; cvta.local.u64 %rd5, %rd5; st.v2.u32 [%rd5+8], {%r3, %r4}; st.local.b8 [l+9], %r5;
        ld.v2.u32 {%r7, %r8}, [%rd5+8];
        cvt.u64.u32 %rd6, %r2; cvta.shared.u64 %rd6, %rd6; st.u16 [%rd6], %r1; ld.shared.u32 %r10, [%r2];
        add.u32 %r9, %r6, %r7; add.u32 %r9, %r9, %r8; add.u32 %r9, %r9, %r5; add.u32 %r9, %r9, %r10;";
    // 0x81 as i8 with its second byte replaced by -2, 0x83, -2, and the word with its low half replaced.
    let want = |t: u32| t.wrapping_add(0xffff_fe81).wrapping_add(0x83).wrapping_sub(2).wrapping_add(0x8182_0000 | t);
    assert_eq!(out(32, body), each(32, want));
}

#[test]
fn variables_and_parameters() {
    let gpu = Gpu::new(
        ".version 7.8 .target sm_80 .address_size 64
         .const .align 4 .u32 table[4] = {3, 0x10, -1};
         .global .align 8 .u64 total;
         .visible .entry k(.param .u8 small, .param .align 8 .b8 pair[16], .param .u64 out) {
            .reg .b32 %r<9>; .reg .b64 %rd<9>;
            mov.u32 %r1, %tid.x; ld.const.u32 %r2, [table+4]; mov.u64 %rd3, table; ld.u32 %r3, [%rd3+8];
            ld.param.u8 %r4, [small]; ld.param.v2.u32 {%r5, %r6}, [pair+8]; mov.b64 %rd4, pair; cvta.param.u64 %rd4, %rd4; ld.u32 %r7, [%rd4+12];
            add.u32 %r2, %r2, %r3; add.u32 %r2, %r2, %r4; add.u32 %r2, %r2, %r5; add.u32 %r2, %r2, %r6; add.u32 %r2, %r2, %r7;
            ld.param.u64 %rd1, [out]; st.global.u32 [%rd1], %r2;
            atom.global.add.u64 %rd2, [total], 0x100000001; red.global.max.u64 [total], 7; ret; }",
    );
    let y = gpu.memory.alloc(0, 4);
    let mut params = Params(vec![200, 0, 0, 0, 0, 0, 0, 0]);
    params = params.u64(9).u32(1000).u32(20000).u64(y);
    // All threads write one word.
    let config = Config { races: false, ..Config::new([4, 2, 1], [32, 1, 1]) };
    gpu.launch("k", &config, params).unwrap();
    assert_eq!(gpu.read(y, 1), [16 - 1 + 200 + 1000 + 40000]);
    let (total, bytes) = gpu.program.variable("total").unwrap();
    assert_eq!((gpu.read(total, 2), bytes), (vec![256, 256], 8));
}

#[test]
fn atomics() {
    let gpu = Gpu::kernel(
        ".param .u64 x",
        "ld.param.u64 %rd1, [x]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r3, %r2, 64, %r1;
         red.global.add.u32 [%rd1], 1; atom.global.max.s32 %r4, [%rd1+4], %r3; red.global.min.s32 [%rd1+8], -3;
         red.global.or.b32 [%rd1+12], %r3; atom.global.inc.u32 %r4, [%rd1+16], 4; red.add.f32 [%rd1+20], 0f3F800000;
         L: ld.volatile.global.u32 %r5, [%rd1+24]; add.u32 %r6, %r5, 2; atom.global.cas.b32 %r7, [%rd1+24], %r5, %r6;
         setp.ne.u32 %p1, %r7, %r5; @%p1 bra L; atom.global.exch.b32 %r8, [%rd1+28], 9; ret;",
    );
    let x = gpu.words(&[0; 8]);
    gpu.run("k", [8, 1, 1], [64, 1, 1], Params::default().u64(x));
    assert_eq!(gpu.read(x, 8), [512, 511, -3i32 as u32, 511, 512 % 5, 512f32.to_bits(), 1024, 9]);
}

#[test]
fn shuffles_votes_and_matches() {
    let shfl = |instruction: &str| out(32, &format!("mul.lo.u32 %r2, %r1, 3; {instruction}"));
    assert_eq!(shfl("shfl.sync.idx.b32 %r9, %r2, 5, 31, -1;"), each(32, |_| 15));
    assert_eq!(shfl("shfl.sync.down.b32 %r9, %r2, 3, 31, -1;"), each(32, |t| 3 * if t + 3 < 32 { t + 3 } else { t }));
    assert_eq!(shfl("shfl.sync.up.b32 %r9, %r2, 1, 0, -1;"), each(32, |t| 3 * t.saturating_sub(1)));
    assert_eq!(shfl("shfl.sync.bfly.b32 %r9, %r2, 9, 31, -1;"), each(32, |t| 3 * (t ^ 9)));
    // Segments of 8 lanes: the mask is 0x18.
    assert_eq!(shfl("shfl.sync.idx.b32 %r9, %r2, 1, 0x181f, -1;"), each(32, |t| 3 * (t / 8 * 8 + 1)));
    assert_eq!(
        shfl("shfl.sync.up.b32 %r9|%p1, %r2, 2, 0x1800, -1; selp.u32 %r9, %r9, 99, %p1;"),
        each(32, |t| if t % 8 >= 2 { 3 * (t - 2) } else { 99 })
    );
    let vote = |instruction: &str| out(32, &format!("setp.lt.u32 %p1, %r1, 10; {instruction}"));
    assert_eq!(vote("vote.sync.ballot.b32 %r9, %p1, -1;"), each(32, |_| 0x3ff));
    assert_eq!(vote("vote.sync.any.pred %p2, %p1, -1; selp.u32 %r9, 1, 0, %p2;"), each(32, |_| 1));
    assert_eq!(vote("vote.sync.all.pred %p2, %p1, -1; selp.u32 %r9, 1, 0, %p2;"), each(32, |_| 0));
    assert_eq!(vote("and.b32 %r2, %r1, 3; match.any.sync.b32 %r9, %r2, -1;"), each(32, |t| 0x1111_1111 << (t % 4)));
    assert_eq!(vote("redux.sync.add.u32 %r9, %r1, -1;"), each(32, |_| 496));
    assert_eq!(vote("redux.sync.min.s32 %r9, -4, -1;"), each(32, |_| -4i32 as u32));
}

#[test]
fn barriers_reduce_and_named_ones_count() {
    let body = "setp.lt.u32 %p1, %r1, 70; barrier.cta.red.popc.aligned.u32 %r9, 0, %p1;
        bar.red.or.pred %p2, 0, %p1; @!%p2 trap; bar.red.and.pred %p3, 1, 96, %p1; @%p3 trap;";
    assert_eq!(out(96, body), each(96, |_| 70));
    // The first warp produces and goes on; the second waits.
    let body = ".shared .align 4 .b8 s[4]; mov.u32 %r9, 1; setp.lt.u32 %p1, %r1, 32; @!%p1 bra WAIT;
        setp.eq.u32 %p2, %r1, 0; @%p2 st.shared.u32 [s], 77; bar.arrive 3, 64; bra DONE;
        WAIT: bar.sync 3, 64; ld.shared.u32 %r9, [s]; DONE:";
    assert_eq!(out(64, body), each(64, |t| if t < 32 { 1 } else { 77 }));
}

#[test]
fn a_warp_may_spin_until_another_one_writes() {
    let body = ".shared .align 4 .b8 s[4]; setp.eq.u32 %p3, %r1, 0; @%p3 st.shared.u32 [s], 0; bar.sync 0;
        mov.u32 %r9, 1; setp.ge.u32 %p1, %r1, 32; @%p1 bra SET;
        L: ld.volatile.shared.u32 %r9, [s]; setp.eq.u32 %p2, %r9, 0; @%p2 bra L; bra DONE;
        SET: st.volatile.shared.u32 [s], 77; DONE:";
    assert_eq!(out(64, body), each(64, |t| if t < 32 { 77 } else { 1 }));
}

#[test]
fn ldmatrix_transposes() {
    let load = |trans: &str| {
        out(
            32,
            &format!(
                ".shared .align 16 .b8 s[512]; mov.u32 %r2, s; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3;
                 shl.b32 %r3, %r1, 3; shl.b32 %r4, %r3, 16; or.b32 %r3, %r3, %r4; add.u32 %r3, %r3, 0x10000;
                 add.u32 %r4, %r3, 0x20002; add.u32 %r5, %r3, 0x40004; add.u32 %r6, %r3, 0x60006;
                 st.shared.v4.u32 [%r2], {{%r3, %r4, %r5, %r6}}; bar.warp.sync -1;
                 ldmatrix.sync.aligned.m8n8.x2{trans}.shared.b16 {{%r8, %r9}}, [%r2];"
            ),
        )
    };
    // Element (row, column) of the second matrix is 64 + row * 8 + column.
    let pair = |lo: u32, hi: u32| lo | hi << 16;
    assert_eq!(load(""), each(32, |t| pair(64 + t / 4 * 8 + t % 4 * 2, 64 + t / 4 * 8 + t % 4 * 2 + 1)));
    assert_eq!(load(".trans"), each(32, |t| pair(64 + t % 4 * 16 + t / 4, 64 + t % 4 * 16 + 8 + t / 4)));
}

/// c + a * b with small whole numbers, which are exact; rows and columns of the fragments as the PTX manual has them.
#[test]
fn mma_multiplies() {
    let a = |row: u32, k: u32| (row * 3 + k * 5) % 11;
    let b = |k: u32, column: u32| (k * 7 + column * 2) % 9;
    let gpu = Gpu::kernel(
        ".param .u64 x, .param .u64 y",
        "ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd3, %r1, 32;
         add.s64 %rd1, %rd1, %rd3; mul.wide.u32 %rd3, %r1, 16; add.s64 %rd2, %rd2, %rd3; cvt.rn.f32.u32 %f1, %r1;
         ld.global.nc.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1]; ld.global.nc.v2.u32 {%r6, %r7}, [%rd1+16];
         mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f2, %f3, %f4, %f5}, {%r2, %r3, %r4, %r5}, {%r6, %r7}, {%f1, %f1, %f1, %f1};
         st.global.v4.f32 [%rd2], {%f2, %f3, %f4, %f5};",
    );
    let pair = |lo: u32, hi: u32| (lo as f32).to_bits() >> 16 | (hi as f32).to_bits() & 0xffff_0000;
    let words = |lane: u32| {
        let (row, k) = (lane / 4, lane % 4 * 2);
        let a = |row, k| pair(a(row, k), a(row, k + 1));
        let b = |k| pair(b(k, lane / 4), b(k + 1, lane / 4));
        [a(row, k), a(row + 8, k), a(row, k + 8), a(row + 8, k + 8), b(k), b(k + 8), 0, 0]
    };
    let x = gpu.words(&(0..32).flat_map(words).collect::<Vec<_>>());
    let y = gpu.memory.alloc(0, 32 * 16);
    gpu.run("k", [1; 3], [32, 1, 1], Params::default().u64(x).u64(y));
    for (i, got) in (0..).zip(gpu.read_floats(y, 128)) {
        let (lane, part) = (i / 4, i % 4);
        let (row, column) = (lane / 4 + part / 2 * 8, lane % 4 * 2 + part % 2);
        let want = lane + (0..16).map(|k| a(row, k) * b(k, column)).sum::<u32>();
        assert_eq!(got, want as f32, "row {row}, column {column}");
    }
}

#[test]
fn vectors_of_bytes_and_halves() {
    let body = ".shared .align 16 .b8 s[512]; mov.u32 %r2, s; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3;
        cvt.u16.u32 %h1, %r1; add.s16 %h2, %h1, 1; add.s16 %h3, %h1, 300; add.s16 %h4, %h1, -1;
        st.shared.v4.u8 [%r2], {%h1, %h2, %h3, %h4}; st.shared.v4.b16 [%r2+8], {%h1, %h2, %h3, %h4}; st.shared.v2.u16 [%r2+4], {%h3, %h4};
        ld.shared.v4.s8 {%h5, %h6, %h7, %h8}, [%r2]; cvt.s32.s16 %r4, %h8; cvt.u32.u16 %r5, %h7;
        ld.shared.v2.u16 {%h5, %h6}, [%r2+12]; cvt.u32.u16 %r6, %h5; ld.shared.v2.u8 {%h5, %h6}, [%r2+4]; cvt.u32.u16 %r7, %h6;
        mad.lo.u32 %r9, %r4, 1000, %r6; mad.lo.u32 %r9, %r7, 100000, %r9;";
    let want =
        |t: u32| (t.wrapping_sub(1).wrapping_mul(1000)).wrapping_add(t + 300).wrapping_add(((t + 300) >> 8) * 100_000);
    assert_eq!(out(32, body), each(32, want));
}

#[test]
fn atomics_of_every_width() {
    let gpu = Gpu::kernel(
        ".param .u64 x",
        "ld.param.u64 %rd1, [x]; mov.u32 %r1, %tid.x; cvt.u64.u32 %rd2, %r1; add.s64 %rd3, %rd2, -9; shl.b64 %rd4, %rd2, 40;
         red.global.add.u64 [%rd1], %rd4; red.global.min.s64 [%rd1+8], %rd3; red.global.max.u64 [%rd1+16], %rd4;
         red.global.xor.b64 [%rd1+24], %rd4; red.global.and.b32 [%rd1+32], %r1; red.global.max.u32 [%rd1+36], %r1;
         red.global.min.u32 [%rd1+40], -5; atom.global.dec.u32 %r2, [%rd1+44], 6;
         setp.eq.u32 %p1, %r1, 7; @%p1 atom.global.cas.b64 %rd5, [%rd1+48], 0, %rd4;",
    );
    let x = gpu.words(&[0, 0, 0, 0, 0, 0, 0, 0, 0x77, 0, !0, 0, 0, 0]);
    gpu.run("k", [1; 3], [32, 1, 1], Params::default().u64(x));
    let dec = (0..32).fold(0u32, |old, _| if old == 0 || old > 6 { 6 } else { old - 1 });
    let want = [0, 496 << 8, -9i32 as u32, !0, 0, 31 << 8, 0, 0, 0, 31, -5i32 as u32, dec, 0, 7 << 8];
    assert_eq!(gpu.read(x, 14), want);
}

/// Each size, sources shorter than it, and lanes that ignore theirs.
#[test]
fn cp_async_of_every_size() {
    for (size, mode) in [(4, "ca"), (8, "ca"), (16, "ca"), (16, "cg")] {
        for (last, take) in [("", [size; 2]), (", 3", [3; 2]), (", %r5", [0, size / 2]), (", %p1", [0, size])] {
            let gpu = Gpu::kernel(
                ".param .u64 x, .param .u64 out",
                &format!(
                    ".shared .align 16 .b8 s[512]; mov.u32 %r1, %tid.x; ld.param.u64 %rd3, [x]; mov.u32 %r2, s; shl.b32 %r3, %r1, 4;
                     add.u32 %r2, %r2, %r3; mul.wide.u32 %rd4, %r1, 16; add.s64 %rd3, %rd3, %rd4; and.b32 %r4, %r1, 1;
                     mul.lo.u32 %r5, %r4, {}; setp.eq.u32 %p1, %r4, 0; mov.u32 %r6, -1; st.shared.v4.u32 [%r2], {{%r6, %r6, %r6, %r6}};
                     cp.async.{mode}.shared.global [%r2], [%rd3], {size}{last}; cp.async.wait_all;
                     ld.shared.v4.u32 {{%r7, %r8, %r9, %r10}}, [%r2]; ld.param.u64 %rd1, [out]; add.s64 %rd1, %rd1, %rd4;
                     st.global.v4.u32 [%rd1], {{%r7, %r8, %r9, %r10}};",
                    size / 2
                ),
            );
            let source: Vec<u8> = (0..512u32).map(|i| (i % 251 + 1) as u8).collect();
            let (x, y) = (gpu.upload(&source, |byte| [byte]), gpu.memory.alloc(0, 512));
            gpu.run("k", [1; 3], [32, 1, 1], Params::default().u64(x).u64(y));
            let mut got = vec![0; 512];
            gpu.memory.read(y, &mut got).unwrap();
            let want = (0..512).map(|i| match i % 16 {
                at if at >= size => 0xff,
                at if at < take[i / 16 % 2] => source[i],
                _ => 0,
            });
            assert_eq!(got, want.collect::<Vec<u8>>(), "cp.async.{mode} of {size} bytes{last}");
        }
    }
}

#[test]
fn cp_async_fills_with_zeros_and_comes_late() {
    let gpu = Gpu::kernel(
        ".param .u64 x, .param .u64 out",
        &format!(
            ".shared .align 16 .b8 s[512]; mov.u32 %r1, %tid.x; ld.param.u64 %rd3, [x]; mov.u32 %r2, s; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3;
             st.shared.u32 [%r2], 5; and.b32 %r4, %r1, 1; shl.b32 %r4, %r4, 4;
             cp.async.cg.shared.global [%r2], [%rd3], 16, %r4; cp.async.commit_group;
             ld.shared.u32 %r5, [%r2]; cp.async.wait_group 0; ld.shared.u32 %r6, [%r2+12];
             mad.lo.u32 %r9, %r5, 1000, %r6; {STORE}"
        ),
    );
    let (x, y) = (gpu.words(&[1, 2, 3, 4]), gpu.memory.alloc(0, 128));
    // Without checks: reading before the wait gives what was there.
    let config = Config { checks: false, ..Config::new([1; 3], [32, 1, 1]) };
    gpu.launch("k", &config, Params::default().u64(x).u64(y)).unwrap();
    assert_eq!(gpu.read(y, 32), each(32, |t| 5000 + t % 2 * 4));
}

#[test]
fn special_registers() {
    let gpu = Gpu::kernel(
        ".param .u64 out",
        &format!(
            "mov.u32 %r2, %tid.y; mov.u32 %r3, %ctaid.y; mov.u32 %r4, %ntid.x; mov.u32 %r5, %nctaid.x; mov.u32 %r6, %tid.x; mov.u32 %r7, %ctaid.x;
             mad.lo.u32 %r8, %r3, %r5, %r7; mad.lo.u32 %r1, %r8, 8, %r6; mad.lo.u32 %r1, %r2, %r4, %r1;
             mov.u32 %r9, %lanemask_lt; mov.u32 %r10, %laneid; mad.lo.u32 %r9, %r10, 1000, %r9; {STORE}"
        ),
    );
    let y = gpu.memory.alloc(0, 6 * 8 * 4);
    gpu.run("k", [3, 2, 1], [4, 2, 1], Params::default().u64(y));
    assert_eq!(gpu.read(y, 48), each(48, |t| t % 8 * 1000 + (1 << (t % 8)) - 1));
}

/// A sum in f32 by atomics, whose rounding tells the order: the same seed gives the same bits, others give others.
#[test]
fn a_seed_picks_the_order() {
    let gpu = Gpu::kernel(
        ".param .u64 x",
        ".shared .align 4 .b8 s[4]; ld.param.u64 %rd1, [x]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;
         setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], 0; bar.sync 0;
         and.b32 %r3, %r1, 31; setp.eq.u32 %p2, %r3, 0; shr.u32 %r4, %r1, 5; atom.shared.exch.b32 %r5, [s], %r4;
         mad.lo.u32 %r6, %r2, 7, %r5; cvt.rn.f32.u32 %f1, %r6; ex2.approx.f32 %f2, %f1; red.global.add.f32 [%rd1], %f2;",
    );
    let sum = |seed| {
        let x = gpu.floats(&[0.1]);
        gpu.launch("k", &Config { seed, ..Config::new([5, 1, 1], [160, 1, 1]) }, Params::default().u64(x)).unwrap();
        gpu.read(x, 1)[0]
    };
    let sums: Vec<u32> = (0..16).map(sum).collect();
    assert_eq!(sums, (0..16).map(sum).collect::<Vec<_>>());
    let mut different = sums;
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > 4, "{different:?}");
}

/// Counts what a block does.
#[derive(Default)]
struct Counts {
    instructions: u64,
    shared_writes: u32,
    barriers: u32,
}

struct Counter(std::sync::Mutex<Counts>);

impl Observer for Counter {
    type Block = Counts;
    fn block(&self, _: [u32; 3]) -> Counts {
        Counts::default()
    }
    fn finished(&self, block: Counts) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.instructions += block.instructions;
        all.shared_writes += block.shared_writes;
        all.barriers += block.barriers;
    }
}

impl BlockObserver for Counts {
    fn instruction(&mut self, _: Step) {
        self.instructions += 1;
    }
    fn access(&mut self, access: Access<'_>) {
        if access.memory == Memory::Shared && access.kind == AccessKind::Write {
            self.shared_writes += access.step.lanes.count_ones();
            assert_eq!(access.addresses[3], 12);
        }
    }
    fn barrier(&mut self, id: u32) {
        assert_eq!(id, 0);
        self.barriers += 1;
    }
}

#[test]
fn an_observer_sees_everything() {
    let gpu = Gpu::kernel(
        "",
        ".shared .align 4 .b8 s[256]; mov.u32 %r1, %tid.x; and.b32 %r1, %r1, 31; shl.b32 %r1, %r1, 2; mov.u32 %r2, s; add.u32 %r2, %r2, %r1; st.shared.u32 [%r2], 1; bar.sync 0; ret;",
    );
    let counter = Counter(Default::default());
    // Both warps write the same words.
    let config = Config { races: false, ..Config::new([5, 1, 1], [64, 1, 1]) };
    let stats = launch_observed(&gpu.program, "k", &config, &[], &gpu.memory, &counter).unwrap();
    let counts = counter.0.into_inner().unwrap();
    assert_eq!((counts.instructions, counts.shared_writes, counts.barriers), (5 * 2 * 8, 5 * 64, 5));
    assert_eq!((stats.warp_instructions, stats.lane_instructions), (80, 80 * 32));
}
