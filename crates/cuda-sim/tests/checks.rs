//! A planted fault for every check, and its correct twin, which must pass.

mod common;

use common::{Gpu, Params};
use cuda_sim::{Config, LaunchError, Problem, Program, launch};

/// %rd1 is the parameter `x`, %r1 the thread, %rd3 the address of its word.
const WORD: &str = "ld.param.u64 %rd1, [x]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2;";

fn one(block: u32) -> Config {
    Config::new([1; 3], [block, 1, 1])
}

/// Runs the bodies over 64 words that are all written; the first must fail, the second must not.
fn pair(config: &Config, bad: &str, good: &str) -> (Problem, u32) {
    let run = |body: &str| {
        let gpu = Gpu::kernel(".param .u64 x", &format!("{WORD}\n{body}"));
        let x = gpu.words(&[7; 64]);
        (gpu, Params::default().u64(x))
    };
    let (gpu, params) = run(good);
    gpu.launch("k", config, params).unwrap_or_else(|error| panic!("the twin: {error}"));
    let (gpu, params) = run(bad);
    gpu.problem(config, params)
}

#[test]
fn outside_an_allocation() {
    let found = pair(&one(64), "st.global.u32 [%rd3+4], %r1;\nret;", "st.global.u32 [%rd3], %r1;\nret;");
    assert_eq!(found, (Problem::OutOfBounds { bytes: 4 }, 2));
    let found =
        pair(&one(64), "ld.global.v2.u32 {%r2, %r3}, [%rd1+256];\nret;", "ld.global.v2.u32 {%r2, %r3}, [%rd1+248];");
    assert_eq!(found.0, Problem::OutOfBounds { bytes: 8 });
}

#[test]
fn a_finding_names_the_place() {
    let body = format!("{WORD}\nsetp.eq.u32 %p1, %r1, 37;\n@%p1 st.global.u32 [%rd1+400], %r1;");
    let gpu = Gpu::kernel(".param .u64 x", &body);
    let x = gpu.words(&[0; 64]);
    let params = || Params::default().u64(x);
    gpu.run("k", [1; 3], [32, 2, 1], params());
    let Err(LaunchError::Finding(found)) = gpu.launch("k", &Config::new([3, 1, 1], [40, 2, 1]), params()) else {
        panic!("a finding was expected");
    };
    assert_eq!((found.kernel.as_str(), found.line, found.block, found.thread), ("k", 9, [0; 3], [37, 0, 0]));
    assert_eq!((found.instruction.as_str(), found.address), ("st.global.u32", Some(x + 400)));
}

#[test]
fn shared_and_local_memory_have_ends() {
    let declare = ".shared .align 4 .b8 s[256]; .local .align 4 .b8 l[16];";
    let bad = format!("{declare}\nst.shared.u32 [s+256], %r1;");
    let good = format!("{declare}\nst.shared.u32 [s+252], %r1;");
    assert_eq!(pair(&one(1), &bad, &good), (Problem::OutOfBounds { bytes: 4 }, 3));
    let body = |offset| {
        format!(
            "{declare}\nmov.u64 %rd4, l; cvta.local.u64 %rd4, %rd4;\nst.u32 [%rd4+{offset}], %r1; ld.local.u32 %r2, [l+{offset}];"
        )
    };
    assert_eq!(pair(&one(32), &body(16), &body(12)), (Problem::OutOfBounds { bytes: 4 }, 4));
}

#[test]
fn not_aligned() {
    let found = pair(&one(8), "st.global.u32 [%rd3+2], %r1;", "st.global.u16 [%rd3+2], 5;");
    assert_eq!(found, (Problem::Unaligned { bytes: 4, align: 4 }, 2));
    let found = pair(
        &one(1),
        "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+8];",
        "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+16];",
    );
    assert_eq!(found.0, Problem::Unaligned { bytes: 16, align: 16 });
}

#[test]
fn after_free() {
    let gpu = Gpu::kernel(".param .u64 x", &format!("{WORD}\nld.global.u32 %r2, [%rd3];"));
    let x = gpu.words(&[7; 32]);
    gpu.run("k", [1; 3], [32, 1, 1], Params::default().u64(x));
    gpu.memory.free(x).unwrap();
    assert_eq!(gpu.problem(&one(32), Params::default().u64(x)), (Problem::AfterFree { bytes: 4 }, 2));
    assert!(gpu.memory.free(x).is_err());
}

#[test]
fn memory_of_another_device() {
    let gpu = Gpu::kernel(".param .u64 x", &format!("{WORD}\nst.global.u32 [%rd3], %r1;"));
    let x = gpu.memory.alloc(1, 128);
    let config = one(32);
    assert_eq!(gpu.problem(&config, Params::default().u64(x)), (Problem::NoPeerAccess { device: 1 }, 2));
    gpu.launch("k", &Config { peers: 1 << 1, ..config }, Params::default().u64(x)).unwrap();
}

#[test]
fn memory_that_nobody_wrote() {
    let gpu = Gpu::kernel(".param .u64 x", &format!("{WORD}\nld.global.u16 %h1, [%rd3+2];"));
    let x = gpu.memory.alloc(0, 128);
    gpu.memory.write(x, &[1; 4 * 20 + 2]).unwrap();
    assert_eq!(gpu.problem(&one(32), Params::default().u64(x)), (Problem::Unwritten, 2));
    gpu.launch("k", &one(20), Params::default().u64(x)).unwrap();
    gpu.launch("k", &Config { checks: false, ..one(32) }, Params::default().u64(x)).unwrap();

    let body = |lanes| {
        format!(
            ".shared .align 4 .b8 s[128];\nmov.u32 %r2, s; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3;\n\
             setp.lt.u32 %p1, %r1, {lanes};\n@%p1 st.shared.u32 [%r2], %r1;\nbar.sync 0;\nld.shared.u32 %r4, [%r2];"
        )
    };
    assert_eq!(pair(&one(32), &body(31), &body(32)), (Problem::Unwritten, 7));
}

#[test]
fn a_barrier_under_a_condition() {
    let bad = "setp.lt.u32 %p1, %r1, 16;\n@!%p1 bra L;\nbar.sync 0;\nL: ret;";
    let good = "setp.lt.u32 %p1, %r1, 64;\n@!%p1 bra L;\nbar.sync 0;\nL: ret;";
    assert_eq!(pair(&one(64), bad, good), (Problem::Diverged { active: 0xffff, needed: !0 }, 4));
}

#[test]
fn a_barrier_that_a_warp_does_not_reach() {
    let body = |threads| format!("setp.ge.u32 %p1, %r1, {threads};\n@%p1 ret;\nbar.sync 0;\nret;");
    assert_eq!(pair(&one(64), &body(32), &body(64)), (Problem::BarrierNotReached { arrived: 32, expected: 64 }, 4));
    // A barrier for as many threads as come is right.
    pair(&one(64), &body(32), "setp.ge.u32 %p1, %r1, 32;\n@%p1 ret;\nbar.sync 1, 32;\nret;");
}

#[test]
fn a_deadlock() {
    let bad = "shr.u32 %r2, %r1, 5;\nbarrier.sync.aligned %r2;\nret;";
    let good = "shr.u32 %r2, %r1, 5;\nbarrier.sync.aligned %r2, 32;\nret;";
    assert_eq!(pair(&one(64), bad, good), (Problem::Deadlock, 3));
}

#[test]
fn warp_instructions_of_half_a_warp() {
    let half = "mov.u32 %r2, 0; mov.f32 %f1, 0f00000000; setp.lt.u32 %p1, %r1, 16;\n@%p1 bra L;\nret;\nL: ";
    let (active, needed) = (0xffff, !0);
    let found = pair(
        &one(32),
        &format!("{half}shfl.sync.idx.b32 %r2, %r1, 0, 31, -1;"),
        &format!("{half}shfl.sync.idx.b32 %r2, %r1, 0, 31, 0xffff;"),
    );
    assert_eq!(found, (Problem::Diverged { active, needed }, 5));
    let mma = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, {%r2,%r2,%r2,%r2}, {%r2,%r2}, {%f1,%f1,%f1,%f1};";
    let found = pair(&one(32), &format!("{half}{mma}"), &format!("mov.u32 %r2, 0; mov.f32 %f1, 0f00000000; {mma}"));
    assert_eq!(found, (Problem::Diverged { active, needed }, 5));
    // A warp of fewer threads is whole when all of them come.
    pair(&one(32), &format!("{half}bar.warp.sync -1;"), "bar.warp.sync -1;");
    Gpu::kernel("", "bar.warp.sync -1;\nbar.sync 0;").run("k", [1; 3], [40, 1, 1], Params::default());
}

#[test]
fn a_shuffle_from_a_lane_that_is_not_there() {
    // A block of 40 threads: its second warp has eight lanes.
    let body = |by: u32| format!("bar.sync 0;\nshfl.sync.bfly.b32 %r2, %r1, {by}, 31, -1;");
    assert_eq!(pair(&one(40), &body(8), &body(4)), (Problem::ShuffleSource { lane: 0, from: 8 }, 3));
    // Lanes that have returned, and lanes that the mask leaves out.
    let body = |by: u32| {
        format!("setp.ge.u32 %p1, %r1, 16;\n@%p1 bra L;\nshfl.sync.bfly.b32 %r2, %r1, {by}, 31, 0xffff;\nL: ret;")
    };
    assert_eq!(pair(&one(32), &body(16), &body(8)), (Problem::ShuffleSource { lane: 0, from: 16 }, 4));
    // Beyond the segment a lane reads itself.
    pair(&one(40), &body(16), "shfl.sync.down.b32 %r2, %r1, 8, 0x1807, -1;");
}

#[test]
fn a_register_that_nothing_has_written() {
    let found = pair(&one(32), "add.u32 %r3, %r1, %r2;", "mov.u32 %r2, 1;\nadd.u32 %r3, %r1, %r2;");
    assert_eq!(found, (Problem::Undefined, 2));
    // One path that writes it is enough, and so is a write under the guard of the read.
    let body = |reg: u32| {
        format!(
            "setp.lt.u32 %p1, %r1, 16;\n@%p1 mov.u32 %r2, 1;\n@!%p1 bra L;\nmov.u32 %r3, 1;\n\
             L: add.u32 %r4, %r2, %r3;\n@%p1 add.u32 %r4, %r4, %r{reg};"
        )
    };
    assert_eq!(pair(&one(32), &body(5), &body(2)), (Problem::Undefined, 7));
}

#[test]
fn a_copy_that_nobody_waited_for() {
    let copy = ".shared .align 16 .b8 s[512];\nmov.u32 %r2, s; and.b32 %r3, %r1, 15; shl.b32 %r4, %r1, 4; add.u32 %r2, %r2, %r4;\n\
                mul.wide.u32 %rd4, %r3, 16; add.s64 %rd4, %rd1, %rd4;\ncp.async.cg.shared.global [%r2], [%rd4], 16;\ncp.async.commit_group;\n\
                cp.async.ca.shared.global [%r2], [%rd4], 4;\ncp.async.commit_group;";
    let read = "ld.shared.u32 %r5, [%r2+4];";
    let found = pair(&one(32), &format!("{copy}\n{read}"), &format!("{copy}\ncp.async.wait_group 1;\n{read}"));
    assert_eq!(found, (Problem::CopyUnderWay, 9));
    // The second group is not there yet when one may be under way.
    let read = "ld.shared.u32 %r5, [%r2];";
    let found = pair(
        &one(32),
        &format!("{copy}\ncp.async.wait_group 1;\n{read}"),
        &format!("{copy}\ncp.async.wait_all;\n{read}"),
    );
    assert_eq!(found, (Problem::CopyUnderWay, 10));
}

#[test]
fn a_trap_and_an_endless_loop() {
    let found = pair(&one(64), "setp.eq.u32 %p1, %r1, 40;\n@%p1 trap;", "setp.eq.u32 %p1, %r1, 64;\n@%p1 trap;");
    assert_eq!(found, (Problem::Trap, 3));
    let config = Config { max_instructions: 1000, ..one(32) };
    let found =
        pair(&config, "L: bra L;", "mov.u32 %r2, 90;\nL: sub.u32 %r2, %r2, 1;\nsetp.ne.u32 %p1, %r2, 0;\n@%p1 bra L;");
    assert_eq!(found, (Problem::TooLong { limit: 1000 }, 2));
}

#[test]
fn launches_are_checked() {
    let gpu = Gpu::new(
        ".version 7.8 .target sm_80 .address_size 64 .visible .entry k(.param .u32 n) .maxntid 64, 1, 1 { ret; }",
    );
    let run = |config: Config, params| launch(&gpu.program, "k", &config, params, &gpu.memory);
    assert!(run(one(64), &[0; 4]).is_ok());
    assert!(matches!(run(one(65), &[0; 4]), Err(LaunchError::Block { .. })));
    assert!(matches!(run(one(2000), &[0; 4]), Err(LaunchError::Block { .. })));
    assert!(matches!(run(one(64), &[0; 8]), Err(LaunchError::Params { expected: 4, got: 8 })));
    assert!(matches!(run(Config::new([0, 1, 1], [1; 3]), &[0; 4]), Err(LaunchError::Grid { .. })));
    let none = launch(&gpu.program, "z", &one(1), &[], &gpu.memory);
    assert!(matches!(none, Err(LaunchError::NoKernel { .. })));
}

#[test]
fn what_is_not_known_is_named() {
    let error = |text: &str| match Program::load(
        &format!(".version 7.8 .target sm_80 .address_size 64\n{text}"),
        &cuda_sim::Memory::new(),
        0,
    ) {
        Ok(_) => panic!("an error was expected: {text}"),
        Err(error) => error.to_string(),
    };
    let body = |text: &str| {
        error(&format!(
            ".entry k() {{ .reg .b32 %r<9>; .reg .f32 %f<4>; .reg .b64 %rd<4>; .reg .pred %p<2>;\n{text} }}"
        ))
    };
    assert!(body("frob.u32 %r1, %r2;").contains("line 3: the simulator does not know the instruction frob.u32"));
    assert!(body("add.rz.f32 %f1, %f2, %f3;").contains("modifier .rz"));
    assert!(body("add.u32 %r1, %rd2, %r3;").contains("operand 2"));
    assert!(body("add.u32 %r1, %r2;").contains("2 operands"));
    assert!(body("bra NOWHERE;").contains("NOWHERE is not declared"));
    assert!(body("mov.u32 %r1, %clock;").contains("%clock"));
    assert!(body(".callprototype x;").contains("directive .callprototype"));
    assert!(error(".alias a, b;").contains("directive .alias"));
    assert!(error(".entry k() .explicitcluster { ret; }").contains("directive .explicitcluster"));
}
