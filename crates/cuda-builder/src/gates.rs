//! What PTX has to keep before it is used.

use std::fmt;

use crate::{Arch, Kernel, Kind, Parameter, ptx, ptxas};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kernel, where it is about one.
    pub kernel: Option<String>,
    /// The PTX's line, where it is about one; counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(kernel) = &self.kernel {
            write!(f, "{kernel}: ")?;
        }
        f.write_str(&self.problem)
    }
}

fn about(kernel: &str, line: Option<usize>, problem: impl Into<String>) -> Finding {
    Finding { kernel: Some(kernel.to_string()), line, problem: problem.into() }
}

/// Entries, parameters and launch bounds are those of the declarations, and there are no others.
pub fn declarations(module: &ptx::Module, arch: Arch, kernels: &[Kernel]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if module.target != arch.name() {
        let problem = format!("made for {:?}, wanted for {arch}", module.target);
        findings.push(Finding { kernel: None, line: None, problem });
    }
    for kernel in kernels {
        match module.entry(&kernel.name) {
            Some(entry) => findings.extend(entry_findings(entry, kernel)),
            None => findings.push(about(&kernel.name, None, "declared, but there is no such entry")),
        }
    }
    for entry in &module.entries {
        if !kernels.iter().any(|kernel| kernel.name == entry.name) {
            findings.push(about(&entry.name, Some(entry.line), "an entry that is not declared"));
        }
    }
    findings
}

fn entry_findings(entry: &ptx::Entry, kernel: &Kernel) -> Vec<Finding> {
    let finding = |problem: String| about(&kernel.name, Some(entry.line), problem);
    let mut findings = Vec::new();
    let (found, declared) = (entry.parameters.len(), kernel.parameters.len());
    if found != declared {
        findings.push(finding(format!("{found} parameters, declared with {declared}")));
    }
    for (index, (found, declared)) in entry.parameters.iter().zip(&kernel.parameters).enumerate() {
        if !agree(found, declared) {
            let name = &declared.name;
            let problem =
                format!("parameter {index} is {}, {name} is declared as {}", of_ptx(found), of_rust(declared));
            findings.push(finding(problem));
        }
    }
    let required = [kernel.threads, 1, 1];
    if entry.required_threads != Some(required) {
        findings.push(finding(format!("blocks of {:?} threads, declared with {required:?}", entry.required_threads)));
    }
    if entry.min_blocks.unwrap_or(1) != kernel.min_blocks {
        let (found, declared) = (entry.min_blocks.unwrap_or(1), kernel.min_blocks);
        findings.push(finding(format!("{found} blocks on a multiprocessor, declared with {declared}")));
    }
    findings
}

fn agree(found: &ptx::Parameter, declared: &Parameter) -> bool {
    let same_kind = match declared.kind {
        Kind::Pointer => found.array.is_none() && matches!(found.element.as_str(), "u64" | "b64"),
        Kind::Scalar => found.array.is_none() && !found.pointer,
        Kind::Struct => found.array.is_some() && found.align == Some(declared.align),
    };
    same_kind && found.bytes() == Some(declared.bytes)
}

fn of_ptx(parameter: &ptx::Parameter) -> String {
    let ptx::Parameter { element, pointer, array, align } = parameter;
    match (array, align) {
        (Some(n), Some(align)) => format!("{n} .{element} aligned to {align}"),
        (Some(n), None) => format!("{n} .{element}"),
        (None, _) if *pointer => format!("a .{element} address"),
        (None, _) => format!(".{element}"),
    }
}

fn of_rust(parameter: &Parameter) -> String {
    let Parameter { kind, bytes, align, .. } = parameter;
    match kind {
        Kind::Pointer => format!("a pointer of {bytes} bytes"),
        Kind::Scalar => format!("a number of {bytes} bytes"),
        Kind::Struct => format!("a struct of {bytes} bytes aligned to {align}"),
    }
}

/// Nothing is called that is not there: such PTX fails when it is loaded.
pub fn self_contained(module: &ptx::Module) -> Vec<Finding> {
    let finding = |(line, name): &(usize, String)| Finding {
        kernel: None,
        line: Some(*line),
        problem: format!("function {name} is called and is not there (.extern .func)"),
    };
    module.missing_functions.iter().map(finding).collect()
}

/// No barrier and no instruction of the whole warp stands under a condition that differs between threads: some of them
/// would never come. Compilers make such code of right sources (see `compile`), so only the PTX tells.
///
/// PTX that the simulator does not know is a finding, too: what cannot be run is not checked.
pub fn uniformity(ptx: &str) -> Vec<Finding> {
    let module = match cuda_sim::ptx::Module::parse(ptx) {
        Ok(module) => module,
        Err(error) => return vec![Finding { kernel: None, line: None, problem: error.to_string() }],
    };
    let divergences = module.kernels.iter().flat_map(cuda_sim::cfg::divergences);
    let finding = |found: cuda_sim::cfg::Divergence| {
        let problem = format!("{} is under the thread-dependent condition of line {}", found.instruction, found.branch);
        about(&found.kernel, Some(found.line as usize), problem)
    };
    divergences.map(finding).collect()
}

/// Everything stays in registers, and the assembler has no complaint.
pub fn assembly(module: &ptx::Module, report: &ptxas::Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in &module.entries {
        let Some(usage) = report.kernel(&entry.name) else {
            findings.push(about(&entry.name, None, "ptxas says nothing about it"));
            continue;
        };
        let (stores, loads) = (usage.spill_store_bytes, usage.spill_load_bytes);
        if stores > 0 || loads > 0 {
            let problem = format!("registers are spilled: {stores} bytes of stores, {loads} of loads");
            findings.push(about(&entry.name, None, problem));
        }
        if usage.stack_bytes > 0 {
            findings.push(about(&entry.name, None, format!("a stack frame of {} bytes", usage.stack_bytes)));
        }
    }
    let warning = |text: &String| Finding { kernel: None, line: None, problem: text.clone() };
    findings.extend(report.warnings.iter().map(warning));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with an address, a number and a struct.
    fn declared() -> Kernel {
        let parameter = |name: &str, kind, bytes, align| Parameter { name: name.to_string(), kind, bytes, align };
        Kernel {
            name: "scale".to_string(),
            parameters: vec![
                parameter("x", Kind::Pointer, 8, 8),
                parameter("factor", Kind::Scalar, 4, 4),
                parameter("dims", Kind::Struct, 12, 4),
            ],
            threads: 256,
            min_blocks: 2,
            shared_bytes: 0,
        }
    }

    const PARAMETERS: &str =
        ".param .u64 .ptr .align 1 scale_param_0, .param .f32 scale_param_1, .param .align 4 .b8 scale_param_2[12]";
    const BOUNDS: &str = ".reqntid 256, 1, 1\n.minnctapersm 2\n";

    fn module(name: &str, parameters: &str, bounds: &str) -> ptx::Module {
        let head = ".version 7.0\n.target sm_80\n.address_size 64\n";
        ptx::Module::parse(&format!("{head}.visible .entry {name}({parameters})\n{bounds}{{\n\tret;\n}}\n")).unwrap()
    }

    fn problems(module: &ptx::Module) -> Vec<String> {
        declarations(module, Arch::Sm80, &[declared()]).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn what_is_declared_passes() {
        assert_eq!(problems(&module("scale", PARAMETERS, BOUNDS)), [""; 0]);
    }

    #[test]
    fn entries_are_those_that_are_declared() {
        assert_eq!(
            problems(&module("scales", PARAMETERS, BOUNDS)),
            ["scale: declared, but there is no such entry", "line 4: scales: an entry that is not declared"]
        );
    }

    #[test]
    fn parameters_are_those_that_are_declared() {
        let two = ".param .u64 .ptr .align 1 scale_param_0, .param .f32 scale_param_1";
        assert_eq!(problems(&module("scale", two, BOUNDS)), ["line 4: scale: 2 parameters, declared with 3"]);
        let wide = PARAMETERS.replace(".f32", ".f64");
        assert_eq!(
            problems(&module("scale", &wide, BOUNDS)),
            ["line 4: scale: parameter 1 is .f64, factor is declared as a number of 4 bytes"]
        );
        let slice = PARAMETERS.replace(".u64 .ptr .align 1 scale_param_0", ".align 8 .b8 scale_param_0[16]");
        assert_eq!(
            problems(&module("scale", &slice, BOUNDS)),
            ["line 4: scale: parameter 0 is 16 .b8 aligned to 8, x is declared as a pointer of 8 bytes"]
        );
        let long = PARAMETERS.replace("[12]", "[16]");
        assert_eq!(
            problems(&module("scale", &long, BOUNDS)),
            [
                "line 4: scale: parameter 2 is 16 .b8 aligned to 4, dims is declared as a struct of 12 bytes aligned to 4"
            ]
        );
    }

    #[test]
    fn bounds_are_those_that_are_declared() {
        assert_eq!(
            problems(&module("scale", PARAMETERS, ".reqntid 128\n")),
            [
                "line 4: scale: blocks of Some([128, 1, 1]) threads, declared with [256, 1, 1]",
                "line 4: scale: 1 blocks on a multiprocessor, declared with 2"
            ]
        );
    }

    #[test]
    fn the_processor_is_the_one_that_was_asked_for() {
        let mut module = module("scale", PARAMETERS, BOUNDS);
        module.target = "sm_90".to_string();
        assert_eq!(problems(&module), ["made for \"sm_90\", wanted for sm_80"]);
    }

    #[test]
    fn missing_functions_are_found() {
        let module = ptx::Module::parse(".version 7.0\n.extern .func memcpy();\n").unwrap();
        let findings = self_contained(&module);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "line 2: function memcpy is called and is not there (.extern .func)");
    }

    #[test]
    fn barriers_under_a_condition_are_found() {
        let head = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n";
        let registers = ".reg .pred %p<2>;\n.reg .b32 %r<2>;\nmov.u32 %r1, %tid.x;\nsetp.eq.s32 %p1, %r1, 0;\n";
        let under = format!("{head}{registers}@%p1 bra $L1;\nbar.sync 0;\n$L1:\nret;\n}}\n");
        let findings = uniformity(&under);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].to_string(), "line 11: k: bar.sync is under the thread-dependent condition of line 10");
        let behind = format!("{head}{registers}@%p1 bra $L1;\n$L1:\nbar.sync 0;\nret;\n}}\n");
        assert_eq!(uniformity(&behind), []);
    }

    #[test]
    fn spills_are_found() {
        let log = "ptxas info    : Compiling entry function 'scale' for 'sm_80'\n\
            \x20   16 bytes stack frame, 20 bytes spill stores, 12 bytes spill loads\n\
            ptxas warning : Value of threads per SM for entry scale is out of range\n";
        let findings = assembly(&module("scale", PARAMETERS, BOUNDS), &ptxas::Report::parse(log));
        let problems: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(
            problems,
            [
                "scale: registers are spilled: 20 bytes of stores, 12 of loads",
                "scale: a stack frame of 16 bytes",
                "ptxas warning : Value of threads per SM for entry scale is out of range"
            ]
        );
        let silent = assembly(&module("scale", PARAMETERS, BOUNDS), &ptxas::Report::default());
        assert_eq!(silent[0].to_string(), "scale: ptxas says nothing about it");
    }
}
