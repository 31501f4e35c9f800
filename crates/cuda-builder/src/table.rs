//! The table of a build.

use crate::Build;

const HEAD: [&str; 6] = ["kernel", "threads", "min blocks", "registers", "shared", "dynamic shared"];

pub(crate) fn of(build: &Build) -> String {
    let mut rows = vec![HEAD.map(str::to_string)];
    for kernel in &build.kernels {
        let usage = build.assembled.as_ref().and_then(|report| report.kernel(&kernel.name));
        let known = |value: Option<u32>| value.map_or_else(|| "?".to_string(), |value| value.to_string());
        rows.push([
            kernel.name.clone(),
            kernel.threads.to_string(),
            kernel.min_blocks.to_string(),
            known(usage.map(|usage| usage.registers)),
            known(usage.map(|usage| usage.shared_bytes)),
            kernel.shared_bytes.to_string(),
        ]);
    }
    render(&rows)
}

/// The first column to the left, numbers to the right.
fn render(rows: &[[String; 6]]) -> String {
    let widths: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default());
    let line = |row: &[String; 6]| {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        line + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [HEAD.map(str::to_string), ["fill", "256", "1", "12", "0", "0"].map(str::to_string)];
        assert_eq!(
            render(&rows),
            "kernel  threads  min blocks  registers  shared  dynamic shared\n\
             fill        256           1         12       0               0\n"
        );
    }
}
