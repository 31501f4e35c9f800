//! Changes of one instruction.

use std::fmt;

/// A change of one instruction of a module.
pub(super) struct Mutant {
    pub(super) kernel: String,
    /// Line in the PTX, from 1.
    line: usize,
    what: &'static str,
    instruction: String,
    replacement: String,
}

impl Mutant {
    /// The module with the change. Made one at a time: thousands of them would not fit into memory.
    pub(super) fn ptx(&self, ptx: &str) -> String {
        let mut lines: Vec<&str> = ptx.lines().collect();
        lines[self.line - 1] = &self.replacement;
        lines.join("\n")
    }

    /// Whether it is about what threads wait for, of which a kernel has few.
    pub(super) fn is_wait(&self) -> bool {
        [BARRIER, WAIT].contains(&self.what)
    }
}

const BARRIER: &str = "barrier dropped";
const WAIT: &str = "wait raised";

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}: {}", self.kernel, self.line, self.what, self.instruction)
    }
}

/// Every mutant of a module: each barrier dropped, each wait for copies raised by one, each conditional branch and each
/// predicate dropped.
pub(super) fn mutants(ptx: &str) -> Vec<Mutant> {
    let mut kernel = String::new();
    let mut list = Vec::new();
    for (index, line) in ptx.lines().enumerate() {
        if let Some((_, rest)) = line.split_once(".entry ") {
            kernel = rest.split('(').next().unwrap_or_default().trim().to_string();
        }
        for (what, replacement) in changes(line) {
            let instruction = line.trim().to_string();
            list.push(Mutant { kernel: kernel.clone(), line: index + 1, what, instruction, replacement });
        }
    }
    list
}

fn changes(line: &str) -> Vec<(&'static str, String)> {
    let code = line.trim();
    if code.starts_with("bar.sync") || code.starts_with("barrier.") {
        return vec![(BARRIER, String::new())];
    }
    if let Some(rest) = code.strip_prefix("cp.async.wait_group") {
        let count = rest.trim().trim_end_matches(';').parse::<u32>().unwrap_or(0);
        return vec![(WAIT, format!("cp.async.wait_group {};", count + 1))];
    }
    match code.strip_prefix('@').and_then(|guarded| guarded.split_once(char::is_whitespace)) {
        Some((_, branch)) if branch.trim().starts_with("bra") => vec![("branch dropped", String::new())],
        Some((_, guarded)) => vec![("predicate dropped", guarded.trim().to_string())],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_made_once() {
        let ptx = ".entry k(\n)\n{\n@%p1 bra $L;\nbar.sync 0;\ncp.async.wait_group 1;\n@!%p2 st.global.u32 [%rd1], %r1;\nret;\n}";
        let list = mutants(ptx);
        let made: Vec<(usize, &str)> = list.iter().map(|mutant| (mutant.line, mutant.what)).collect();
        let expected = [(4, "branch dropped"), (5, "barrier dropped"), (6, "wait raised"), (7, "predicate dropped")];
        assert_eq!(made, expected);
        assert!(list.iter().all(|mutant| mutant.kernel == "k"));
        let made: Vec<String> = list.iter().map(|mutant| mutant.ptx(ptx)).collect();
        assert!(!made[0].contains("bra") && made[0].contains("bar.sync"));
        assert!(made[2].contains("wait_group 2;"));
        assert!(made[3].contains("\nst.global.u32 [%rd1], %r1;"));
        assert!(list.iter().map(Mutant::is_wait).eq([false, true, true, false]));
    }
}
