//! What the assembler says about kernels.

use std::path::Path;
use std::process::Command;

use crate::{Arch, Error};

/// What `ptxas -v` printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the assembler's order.
    pub kernels: Vec<Usage>,
    /// Warnings, and hints about lost performance.
    pub warnings: Vec<String>,
}

/// What a kernel needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The name of its entry.
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block that is fixed when it is compiled.
    pub shared_bytes: u32,
    /// Local memory of a thread.
    pub stack_bytes: u32,
    /// Registers that are written to memory because there are too few.
    pub spill_store_bytes: u32,
    /// The same, read back.
    pub spill_load_bytes: u32,
}

impl Report {
    /// What this kernel needs.
    pub fn kernel(&self, name: &str) -> Option<&Usage> {
        self.kernels.iter().find(|usage| usage.name == name)
    }

    /// Reads what `ptxas -v` prints.
    pub fn parse(text: &str) -> Report {
        let mut report = Report::default();
        for line in text.lines() {
            if line.contains("warning") || line.contains("Potential Performance Loss") {
                report.warnings.push(line.trim().to_string());
            } else if let Some((_, rest)) = line.split_once("Compiling entry function '") {
                let name = rest.split('\'').next().unwrap_or_default().to_string();
                report.kernels.push(Usage { name, ..Usage::default() });
            } else if let Some(usage) = report.kernels.last_mut() {
                usage.read(line);
            }
        }
        report
    }
}

impl Usage {
    fn read(&mut self, line: &str) {
        let number = |unit: &str| {
            let (before, _) = line.split_once(unit)?;
            before.split_whitespace().last()?.parse().ok()
        };
        let fields = [
            (" bytes stack frame", &mut self.stack_bytes),
            (" bytes spill stores", &mut self.spill_store_bytes),
            (" bytes spill loads", &mut self.spill_load_bytes),
            (" registers", &mut self.registers),
            (" bytes smem", &mut self.shared_bytes),
        ];
        for (unit, field) in fields {
            *field = number(unit).unwrap_or(*field);
        }
    }
}

/// Assembles a file, and forgets the machine code.
///
/// # Errors
/// When the assembler cannot be started, or refuses the file.
pub fn run(ptxas: &Path, arch: Arch, ptx: &Path) -> Result<Report, Error> {
    let mut command = Command::new(ptxas);
    command.arg("-v").arg(format!("-arch={arch}")).arg("-o").arg(ptx.with_extension("cubin")).arg(ptx);
    let output = command.output().map_err(|cause| Error::Start { program: ptxas.to_path_buf(), cause })?;
    let log = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Error::Assemble { path: ptx.to_path_buf(), log: log.into_owned() });
    }
    Ok(Report::parse(&log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_registers_and_spills() {
        let report = Report::parse(
            "ptxas info    : 0 bytes gmem\n\
             ptxas info    : Compiling entry function 'good' for 'sm_80'\n\
             ptxas info    : Function properties for good\n\
             \x20   0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
             ptxas info    : Used 32 registers, used 1 barriers, 1024 bytes smem, 380 bytes cmem[0]\n\
             ptxas info    : Compile time = 9.121 ms\n\
             ptxas info    : Compiling entry function 'bad' for 'sm_80'\n\
             ptxas info    : Function properties for bad\n\
             \x20   16 bytes stack frame, 20 bytes spill stores, 12 bytes spill loads\n\
             ptxas info    : Used 128 registers, used 1 barriers, 16 bytes cumulative stack size, 388 bytes cmem[0]\n\
             ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized\n",
        );
        let good = Usage { name: "good".into(), registers: 32, shared_bytes: 1024, ..Usage::default() };
        assert_eq!(report.kernel("good"), Some(&good));
        let bad = report.kernel("bad").unwrap();
        assert_eq!((bad.registers, bad.stack_bytes), (128, 16));
        assert_eq!((bad.spill_store_bytes, bad.spill_load_bytes), (20, 12));
        assert_eq!(report.warnings.len(), 1);
    }
}
