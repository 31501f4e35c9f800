//! Changes of one instruction.

use std::fmt;

/// A module with one change.
pub(super) struct Mutant {
    pub(super) kernel: String,
    /// Line in the PTX, from 1.
    line: usize,
    what: &'static str,
    instruction: String,
    pub(super) ptx: String,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}: {}", self.kernel, self.line, self.what, self.instruction)
    }
}

/// Every mutant of a module: each barrier dropped, each wait for copies raised by one, each conditional branch and each
/// predicate dropped.
pub(super) fn mutants(ptx: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = ptx.lines().collect();
    let mut kernel = String::new();
    let mut list = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some((_, rest)) = line.split_once(".entry ") {
            kernel = rest.split('(').next().unwrap_or_default().trim().to_string();
        }
        for (what, replacement) in changes(line) {
            let mut changed = lines.clone();
            changed[index] = &replacement;
            list.push(Mutant {
                kernel: kernel.clone(),
                line: index + 1,
                what,
                instruction: line.trim().to_string(),
                ptx: changed.join("\n"),
            });
        }
    }
    list
}

fn changes(line: &str) -> Vec<(&'static str, String)> {
    let code = line.trim();
    if code.starts_with("bar.sync") || code.starts_with("barrier.") {
        return vec![("barrier dropped", String::new())];
    }
    if let Some(rest) = code.strip_prefix("cp.async.wait_group") {
        let count = rest.trim().trim_end_matches(';').parse::<u32>().unwrap_or(0);
        return vec![("wait raised", format!("cp.async.wait_group {};", count + 1))];
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
        assert!(!list[0].ptx.contains("bra") && list[0].ptx.contains("bar.sync"));
        assert!(list[2].ptx.contains("wait_group 2;"));
        assert!(list[3].ptx.contains("\nst.global.u32 [%rd1], %r1;"));
    }
}
