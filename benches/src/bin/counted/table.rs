//! Launches as lines of a table, and the step as a sum.

use anyhow::{Context as _, Result};
use convnet::cuda::Precision;
use cuda_sim::model::{CARDS, Card, H100, Prediction, Work};
use cuda_sim::observe::Kind;

use crate::recorder::Recorded;

/// What an operation cannot do without.
#[derive(Clone, Copy)]
pub(crate) struct Least {
    /// Every operand once.
    pub(crate) bytes: u64,
    /// Of its formula; 0 where they are few.
    pub(crate) multiply_adds: u64,
}

/// The table, and sums over all of it.
#[derive(Default)]
pub(crate) struct Table {
    precision: Precision,
    lines: Vec<String>,
    requested: f64,
    dram: f64,
    least: f64,
    executed: f64,
    needed: f64,
    /// Shared passes, and those of them that are conflicts.
    passes: u64,
    conflicts: u64,
    /// Seconds on each card, and at least.
    seconds: [f64; CARDS.len()],
    floor: [f64; CARDS.len()],
}

impl Table {
    /// An empty one; products are done on tensor cores in bf16.
    pub(crate) fn new(precision: Precision) -> Table {
        Table { precision, ..Table::default() }
    }

    /// Adds the launches of an operation.
    pub(crate) fn operation(&mut self, layer: &str, name: &str, least: Least, launches: Vec<Recorded>) -> Result<()> {
        for (index, launch) in launches.iter().enumerate() {
            self.launch(layer, name, (index == 0).then_some(least), launch)?;
        }
        self.least += least.bytes as f64;
        self.needed += least.multiply_adds as f64;
        for (floor, card) in self.floor.iter_mut().zip(&CARDS) {
            let lanes = match self.precision {
                Precision::F32 => f64::from(card.fma_lanes),
                Precision::Bf16 => card.tensor_multiply_adds,
            };
            let rate = f64::from(card.sms) * lanes * card.clock;
            *floor += (least.bytes as f64 / card.dram_bandwidth).max(least.multiply_adds as f64 / rate);
        }
        Ok(())
    }

    fn launch(&mut self, layer: &str, name: &str, least: Option<Least>, launch: &Recorded) -> Result<()> {
        let work = launch.counted.work(launch.needs.threads);
        let executed = multiply_adds(launch);
        let counts = &launch.counted.counts;
        let predicted = CARDS.iter().map(|card| predict(&work, card, launch)).collect::<Result<Vec<_>>>()?;
        let dram = launch.counted.dram.bytes() as f64;
        let least = least.map_or(["-".to_string(), "-".to_string()], |least| {
            [mega(least.bytes as f64), giga(least.multiply_adds as f64)]
        });
        let sampled = if launch.counted.run < launch.counted.blocks { "~" } else { "" };
        let mut cells = vec![
            layer.to_string(),
            name.to_string(),
            launch.kernel.clone(),
            format!("{sampled}{}", launch.counted.blocks),
            launch.needs.registers.to_string(),
            launch.needs.occupancy(&H100).blocks.to_string(),
            mega(work.l2_bytes),
            mega(dram),
            mega(launch.counted.waiting as f64),
            least[0].clone(),
            giga(executed),
            least[1].clone(),
            percent(counts.bank_conflicts, counts.shared_passes),
            mega(counts.all_instructions() as f64),
        ];
        for (seconds, predicted) in self.seconds.iter_mut().zip(&predicted) {
            cells.push(format!("{:.1}", predicted.seconds * 1e6));
            *seconds += predicted.seconds;
        }
        // That of the card that was counted for.
        let limit = CARDS.iter().zip(&predicted).find(|(card, _)| **card == H100).map_or("", |(_, it)| it.limit.name());
        cells.push(limit.to_string());
        let line = format!("| {} |", cells.join(" | "));
        eprintln!("{line}");
        self.lines.push(line);
        self.requested += work.l2_bytes;
        self.dram += dram;
        self.executed += executed;
        self.passes += counts.shared_passes;
        self.conflicts += counts.bank_conflicts;
        Ok(())
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        let names = CARDS.map(|card| format!("{} us", card.name)).join(" | ");
        println!(
            "| layer | operation | kernel | blocks | registers | blocks/SM | requested MB | DRAM MB | of it waiting MB | \
             least MB | executed G | needed G | conflicts % | instructions M | {names} | limit |"
        );
        println!("|{}", " --- |".repeat(15 + CARDS.len()));
        self.lines.iter().for_each(|line| println!("{line}"));
        let times = |seconds: &[f64]| seconds.iter().map(|s| format!("{:.1}", s * 1e6)).collect::<Vec<_>>().join(" | ");
        println!(
            "| step | | | | | | {} | {} | | {} | {} | {} | {} | | {} | |",
            mega(self.requested),
            mega(self.dram),
            mega(self.least),
            giga(self.executed),
            giga(self.needed),
            percent(self.conflicts, self.passes),
            times(&self.seconds)
        );
        println!("| floor | | | | | | | | | | | | | | {} | |", times(&self.floor));
    }
}

fn multiply_adds(launch: &Recorded) -> f64 {
    let counts = &launch.counted.counts;
    (counts.lanes(Kind::Fma) + counts.tensor_multiply_adds) as f64
}

fn predict(work: &Work, card: &Card, launch: &Recorded) -> Result<Prediction> {
    let occupancy = launch.needs.occupancy(card);
    work.predict(card, occupancy).with_context(|| format!("{} does not fit on a {}", launch.kernel, card.name))
}

fn mega(n: f64) -> String {
    format!("{:.2}", n / 1e6)
}

fn giga(n: f64) -> String {
    format!("{:.3}", n / 1e9)
}

fn percent(part: u64, of: u64) -> String {
    format!("{:.1}", 100.0 * part as f64 / of.max(1) as f64)
}
