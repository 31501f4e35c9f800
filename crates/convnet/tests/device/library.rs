//! The forwarding half of `cuda-driver`: a program finds a `libcuda.so.1`, or none, when it runs.
//!
//! The library is the simulated driver; tests put it, or something else, where the loader of a child process looks.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::card::skip;

/// Cargo, building what the tests start.
fn cargo_build() -> Command {
    let packages = ["-p", "cuda-sim-library", "-p", "convnet", "--lib", "--example", "devices"];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--offline", "--profile", "test"]).args(packages).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// The folder of what was built: `target/debug`.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = cargo_build().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The test itself is in `target/debug/deps`.
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf()
});

/// A folder of its own, where a child's loader looks first.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder with the simulated driver as `libcuda.so.1`.
static SIMULATOR: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = folder("simulator");
    std::fs::copy(BUILT.join("libcuda_sim_library.so"), folder.join("libcuda.so.1")).unwrap();
    folder
});

/// A program whose loader looks into the folder first.
fn child(program: &Path, folder: &Path) -> Command {
    let mut child = Command::new(program);
    child.env_remove("ALEXNET_CUDA").env("LD_LIBRARY_PATH", folder);
    child
}

/// Runs the example that lists devices.
fn devices(folder: &Path, variables: &[(&str, &str)]) -> Output {
    child(&BUILT.join("examples/devices"), folder).envs(variables.iter().copied()).output().unwrap()
}

/// What the example says when it fails.
fn failure(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = devices(folder, variables);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_second_build_compiles_nothing_wherever_a_toolkit_is_said_to_be() {
    LazyLock::force(&BUILT);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut cargo = cargo_build();
    cargo.arg("--manifest-path").arg(manifest).current_dir("/").env("CUDA_LIBRARY_PATH", "/no/such/folder");
    let output = cargo.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("Finished") && !text.contains("Compiling"), "{text}");
}

#[test]
fn every_test_passes_through_the_loader() {
    let program = std::env::current_exe().unwrap();
    let output =
        child(&program, &SIMULATOR).env("ALEXNET_TEST_GPU", "1").args(["--skip", "library::"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("running 0 tests"), "{text}");
}

#[test]
fn devices_are_those_of_the_library() {
    let output = devices(&SIMULATOR, &[("CUDA_SIM_LIBRARY_DEVICES", "3")]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(", 3 devices\n") && text.contains("\n2: "), "{text}");
    assert_eq!(text.matches("1048576 numbers copied there and back").count(), 3, "{text}");
}

#[test]
fn a_program_starts_without_a_driver_and_says_so() {
    let output = devices(&folder("empty"), &[]);
    if output.status.success() {
        skip("this machine has a driver");
        return;
    }
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: counting devices: cuInit failed with code 34: no CUDA driver: "), "{text}");
    assert!(text.contains("libcuda.so.1") && text.contains("install NVIDIA's driver"), "{text}");
}

#[test]
fn a_library_that_lacks_calls_is_not_a_driver() {
    let folder = folder("no-calls");
    let source = folder.join("empty.rs");
    std::fs::write(&source, "").unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args(["--crate-type", "cdylib", "-o"]).arg(folder.join("libcuda.so.1")).arg(&source);
    assert!(rustc.status().unwrap().success());
    let text = failure(&folder, &[]);
    assert!(text.starts_with("error: counting devices: cuInit failed with code 302"), "{text}");
    assert!(text.contains("update it"), "{text}");
}

#[test]
fn every_code_is_reported_with_its_call() {
    let has_kernels = crate::card::ptx().is_some();
    for (call, code, words) in [
        ("cuInit", 34, ["counting devices: ", "stub"].as_slice()),
        ("cuInit", 100, &["CUDA_VISIBLE_DEVICES"]),
        ("cuDevicePrimaryCtxRetain", 101, &["opening device 0: ", "there are 2 devices, numbers 0 to 1"]),
        (
            "cuModuleLoadDataEx",
            222,
            &["loading kernels on device 0: ", "PTX 7.0", "for CUDA 1", "update NVIDIA's driver"],
        ),
        ("cuModuleLoadDataEx", 209, &["compute capability 8.0", "sm_80", "cargo xtask build-ptx"]),
        ("cuModuleGetFunction", 226, &["finding kernel "]),
        ("cuMemAlloc_v2", 2, &["allocating ", " bytes on device 0", " bytes are free; use a smaller batch"]),
        ("cuCtxSynchronize", 700, &["earlier launch", "start it again"]),
        ("cuMemcpyDtoH_v2", 912, &["copying 4194304 bytes from device 0: "]),
    ] {
        // `ptx` has said that it is missing.
        if call.starts_with("cuModule") && !has_kernels {
            continue;
        }
        let text = failure(&SIMULATOR, &[("CUDA_SIM_LIBRARY_FAIL", &format!("{call}={code}"))]);
        assert!(text.contains(&format!(": {call} failed with code {code}")), "{text}");
        for words in words {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for value in ["sim", "sim:0", "sim:17", "real"] {
        let mut child = child(&BUILT.join("examples/devices"), &SIMULATOR);
        let output = child.env("ALEXNET_CUDA", value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("ALEXNET_CUDA={value}: expected sim:N with N from 1 to 16")), "{text}");
    }
}
