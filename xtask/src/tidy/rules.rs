//! The rules of `cargo xtask tidy`.

use super::{File, Finding};

/// Every rule.
pub(super) const ALL: [fn(&File) -> Vec<Finding>; 8] = [
    unsafe_only_where_allowed,
    safe_crates_say_so,
    assembly_only_in_arch,
    long_files_give_a_reason,
    nothing_unfinished,
    no_test_switched_off,
    no_machine_paths,
    no_large_files,
];

const LONG: usize = 400;
const LARGE: u64 = 5_000_000;

/// Where unsafe code may stand; a folder ends with a slash.
const UNSAFE: [&str; 12] = [
    "kernels-gpu/",
    "crates/cuda-driver/",
    "crates/cuda-sim/",
    "crates/cuda-sim-library/",
    "crates/convnet/src/device/",
    "crates/convnet/src/device.rs",
    "crates/convnet/src/cuda/",
    "crates/convnet/src/cuda.rs",
    "crates/convnet/tests/device/",
    "crates/convnet/src/cpu/",
    "crates/convnet/src/cpu.rs",
    "crates/dataset/src/mmap.rs",
];

/// The roots of crates without unsafe code.
const SAFE_ROOTS: [&str; 5] = [
    "crates/alexnet/src/lib.rs",
    "crates/alexnet/src/main.rs",
    "xtask/src/main.rs",
    "benches/src/lib.rs",
    "tests/src/lib.rs",
];

fn unsafe_only_where_allowed(file: &File) -> Vec<Finding> {
    if is_one_of(&file.path, &UNSAFE) {
        return Vec::new();
    }
    code(file, "unsafe", "unsafe code is not allowed here; ARCHITECTURE.md says where it is")
}

fn safe_crates_say_so(file: &File) -> Vec<Finding> {
    let attribute = "#![forbid(unsafe_code)]";
    match &file.code {
        Some(code) if SAFE_ROOTS.contains(&file.path.as_str()) && !code.contains(attribute) => {
            whole(format!("{attribute} is missing"))
        }
        _ => Vec::new(),
    }
}

fn assembly_only_in_arch(file: &File) -> Vec<Finding> {
    if is_one_of(&file.path, &["kernels-gpu/src/arch/"]) {
        return Vec::new();
    }
    let texts = ["asm!", "global_asm!", "naked_asm!", "link_name"].iter();
    texts.flat_map(|text| code(file, text, &format!("{text} belongs into kernels-gpu/src/arch"))).collect()
}

/// A file is long for a reason, or it is two files.
fn long_files_give_a_reason(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let mut head = file.text.lines().take_while(|line| line.starts_with("//!"));
    if file.code.is_none() || lines <= LONG || head.any(|line| line.starts_with("//! Long: ")) {
        return Vec::new();
    }
    whole(format!("{lines} lines, over {LONG}: split it, or give the reason in its head (//! Long: ...)"))
}

fn nothing_unfinished(file: &File) -> Vec<Finding> {
    let macros = ["todo!", "unimplemented!", "dbg!"].iter();
    let mut findings: Vec<Finding> =
        macros.flat_map(|name| code(file, name, &format!("{name} is for unfinished code"))).collect();
    if file.code.is_some() {
        let mark = concat!("FIX", "ME");
        let marked = lines(file, |line| line.contains(mark));
        findings.extend(marked.map(|line| at(line, format!("{mark} marks unfinished code"))));
    }
    findings
}

fn no_test_switched_off(file: &File) -> Vec<Finding> {
    code(file, "#[ignore", "a test is switched off; mend it or remove it")
}

/// Paths of somebody's machine, and addresses of registries.
fn no_machine_paths(file: &File) -> Vec<Finding> {
    // In two pieces each, so that this file passes.
    let roots = [("/ho", "me/"), ("/Us", "ers/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/fa", "rm/"), ("C:", "\\")];
    let roots: Vec<String> = roots.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let temporary = concat!("/t", "mp/");
    let names_one = |line: &str| {
        let path_at = |start: usize| !line[..start].ends_with(|c: char| c.is_alphanumeric() || ".-_~})".contains(c));
        let root = roots.iter().any(|root| line.match_indices(root.as_str()).any(|(start, _)| path_at(start)));
        let inside = |(start, _): (usize, &str)| {
            path_at(start) && line[start + temporary.len()..].starts_with(|c: char| c.is_alphanumeric())
        };
        root || line.match_indices(temporary).any(inside)
    };
    lines(file, names_one).map(|line| at(line, "a path of one machine")).collect()
}

fn no_large_files(file: &File) -> Vec<Finding> {
    if file.bytes <= LARGE {
        return Vec::new();
    }
    whole(format!("{:.1} MB, over {:.0}", file.bytes as f64 / 1e6, LARGE as f64 / 1e6))
}

fn is_one_of(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| if place.ends_with('/') { path.starts_with(place) } else { path == *place })
}

fn at(line: usize, problem: impl Into<String>) -> Finding {
    Finding { line: Some(line), problem: problem.into() }
}

fn whole(problem: String) -> Vec<Finding> {
    vec![Finding { line: None, problem }]
}

/// A finding for each line of code with `text`.
fn code(file: &File, text: &str, problem: &str) -> Vec<Finding> {
    let code = file.code.as_ref();
    code.map_or(Vec::new(), |code| code.lines_with(text).map(|line| at(line, problem)).collect())
}

/// The numbers of the lines for which `found` holds.
fn lines(file: &File, found: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    file.text.lines().enumerate().filter(move |(_, line)| found(line)).map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that a rule finds in a file.
    fn found(rule: fn(&File) -> Vec<Finding>, path: &str, text: &str) -> Vec<Option<usize>> {
        rule(&File::new(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    const NOTHING: [Option<usize>; 0] = [];

    #[test]
    fn unsafe_code() {
        let text = "fn f() {}\nunsafe fn g() {}\n// unsafe\n";
        assert_eq!(found(unsafe_only_where_allowed, "crates/dataset/src/lib.rs", text), [Some(2)]);
        assert_eq!(found(unsafe_only_where_allowed, "crates/convnet/src/run.rs", text), [Some(2)]);
        assert_eq!(found(unsafe_only_where_allowed, "crates/convnet/src/cpu/memory.rs", text), NOTHING);
        assert_eq!(found(unsafe_only_where_allowed, "crates/dataset/src/mmap.rs", text), NOTHING);
        assert_eq!(found(unsafe_only_where_allowed, "README.md", text), NOTHING);
        assert_eq!(found(unsafe_only_where_allowed, "xtask/src/main.rs", "#![forbid(unsafe_code)]"), NOTHING);
    }

    #[test]
    fn safe_crates() {
        assert_eq!(found(safe_crates_say_so, "xtask/src/main.rs", "#![forbid(unsafe_code)]"), NOTHING);
        assert_eq!(found(safe_crates_say_so, "xtask/src/main.rs", "// #![forbid(unsafe_code)]"), [None]);
        assert_eq!(found(safe_crates_say_so, "xtask/src/test.rs", ""), NOTHING);
    }

    #[test]
    fn assembly() {
        let text = "asm!(\"\");\n#[link_name = \"f\"]\nlet plasma = 1;\n";
        assert_eq!(found(assembly_only_in_arch, "kernels-gpu/src/gemm.rs", text), [Some(1), Some(2)]);
        assert_eq!(found(assembly_only_in_arch, "kernels-gpu/src/arch/sync.rs", text), NOTHING);
    }

    #[test]
    fn long_files() {
        let text = "fn f() {}\n".repeat(LONG);
        assert_eq!(found(long_files_give_a_reason, "src/a.rs", &text), NOTHING);
        assert_eq!(found(long_files_give_a_reason, "src/a.rs", &format!("{text}//\n")), [None]);
        assert_eq!(
            found(long_files_give_a_reason, "src/a.rs", &format!("//! A.\n//! Long: one table.\n{text}")),
            NOTHING
        );
        assert_eq!(found(long_files_give_a_reason, "src/a.rs", &format!("{text}//! Long: no head.\n")), [None]);
        assert_eq!(found(long_files_give_a_reason, "a.toml", &format!("{text}{text}")), NOTHING);
    }

    #[test]
    fn unfinished_code() {
        let text = concat!("todo!();\nlet todo = \"dbg!\";\ndbg!(1);\n// FIX", "ME\n");
        assert_eq!(found(nothing_unfinished, "src/a.rs", text), [Some(1), Some(3), Some(4)]);
        assert_eq!(found(nothing_unfinished, "notes.md", text), NOTHING);
    }

    #[test]
    fn tests_switched_off() {
        let text = "#[test]\n#[ignore]\nfn f() { ignore(); }\n#[ignore = \"slow\"]\n// #[ignore]\n";
        assert_eq!(found(no_test_switched_off, "src/a.rs", text), [Some(2), Some(4)]);
    }

    #[test]
    fn machine_paths() {
        let home = concat!("/ho", "me/me/data");
        let text = format!("see {home}\nhttps://example.org{home}\n\"{home}\"\nmkdir /t{}mp/x\n/tmp/$NAME\n", "");
        assert_eq!(found(no_machine_paths, "notes.md", &text), [Some(1), Some(3), Some(4)]);
        assert_eq!(found(no_machine_paths, "a.rs", "/usr/share/doc ~/data target/tmp/a"), NOTHING);
    }

    #[test]
    fn large_files() {
        let mut file = File::new("a.bin", "");
        assert_eq!(no_large_files(&file).len(), 0);
        file.bytes = LARGE + 1;
        assert_eq!(no_large_files(&file).len(), 1);
    }
}
