//! A planted race for each rule, and its correct twin, which must pass.

mod common;

use common::{Gpu, Params};
use cuda_sim::{Config, Finding, LaunchError, Problem};

/// %r1 is the thread, %r2 the address of its word of `s` (256 words), %rd1 `x`, %rd3 the address of its word there
/// (counted over all blocks), %r7 the block; line 1 of the body.
const START: &str = ".shared .align 16 .b8 s[1024]; mov.u32 %r1, %tid.x; mov.u32 %r7, %ctaid.x; mov.u32 %r8, %ntid.x;
     mad.lo.u32 %r3, %r7, %r8, %r1; shl.b32 %r2, %r1, 2; mov.u32 %r4, s; add.u32 %r2, %r2, %r4;
     ld.param.u64 %rd1, [x]; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd3, %rd1, %rd2;";

/// Launches a body on 256 words that are all written.
fn launch(config: &Config, body: &str) -> Result<(), LaunchError> {
    let start = START.replace('\n', " ");
    let gpu = Gpu::kernel(".param .u64 x", &format!("{start}\n{body}"));
    let x = gpu.words(&[7; 256]);
    gpu.launch("k", config, Params::default().u64(x)).map(|_| ())
}

/// What was done, where in the body (the first line after the start is 2), by which block and thread: here and there.
type Sides = [(&'static str, u32, u32, u32); 2];

/// The bad body must be found to be a race, whatever the order of warps; the good one must pass, whatever it is.
fn pair(grid: u32, block: u32, bad: &str, good: &str) -> Sides {
    let config = |seed| Config { seed, ..Config::new([grid, 1, 1], [block, 1, 1]) };
    for seed in 0..8 {
        launch(&config(seed), good).unwrap_or_else(|error| panic!("the twin: {error}"));
        race(launch(&config(seed), bad));
    }
    launch(&Config { races: false, ..config(0) }, bad).unwrap_or_else(|error| panic!("not looked for: {error}"));
    race(launch(&config(0), bad))
}

fn race(result: Result<(), LaunchError>) -> Sides {
    let Err(LaunchError::Finding(found)) = result else { panic!("a race was expected, not {result:?}") };
    let Finding { problem, line: here, block, thread, .. } = *found;
    let Problem::Race { does, did, line, block: other, thread: by } = problem else {
        panic!("a race was expected, not {problem}")
    };
    [(does, here - 6, block[0], thread[0]), (did, line - 6, other[0], by[0])]
}

#[test]
fn shared_memory_without_a_barrier() {
    // Each thread writes its word and reads that of the other warp.
    let body = |barrier: &str| {
        format!("st.shared.u32 [%r2], 1;\n{barrier}\nxor.b32 %r5, %r2, 128;\nld.shared.u32 %r6, [%r5];")
    };
    // The first warp reads before the second has written: with checks that is a read of nothing, so all is written first.
    let body = |barrier: &str| format!("st.shared.u32 [%r2], 0; bar.sync 0;\n{}", body(barrier));
    assert_eq!(pair(1, 64, &body(""), &body("bar.sync 0;")), [("writes", 3, 0, 32), ("read", 6, 0, 0)]);
}

#[test]
fn shared_memory_written_again_before_all_have_read() {
    let body = |barrier: &str| {
        format!(
            "mov.u32 %r9, 3; xor.b32 %r5, %r2, 128;\nL: st.shared.u32 [%r2], %r9; bar.sync 0;\nld.shared.u32 %r6, [%r5];\n\
             {barrier}\nsub.u32 %r9, %r9, 1; setp.ne.u32 %p1, %r9, 0;\n@%p1 bra L;"
        )
    };
    assert_eq!(pair(1, 64, &body(""), &body("bar.sync 0;")), [("reads", 4, 0, 32), ("wrote", 3, 0, 0)]);
}

#[test]
fn lanes_of_one_warp() {
    let body = |sync: &str| {
        format!(
            "st.shared.u32 [%r2], 1;\n{sync}\nxor.b32 %r5, %r2, 4;\nld.shared.u32 %r6, [%r5];\n{sync}\nst.shared.u32 [%r2], 2;"
        )
    };
    assert_eq!(pair(1, 32, &body(""), &body("bar.warp.sync -1;")), [("reads", 5, 0, 0), ("wrote", 2, 0, 1)]);
    // A shuffle brings lanes together, but orders no memory.
    let shuffle = "shfl.sync.idx.b32 %r9, %r1, 0, 31, -1;";
    assert_eq!(pair(1, 32, &body(shuffle), &body("bar.warp.sync -1;"))[1], ("wrote", 2, 0, 1));
}

#[test]
fn whichever_of_two_readers_writes_races_with_the_other() {
    // Of the readers of a word few are remembered, and neighbours and every eighth lane are looked at together.
    for readers in [[0, 1], [0, 8], [7, 8], [5, 29]] {
        for writer in readers {
            let [one, two] = readers;
            let body = |sync: &str| {
                format!(
                    "st.shared.u32 [%r2], 0; bar.sync 0; setp.eq.u32 %p1, %r1, {one}; setp.eq.u32 %p2, %r1, {two}; \
                     or.pred %p1, %p1, %p2; mov.u32 %r5, s; add.u32 %r5, %r5, 256; selp.b32 %r5, %r5, %r2, %p1;\n\
                     setp.eq.u32 %p3, %r1, 0; mov.u32 %r9, s;\n@%p3 st.shared.u32 [%r9+256], 0;\nbar.sync 0;\n\
                     ld.shared.u32 %r6, [%r5];\n{sync}\nsetp.eq.u32 %p2, %r1, {writer};\n@%p2 st.shared.u32 [s+256], 1;"
                )
            };
            let [_, other] = pair(1, 32, &body(""), &body("bar.warp.sync -1;"));
            assert_eq!(other, ("read", 6, 0, one + two - writer));
        }
    }
}

#[test]
fn one_instruction_that_writes_a_word_twice() {
    let found = pair(1, 32, "st.shared.u32 [s+8], %r1;", "setp.eq.u32 %p1, %r1, 9;\n@%p1 st.shared.u32 [s+8], %r1;");
    assert_eq!(found, [("writes", 2, 0, 1), ("wrote", 2, 0, 0)]);
    let found = pair(2, 32, "st.global.u32 [%rd1], 1;", "st.global.u32 [%rd3], 1;");
    assert_eq!(found, [("writes", 2, 0, 1), ("wrote", 2, 0, 0)]);
}

#[test]
fn neighbours_are_no_race() {
    let body = |width: &str, scale: u32| {
        format!(
            "mul.lo.u32 %r5, %r1, {scale}; mov.u32 %r6, s; add.u32 %r5, %r5, %r6; cvt.u16.u32 %h1, %r1;\nst.shared.{width} [%r5], %h1;"
        )
    };
    pair(1, 64, &body("u16", 0), &body("u16", 2));
    pair(1, 64, &body("u8", 0), &body("u8", 1));
    // A word against one of its bytes.
    let body = |offset: u32| {
        format!(
            "setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 32;\n@%p1 st.shared.u8 [s+{offset}], 1;\n@%p2 st.shared.u32 [s+4], 1;"
        )
    };
    pair(1, 64, &body(7), &body(3));
    let body = |offset: u32| {
        format!(
            "setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 32;\n@%p1 st.global.u8 [%rd1+{offset}], 1;\n@%p2 ld.global.u32 %r5, [%rd1+4];"
        )
    };
    pair(1, 64, &body(4), &body(8));
}

#[test]
fn named_barriers_order_those_who_come() {
    // Warps 0 and 1 meet at one barrier, 2 and 3 at another; each reads the word of a partner.
    let body = |partner: u32| {
        format!(
            "st.shared.u32 [%r2], 0; bar.sync 0;\nshr.u32 %r5, %r1, 6; add.u32 %r5, %r5, 1;\nst.shared.u32 [%r2], 1;\n\
             barrier.sync.aligned %r5, 64;\nxor.b32 %r6, %r2, {partner};\nld.shared.u32 %r9, [%r6];"
        )
    };
    pair(1, 128, &body(256), &body(128));
}

#[test]
fn producers_and_consumers() {
    // Warp 0 fills a buffer three times, warp 1 reads it; barrier 1 says full, barrier 2 empty.
    let body = |empty: &str| {
        format!(
            "mov.u32 %r9, 3; and.b32 %r5, %r1, 31; shl.b32 %r5, %r5, 2; mov.u32 %r6, s; add.u32 %r5, %r5, %r6;\n\
             setp.ge.u32 %p1, %r1, 32;\n@%p1 bra READ;\nL: st.shared.u32 [%r5], %r9;\nbar.arrive 1, 64; bar.sync {empty};\n\
             sub.u32 %r9, %r9, 1; setp.ne.u32 %p2, %r9, 0;\n@%p2 bra L;\nret;\n\
             READ: bar.sync 1, 64; ld.shared.u32 %r10, [%r5]; bar.arrive {empty};\n\
             sub.u32 %r9, %r9, 1; setp.ne.u32 %p2, %r9, 0;\n@%p2 bra READ;"
        )
    };
    // Without the second barrier the producer would not stop; one for the producer alone orders nothing.
    let bad = body("2, 32").replacen("bar.arrive 2, 32;", "bar.warp.sync -1;", 1);
    let config = Config::new([1; 3], [64, 1, 1]);
    launch(&config, &body("2, 64")).unwrap();
    assert_eq!(race(launch(&config, &bad))[1].0, "read");
}

#[test]
fn blocks_are_never_ordered() {
    // Each block reads its right neighbour's word and writes its own.
    let body = |distance: u32| format!("ld.global.u32 %r5, [%rd3+{distance}]; bar.sync 0;\nst.global.u32 [%rd3], %r5;");
    let found = pair(4, 32, &body(128), &body(0).replace("+0", ""));
    assert_eq!((found[0].0, found[1].0), ("writes", "read"));
    // Within a block a barrier orders global memory, too.
    let body = |barrier: &str| {
        format!(
            "xor.b32 %r5, %r1, 32; mul.wide.u32 %rd4, %r5, 4; add.s64 %rd4, %rd1, %rd4;\nst.global.u32 [%rd3], 1;\n{barrier}\nld.global.u32 %r6, [%rd4];"
        )
    };
    pair(1, 64, &body(""), &body("bar.sync 0;"));
}

#[test]
fn a_third_reader_does_not_hide_another_block() {
    // All blocks read word 0; then block 0 writes it.
    let body = |write: &str| {
        format!("ld.global.u32 %r5, [%rd1]; bar.sync 0; setp.eq.u32 %p1, %r3, 0;\n@%p1 {write} [%rd1], 1;")
    };
    let launched = launch(&Config { seed: 3, ..Config::new([4, 1, 1], [64, 1, 1]) }, &body("st.global.u32"));
    race(launched);
    launch(&Config::new([1; 3], [64, 1, 1]), &body("st.global.u32")).unwrap();
}

#[test]
fn atomics_among_themselves() {
    let bad = "ld.global.u32 %r5, [%rd1]; add.u32 %r5, %r5, 1;\nst.global.u32 [%rd1], %r5;";
    pair(2, 32, bad, "red.global.add.u32 [%rd1], 1;");
    // An atomic against a plain load.
    let bad = "red.global.add.u32 [%rd1], 1;\nld.global.u32 %r5, [%rd1];";
    let found = pair(2, 32, bad, "red.global.add.u32 [%rd1], 1;\nld.relaxed.gpu.global.u32 %r5, [%rd1];");
    assert_eq!(found, [("reads", 3, 0, 0), ("updated", 2, 0, 31)]);
    pair(
        1,
        64,
        "st.shared.u32 [%r2], 0; bar.sync 0;\nred.shared.add.u32 [s], 1;\nld.shared.u32 %r5, [s];",
        "st.shared.u32 [%r2], 0; bar.sync 0;\nred.shared.add.u32 [s], 1; bar.sync 0;\nld.shared.u32 %r5, [s];",
    );
}

#[test]
fn asynchronous_copies() {
    let copy =
        "shl.b32 %r5, %r1, 2; mov.u32 %r6, s; add.u32 %r5, %r5, %r6;\ncp.async.ca.shared.global [%r5], [%rd3], 4;";
    let other = "xor.b32 %r9, %r5, 128;";
    // Its own wait makes a copy visible to the thread only.
    let body = |barrier: &str| format!("{copy}\ncp.async.wait_all; {barrier}\n{other}\nld.shared.u32 %r10, [%r9];");
    let fill = |body: String| format!("st.shared.u32 [%r2], 0; bar.sync 0;\n{body}");
    pair(1, 64, &fill(body("")), &fill(body("bar.sync 0;")));
    // A copy into what others still read.
    let body = |barrier: &str| {
        format!("{other}\nld.shared.u32 %r10, [%r9];\n{barrier}\n{copy} cp.async.wait_all;")
            .replace("%r9, %r5", "%r9, %r2")
    };
    pair(1, 64, &fill(body("")), &fill(body("bar.sync 0;")));
    // A store to where a copy is under way, behind a barrier.
    let body = |wait: &str| format!("{copy}\n{wait} bar.sync 0;\n{other}\nst.shared.u32 [%r9], 1; cp.async.wait_all;");
    let found = pair(1, 64, &body(""), &body("cp.async.wait_all;"));
    assert_eq!(found, [("writes", 6, 0, 0), ("wrote", 3, 0, 32)]);
}

#[test]
fn ldmatrix_reads_for_the_whole_warp() {
    let body = |sync: &str| {
        format!(
            "shl.b32 %r5, %r1, 4; mov.u32 %r6, s; add.u32 %r5, %r5, %r6; mov.u32 %r9, 1;\nst.shared.v4.u32 [%r5], {{%r9, %r9, %r9, %r9}};\n{sync}\n\
                 ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r10, %r11, %r12, %r13}}, [%r5];"
        )
    };
    assert_eq!(pair(1, 32, &body(""), &body("bar.warp.sync -1;")), [("reads", 5, 0, 0), ("wrote", 3, 0, 0)]);
}
