//! Right kernels that the compiler breaks without the builder's flags: the gate tells the two builds apart.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cuda_builder::{CudaBuilder, Error, Toolchain};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The kernels that are rejected because a barrier or a warp's instruction is under a condition.
fn rejected(builder: CudaBuilder) -> BTreeSet<String> {
    match builder.build() {
        Ok(_) => BTreeSet::new(),
        Err(Error::Rejected { findings, .. }) => {
            let uniformity = |problem: &str| problem.contains("thread-dependent condition");
            assert!(findings.iter().all(|finding| uniformity(&finding.problem)), "{findings:#?}");
            findings.into_iter().filter_map(|finding| finding.kernel).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn kernels_break_without_the_flags_and_the_gate_finds_them() {
    let Ok(toolchain) = Toolchain::find(&workspace().join("target/toolchain")) else {
        eprintln!("SKIPPED: no toolchain for kernels; `cargo xtask setup` gets one");
        return;
    };
    let traps = CudaBuilder::new(workspace().join("kernels-gpu/tests/traps"));
    let traps = traps.toolchain(toolchain);

    let names = |list: &[&str]| list.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>();
    // Each build has a folder of its own, or it would build the library anew every time.
    assert_eq!(rejected(traps.clone().target_dir(workspace().join("target/traps"))), names(&["early_return"]));
    assert_eq!(
        rejected(traps.target_dir(workspace().join("target/traps-unprotected")).unprotected()),
        names(&["barrier_between", "early_return", "product_between", "shuffle_between", "two_products"])
    );
}
