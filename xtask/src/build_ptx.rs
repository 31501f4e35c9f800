//! `cargo xtask build-ptx`: kernels as PTX, checked.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use cuda_builder::{Arch, Build, CudaBuilder, Toolchain};

/// Build the GPU kernels to target/ptx and check them
#[derive(Args)]
pub(crate) struct BuildPtx {
    /// Processor to build for; may be given several times
    #[arg(long, value_name = "ARCH", default_value = Arch::default().name())]
    arch: Vec<Arch>,
    /// Check only: run every gate, compare with what is in target/ptx, and write nothing there
    #[arg(long)]
    check: bool,
}

impl Default for BuildPtx {
    /// Writes PTX for the default processor.
    fn default() -> BuildPtx {
        BuildPtx { arch: vec![Arch::default()], check: false }
    }
}

impl BuildPtx {
    pub(crate) fn run(&self) -> Result<()> {
        let toolchain = crate::setup::toolchain()?;
        for &arch in &self.arch {
            let path = place(arch);
            let mut builder = builder(arch, toolchain.clone()).every_gate();
            if !self.check {
                builder = builder.copy_to(&path);
            }
            let build = builder.build()?;
            print!("{}", report(&build));
            let shown = format!("target/ptx/{}", file_name(arch));
            if !self.check {
                println!("wrote {shown}");
            } else if std::fs::read_to_string(&path).is_ok_and(|ptx| ptx != build.ptx) {
                bail!("{shown} is not what the kernels compile to; run `cargo xtask build-ptx`");
            } else {
                println!("every gate passed");
            }
        }
        Ok(())
    }
}

/// Builds the kernels for the default processor to target/ptx, and gives the registers of each: `name=registers`.
pub(crate) fn registers() -> Result<Vec<String>> {
    let arch = Arch::default();
    let build = builder(arch, crate::setup::toolchain()?).every_gate().copy_to(place(arch)).build()?;
    let kernels = build.assembled.unwrap_or_default().kernels;
    Ok(kernels.iter().map(|usage| format!("{}={}", usage.name, usage.registers)).collect())
}

/// Where launchers look for PTX.
fn place(arch: Arch) -> PathBuf {
    crate::root().join("target/ptx").join(file_name(arch))
}

fn file_name(arch: Arch) -> String {
    format!("kernels.{arch}.ptx")
}

fn builder(arch: Arch, toolchain: Toolchain) -> CudaBuilder {
    CudaBuilder::new(crate::root().join("kernels-gpu")).arch(arch).kernels(declared()).toolchain(toolchain)
}

fn report(build: &Build) -> String {
    format!("{} with {}\n{}", build.arch, build.rustc, build.table())
}

/// The declarations of the kernels, as the builder takes them.
fn declared() -> Vec<cuda_builder::Kernel> {
    let parameter = |parameter: &kernels_gpu::Parameter| cuda_builder::Parameter {
        name: parameter.name.to_string(),
        kind: match parameter.kind {
            kernels_gpu::Kind::Pointer => cuda_builder::Kind::Pointer,
            kernels_gpu::Kind::Scalar => cuda_builder::Kind::Scalar,
            kernels_gpu::Kind::Struct => cuda_builder::Kind::Struct,
        },
        bytes: parameter.bytes,
        align: parameter.align,
    };
    let kernel = |kernel: kernels_gpu::Kernel| cuda_builder::Kernel {
        name: kernel.name.to_string(),
        parameters: kernel.parameters.iter().map(parameter).collect(),
        threads: kernel.threads,
        min_blocks: kernel.min_blocks,
        shared_bytes: kernel.shared_bytes,
    };
    kernels_gpu::KERNELS.map(kernel).to_vec()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The tools, or a line that says that they are missing.
    fn toolchain() -> Option<Toolchain> {
        let found = Toolchain::find(&crate::setup::folder()).ok().filter(|toolchain| toolchain.ptxas.is_some());
        if found.is_none() {
            // Not `eprintln`, whose output of a test that passes is not shown.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no toolchain for kernels; `cargo xtask setup` gets one");
        }
        found
    }

    /// The text of one kernel.
    fn entry<'a>(ptx: &'a str, name: &str) -> &'a str {
        let start = ptx.find(&format!(".entry {name}(")).unwrap();
        &ptx[start..start + ptx[start..].find("\n}\n").unwrap()]
    }

    #[test]
    fn declarations_are_taken_over() {
        let kernels = declared();
        assert_eq!(kernels.len(), kernels_gpu::KERNELS.len());
        let tiled = kernels.iter().find(|kernel| kernel.name == "gemm_tiled").unwrap();
        assert_eq!((tiled.threads, tiled.min_blocks), (kernels_gpu::gemm::THREADS, 2));
        let sizes: Vec<usize> = tiled.parameters.iter().map(|parameter| parameter.bytes).collect();
        assert_eq!(sizes, [8, 8, 8, 12]);
    }

    // One test, because the parts would wait for each other in the same folder.
    #[test]
    fn kernels_build_and_pass_every_gate() {
        let Some(toolchain) = toolchain() else { return };
        let build = builder(Arch::Sm80, toolchain.clone()).every_gate().build().unwrap();
        for kernel in kernels_gpu::KERNELS {
            assert!(build.table().contains(kernel.name), "{}", build.table());
        }
        assert!(build.ptx.starts_with("// kernels-gpu for sm_80, by rustc 1."), "{:.80}", build.ptx);

        for (name, instructions) in [
            ("fill", ["st.global.v4", ".reqntid 256, 1, 1"].as_slice()),
            ("vector_add", &["ld.global.v4", "st.global.v4"]),
            ("block_reduce", &["shfl.sync.down", "bar.sync"]),
            ("activation_forward", &["ld.global.v4", "st.global.v4"]),
            ("pool_backward", &["ld.global.v4", "st.global.v4"]),
            ("lrn_backward", &["ld.global.v4", "st.global.v4", "rsqrt.approx"]),
            ("conv_forward_64", &["cp.async.cg", "ld.shared.v4", "fma.rn.f32"]),
            ("conv_forward_bf16_128", &["cp.async.cg", "ldmatrix.sync", "mma.sync.aligned.m16n8k16"]),
            ("softmax_forward", &["shfl.sync.bfly", "ex2.approx", "bar.sync"]),
            ("update", &["ld.global.v4", "st.global.v4"]),
            ("gemm_naive", &["fma.rn.f32"]),
            ("gemm_tiled", &["ld.global.v4", "ld.shared.v4", "st.global.v4", "fma.rn.f32", ".minnctapersm 2"]),
            ("gemm_bf16", &["cp.async.cg", "ldmatrix.sync", "mma.sync.aligned.m16n8k16", "cvt.rn.bf16x2"]),
        ] {
            for instruction in instructions {
                assert!(entry(&build.ptx, name).contains(instruction), "{name} has no {instruction}");
            }
        }

        // The same source gives the same bytes; another declaration does not pass.
        let mut kernels = declared();
        kernels[0].parameters.pop();
        kernels.push(cuda_builder::Kernel { name: "fil".to_string(), ..kernels[0].clone() });
        let rejected = builder(Arch::Sm80, toolchain.clone()).kernels(kernels).build().unwrap_err().to_string();
        assert!(rejected.contains("fill: 3 parameters, declared with 2"), "{rejected}");
        assert!(rejected.contains("fil: declared, but there is no such entry"), "{rejected}");
        let again = builder(Arch::Sm80, toolchain).build().unwrap();
        assert_eq!(again.ptx, build.ptx);
    }
}
