//! What was counted and predicted, beside what a card did.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// What Nsight Compute measured of every launch of a step, in the order of the step, with what was predicted before.
const MEASURED: &str = "docs/h100-nips2012-128.csv";
/// The net and the images of it.
const STEP: (&str, &str) = ("nips2012", "128");
/// Half of an H100's L2 is far from an SM, and an access to it is counted in both halves: 1.5 times on average.
const SECTOR_COUNTED: f64 = 1.5;

const NOTES: &str = "\n## Predicted and measured\n\n\
     An H100 (80 GB HBM3), 24 November 2026, Nsight Compute with caches flushed before each launch and clocks as they are: \
     they held 1980 MHz. The figures of that run are in `docs/h100-nips2012-128.csv`. Launches are compared by kernel and \
     number of blocks, so those that have changed since have no line.\n\n\
     - Before: predicted before there was a card to measure, at 1830 MHz, with all warps busy. Now: by the model as it is.\n\
     - DRAM: counted without what waits in the cache at the end, since nobody measures that. L2: sectors that the SMs \
     request, against those that the L2 saw, over 1.5: half of it is far from an SM, and the card counts an access to \
     the far half twice. Where the first-level cache helps, the L2 sees less; the model has no such cache.\n\
     - Instructions: of the PTX, against those that `ptxas` made of it.\n\n";

/// The section that compares, when there are measurements of this step.
pub(crate) fn section(net: &str, batch: &str, table: &[Vec<String>]) -> Result<String> {
    if (net, batch) != STEP {
        return Ok(String::new());
    }
    let path = crate::root().join(MEASURED);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let measured = text.lines().skip(1).map(Launch::read).collect::<Result<Vec<_>>>()?;
    Ok(NOTES.to_string() + &compare(table, measured)?)
}

struct Launch {
    kernel: String,
    blocks: String,
    before: String,
    us: f64,
    /// Bytes and sectors, both ways.
    dram: f64,
    sectors: f64,
    instructions: f64,
}

impl Launch {
    fn read(line: &str) -> Result<Launch> {
        let cells: Vec<&str> = line.split(',').collect();
        let [kernel, blocks, before, numbers @ ..] = &cells[..] else {
            anyhow::bail!("{MEASURED}: {line:?}: expected kernel, blocks, prediction and six numbers");
        };
        let numbers = numbers.iter().map(|cell| cell.parse()).collect::<Result<Vec<f64>, _>>();
        let numbers = numbers.with_context(|| format!("{MEASURED}: {line:?}"))?;
        let [us, dram_read, dram_written, l2_read, l2_written, instructions] = numbers[..] else {
            anyhow::bail!("{MEASURED}: {line:?}: {} numbers, expected six", numbers.len());
        };
        Ok(Launch {
            kernel: kernel.to_string(),
            blocks: blocks.to_string(),
            before: before.to_string(),
            us,
            dram: dram_read + dram_written,
            sectors: l2_read + l2_written,
            instructions,
        })
    }
}

/// A line for each launch of `table`, whose first line is its head, that was measured, and their sum.
fn compare(table: &[Vec<String>], mut measured: Vec<Launch>) -> Result<String> {
    let (head, lines) = table.split_first().context("there is no table")?;
    let column = |name: &str| head.iter().position(|cell| cell == name).with_context(|| format!("no column {name:?}"));
    let [kernel, blocks] = [column("kernel")?, column("blocks")?];
    let [dram, waiting, requested] = [column("DRAM MB")?, column("of it waiting MB")?, column("requested MB")?];
    let [instructions, us] = [column("instructions M")?, column("H100 us")?];
    let mut text = String::from(
        "| layer | kernel | blocks | before us | now us | measured us | now / measured | DRAM MB | measured MB | \
         requested MB | at the L2 MB | instructions M | measured M |\n",
    );
    text += &format!("|{}\n", " --- |".repeat(13));
    let (mut sum, mut sum_measured, mut n) = (0.0, 0.0, 0);
    for line in lines {
        let number = |column: usize| line[column].parse::<f64>().unwrap_or(0.0);
        let count = line[blocks].trim_start_matches('~');
        let Some(found) = measured.iter().position(|it| it.kernel == line[kernel] && it.blocks == count) else {
            continue;
        };
        let it = measured.remove(found);
        let _ = writeln!(
            text,
            "| {} | {} | {count} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            line[0],
            it.kernel,
            it.before,
            number(us),
            it.us,
            number(us) / it.us,
            number(dram) - number(waiting),
            it.dram / 1e6,
            number(requested),
            it.sectors * 32.0 / SECTOR_COUNTED / 1e6,
            number(instructions),
            it.instructions / 1e6,
        );
        (sum, sum_measured, n) = (sum + number(us), sum_measured + it.us, n + 1);
    }
    let _ = writeln!(
        text,
        "| all {n} | | | | {sum:.1} | {sum_measured:.1} | {:.2} | | | | | | |",
        sum / f64::max(sum_measured, f64::MIN_POSITIVE)
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_that_were_measured_stand_beside_what_was_predicted() {
        let line = |text: &str| text.split(' ').map(|cell| cell.replace('_', " ")).collect::<Vec<_>>();
        let table = [
            line("layer kernel blocks requested_MB DRAM_MB of_it_waiting_MB instructions_M H100_us"),
            line("conv1 product ~20 6 5 1 10 50"),
            line("conv1 product ~20 6 5 1 10 80"),
            line("conv2 other 1 0 0 0 0 1"),
        ];
        let measured = ["product,20,30,100,1e6,2e6,1e5,5e4,9e6", "product,20,,100,1e6,2e6,1e5,5e4,9e6"];
        let measured = measured.map(|line| Launch::read(line).unwrap()).into();
        let text = compare(&table, measured).unwrap();
        let mut lines = text.lines().skip(2);
        assert_eq!(
            lines.next(),
            Some("| conv1 | product | 20 | 30 | 50.0 | 100.0 | 0.50 | 4.00 | 3.00 | 6.00 | 3.20 | 10.00 | 9.00 |")
        );
        assert!(lines.next().unwrap().contains("| 80.0 | 100.0 | 0.80 |"));
        assert_eq!(lines.next(), Some("| all 2 | | | | 130.0 | 200.0 | 0.65 | | | | | | |"));
        assert!(Launch::read("product,20,30").is_err());
    }
}
