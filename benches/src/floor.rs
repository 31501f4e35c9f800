//! The least time that an operation takes on a card.

use anyhow::Result;
use convnet::cuda::{self, Precision};
use convnet::device::Context;
use cuda_sim::driver::Options;
use cuda_sim::model::{CARDS, Card};

/// A card's rates, and where they are from.
pub struct Rates {
    card: Card,
    /// In one sentence.
    pub source: String,
}

/// What is longer: the operands' way through memory, or the multiply-adds.
pub struct Floor {
    /// Of that.
    pub seconds: f64,
    /// `memory`, `f32` or `tensor`.
    pub limit: &'static str,
}

impl Rates {
    /// Those of a card: its row of data by its name, with clocks, multiprocessors and bandwidth as the driver has them.
    /// Of a simulated one, those for which its clock predicts. None where there is no row.
    ///
    /// # Errors
    /// The driver's.
    pub fn of(context: &Context) -> Result<Option<Rates>> {
        if cuda::is_simulated()? {
            let card = *Options::from_environment(1)?.clock;
            return Ok(Some(Rates { card, source: format!("data sheet of the {}", card.name) }));
        }
        let name = context.name()?;
        let Some(row) = CARDS.iter().find(|row| name.contains(row.name)) else { return Ok(None) };
        let speeds = context.speeds()?;
        let (sms, clock, dram_bandwidth) = (speeds.multiprocessors, speeds.clock, speeds.bandwidth);
        let source = format!("multiply-adds a cycle by the data sheet of the {}, the rest by the driver", row.name);
        Ok(Some(Rates { card: Card { sms, clock, dram_bandwidth, ..*row }, source }))
    }

    /// The floor of an operation that moves so many bytes and does so many multiply-adds in products.
    pub fn floor(&self, bytes: u64, multiply_adds: f64, precision: Precision) -> Floor {
        let memory = Floor { seconds: bytes as f64 / self.card.dram_bandwidth, limit: "memory" };
        let (rate, limit) = self.products(precision);
        let products = Floor { seconds: multiply_adds / rate, limit };
        if memory.seconds < products.seconds { products } else { memory }
    }

    /// Bytes a second of memory.
    pub fn bandwidth(&self) -> f64 {
        self.card.dram_bandwidth
    }

    /// Multiply-adds a second of products, and what does them.
    pub fn products(&self, precision: Precision) -> (f64, &'static str) {
        let (lanes, name) = match precision {
            Precision::F32 => (f64::from(self.card.fma_lanes), "f32"),
            Precision::Bf16 => (self.card.tensor_multiply_adds, "tensor"),
        };
        (f64::from(self.card.sms) * lanes * self.card.clock, name)
    }
}
