//! `cargo xtask bench --counted`: every launch of a training step, counted and with a predicted time.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

/// How much worse a figure may be than the committed one, in per cent.
const SLACK: f64 = 2.0;

/// Columns of the table that are better when they are smaller.
const WATCHED: [&str; 7] =
    ["requested MB", "DRAM MB", "executed G", "conflicts %", "A100 us", "H100 us", "RTX 4090 us"];

/// Counts a step of `batch` images of `net`; writes the table, or compares with the committed one.
pub(crate) fn run(net: &str, batch: usize, precision: &str, check: bool) -> Result<()> {
    let registers = crate::build_ptx::registers()?;
    let batch = batch.to_string();
    // That of the tests, which are built in any case.
    let run = ["run", "--quiet", "--profile", "test", "--package", "benches", "--bin", "counted", "--"];
    let mut arguments = [&run[..], &[net, &batch, precision]].concat();
    arguments.extend(registers.iter().map(String::as_str));
    let output = crate::cargo(&arguments)
        // Checks cost time, and a sample breaks them.
        .env("ALEXNET_SIM_CHECKS", "off")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "counted: {}", output.status);
    let table = String::from_utf8_lossy(&output.stdout);
    let text = document(net, &batch, precision, &table);
    let name = format!("docs/counted-{net}-{batch}-{precision}.md");
    let path = crate::root().join(&name);
    if !check {
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("wrote {name}");
        return Ok(());
    }
    let committed = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let worse = worse(&committed, &text)?;
    if !worse.is_empty() {
        bail!(
            "worse than {name}; improve it, or run `cargo xtask bench --counted --net {net} --batch {batch} --precision \
             {precision}`:\n{}",
            worse.join("\n")
        );
    }
    println!("no figure is more than {SLACK} % worse than in {name}");
    Ok(())
}

fn document(net: &str, batch: &str, precision: &str, table: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "# A training step, counted\n\n\
         Net `{net}`, {batch} images, {precision}. Written by `cargo xtask bench --counted`; nothing here was measured; `docs/predicted.md` compares with a card.\n\n\
         - Counted by the simulator, for an H100: what SMs request, what goes between L2 and DRAM when each launch begins \
         with an empty cache and ends with everything written back, and what of it was still waiting to be written when the \
         last block ended; multiply-adds, instructions of warps, bank conflicts. Launches whose number of blocks begins \
         with ~ were sampled.\n\
         - Least and needed: every operand of the operation once, and the multiply-adds of its formula. They stand at \
         the operation's first launch.\n\
         - Predicted, by the model of `cuda_sim::model`: microseconds, and what limits them on an H100. The other cards \
         are given the H100's DRAM bytes, whatever their caches are.\n\
         - The floor is the sum over operations of the longer of two times: least bytes from DRAM, needed multiply-adds, \
         in bf16 on tensor cores. Launches cost nothing there.\n\n{table}"
    );
    text
}

/// The figures of `new` that are worse than those of `old`, and the launches that only one of them has.
fn worse(old: &str, new: &str) -> Result<Vec<String>> {
    let (old, new) = (rows(old)?, rows(new)?);
    let mut worse = Vec::new();
    for (key, figures) in &new {
        let Some((_, before)) = old.iter().find(|(other, _)| other == key) else {
            worse.push(format!("{key}: not in the table"));
            continue;
        };
        for ((name, now), before) in WATCHED.iter().zip(figures).zip(before) {
            if now * 100.0 > before * (100.0 + SLACK) {
                worse.push(format!("{key}: {name} {now}, was {before}"));
            }
        }
    }
    let gone = old.iter().filter(|(key, _)| !new.iter().any(|(other, _)| other == key));
    worse.extend(gone.map(|(key, _)| format!("{key}: in the table, but no longer launched")));
    Ok(worse)
}

/// The lines of the table: what names a launch, and its watched figures.
fn rows(text: &str) -> Result<Vec<(String, Vec<f64>)>> {
    let lines = lines(text);
    let (head, lines) = lines.split_first().context("there is no table")?;
    let columns = WATCHED
        .map(|name| head.iter().position(|cell| cell == name).with_context(|| format!("no column {name:?}")))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
    for line in lines {
        ensure!(line.len() == head.len(), "{} columns in a line, {} in the head", line.len(), head.len());
        let name = line[..3].join(" ").trim().to_string();
        // An operation may launch a kernel several times.
        let before = rows.iter().filter(|(key, _)| *key == name || key.starts_with(&format!("{name} #"))).count();
        let key = if before == 0 { name } else { format!("{name} #{}", before + 1) };
        // The floor has times only.
        let figures = columns.iter().map(|&column| line[column].parse().unwrap_or(0.0)).collect();
        rows.push((key, figures));
    }
    Ok(rows)
}

/// The cells of the first table of a text, without the line under its head.
fn lines(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
    let is_line = |line: &&str| line.starts_with('|');
    let table = text.lines().skip_while(|line| !is_line(line)).take_while(is_line);
    table.enumerate().filter(|(index, _)| *index != 1).map(|(_, line)| cells(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(dram: &str, conflicts: &str) -> String {
        format!(
            "text\n| layer | operation | kernel | requested MB | DRAM MB | executed G | conflicts % | A100 us | H100 us | RTX 4090 us |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
             | fc6 | fc_forward | product | 10 | {dram} | 1 | {conflicts} | 5 | 4 | 3 |\n\
             | fc6 | fc_forward | product | 20 | 1 | 1 | 0 | 5 | 4 | 3 |\n\
             | floor | | | | | | | 5 | 4 | 3 |\n"
        )
    }

    #[test]
    fn worse_by_more_than_the_slack_is_named() {
        let committed = table("100", "0.0");
        assert_eq!(worse(&committed, &table("102", "0.0")).unwrap(), [""; 0]);
        assert_eq!(worse(&committed, &table("50", "0.0")).unwrap(), [""; 0]);
        assert_eq!(worse(&committed, &table("103", "0.0")).unwrap(), ["fc6 fc_forward product: DRAM MB 103, was 100"]);
        assert_eq!(
            worse(&committed, &table("100", "0.1")).unwrap(),
            ["fc6 fc_forward product: conflicts % 0.1, was 0"]
        );
    }

    #[test]
    fn launches_are_the_same_ones() {
        let one = table("1", "0");
        let other = one.replace("| fc6 | fc_forward | product | 20", "| fc6 | fc_forward | sums | 20");
        assert_eq!(
            worse(&one, &other).unwrap(),
            [
                "fc6 fc_forward sums: not in the table",
                "fc6 fc_forward product #2: in the table, but no longer launched"
            ]
        );
        assert!(worse("no table", &one).is_err());
        assert!(worse(&one.replace("DRAM MB", "MB"), &one).is_err());
    }
}
