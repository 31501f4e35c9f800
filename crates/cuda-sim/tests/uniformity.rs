//! The uniformity rule on what compilers make of kernels, good and bad.

use cuda_sim::cfg::{Divergence, divergences};
use cuda_sim::ptx::Module;

/// Findings of a kernel with thread %r1, block %r2, parameter %r3; (line in the body, line of the branch).
fn found(body: &str) -> Vec<(u32, u32)> {
    let source = format!(
        ".version 7.8 .target sm_80 .address_size 64 .visible .entry k(.param .u32 n, .param .u64 x) {{
         .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .pred %p<9>; .reg .f32 %f<9>;
         mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; ld.param.u32 %r3, [n]; ld.param.u64 %rd1, [x];
         {body} }}"
    );
    let module = Module::parse(&source).unwrap_or_else(|error| panic!("{error}"));
    let lines = |d: Divergence| (d.line - 3, d.branch - 3);
    divergences(&module.kernels[0]).into_iter().map(lines).collect()
}

const MMA: &str = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, {%r4,%r4,%r4,%r4}, {%r4,%r4}, {%f1,%f2,%f3,%f4};";

#[test]
fn a_barrier_copied_into_both_arms() {
    let bad = "setp.lt.u32 %p1, %r1, %r3;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 0;\nB: ret;";
    assert_eq!(found(bad), [(3, 2), (5, 2)]);
    let good = "setp.lt.u32 %p1, %r1, %r3;\n@%p1 bra A;\nbra B;\nA: add.u32 %r4, %r1, 1;\nB: bar.sync 0;\nret;";
    assert_eq!(found(good), []);
}

#[test]
fn blocks_and_parameters_are_uniform() {
    assert_eq!(found("setp.lt.u32 %p1, %r2, %r3;\n@%p1 bra A;\nbar.sync 0;\nA: ret;"), []);
    assert_eq!(
        found("ld.global.u32 %r4, [%rd1];\nsetp.lt.u32 %p1, %r4, %r3;\n@%p1 bra A;\nbar.sync 0;\nA: ret;"),
        [(4, 3)]
    );
}

#[test]
fn a_shuffle_makes_uniform() {
    let body = |mode: &str| {
        format!(
            "shr.u32 %r4, %r1, 5;\nshfl.sync.{mode} %r5, %r4, 0, 31, -1;\nsetp.eq.u32 %p1, %r5, 0;\n@%p1 bra A;\n{MMA}\nA: ret;"
        )
    };
    assert_eq!(found(&body("idx.b32")), []);
    assert_eq!(found(&body("down.b32")), [(5, 4)]);
    let votes = format!("setp.lt.u32 %p1, %r1, 9;\nvote.sync.any.pred %p2, %p1, -1;\n@%p2 bra A;\n{MMA}\nA: ret;");
    assert_eq!(found(&votes), []);
}

#[test]
fn a_loop_as_long_as_the_thread_says() {
    let body = |end: &str| {
        format!(
            "mov.u32 %r5, 0;\nL: add.u32 %r5, %r5, 1;\nbar.sync 0;\nsetp.lt.u32 %p1, %r5, {end};\n@%p1 bra L;\nbar.sync 0;"
        )
    };
    assert_eq!(found(&body("%r3")), []);
    assert_eq!(found(&body("%r1")), [(3, 5)]);
}

#[test]
fn what_a_branch_assigns_is_tainted() {
    // %r5 is a constant in each arm, but which one differs between threads.
    let body = "mov.u32 %r5, 1;\nsetp.lt.u32 %p1, %r1, 7;\n@%p1 bra A;\nmov.u32 %r5, 2;\nA: setp.eq.u32 %p2, %r5, 2;\n@%p2 bra B;\nbar.sync 0;\nB: ret;";
    assert_eq!(found(body), [(7, 6)]);
    let guard =
        "mov.u32 %r5, 1;\nsetp.lt.u32 %p1, %r1, 7;\n@%p1 mov.u32 %r5, 2;\nsetp.eq.u32 %p2, %r5, 2;\n@%p2 bar.sync 0;";
    assert_eq!(found(guard), [(5, 5)]);
}

#[test]
fn branches_to_a_trap_do_not_count() {
    let body = "setp.ge.u32 %p1, %r1, %r3;\n@%p1 bra T;\nbar.sync 0;\nret;\nT: trap;";
    assert_eq!(found(body), []);
    // An early return does.
    let body = "setp.ge.u32 %p1, %r1, %r3;\n@%p1 bra T;\nbar.sync 0;\nT: ret;";
    assert_eq!(found(body), [(3, 2)]);
}
