//! Counts launches as the simulated driver makes them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use cuda_sim::model::{Counted, H100, Launch, Needs, count};
use cuda_sim::observe::Intercept;
use cuda_sim::{Config, LaunchError, Memory, Program, Stats};

/// Instructions of warps after which a launch is sampled: about a quarter of a second of a core.
const BUDGET: u64 = 30_000_000;

/// A launch and what it did.
pub(crate) struct Recorded {
    pub(crate) kernel: String,
    pub(crate) needs: Needs,
    pub(crate) counted: Counted,
}

/// Takes launches and counts them, for an H100.
pub(crate) struct Recorder {
    registers: HashMap<String, u32>,
    launches: Mutex<Vec<Recorded>>,
}

impl Recorder {
    /// With the registers of a thread of each kernel.
    pub(crate) fn new(registers: HashMap<String, u32>) -> Recorder {
        Recorder { registers, launches: Mutex::default() }
    }

    /// The launches since the last call.
    pub(crate) fn take(&self) -> Result<Vec<Recorded>> {
        let launches = std::mem::take(&mut *self.launches.lock().unwrap_or_else(PoisonError::into_inner));
        for launch in &launches {
            self.registers
                .get(&launch.kernel)
                .with_context(|| format!("{}: nobody gave its registers", launch.kernel))?;
        }
        Ok(launches)
    }
}

impl Intercept for Recorder {
    fn launch(
        &self,
        program: &Program,
        kernel: &str,
        config: &Config,
        params: &[u8],
        memory: &Memory,
    ) -> Result<Stats, LaunchError> {
        let fixed = program.module().kernel(kernel).map_or(0, |kernel| kernel.shared_bytes);
        let needs = Needs {
            threads: config.block.iter().product(),
            registers: self.registers.get(kernel).copied().unwrap_or(0),
            shared_bytes: (fixed + config.shared_bytes) as u32,
        };
        let launch = Launch { program, kernel, config, params, memory };
        let counted = count(launch, &H100, needs.occupancy(&H100), BUDGET)?;
        let recorded = Recorded { kernel: kernel.to_string(), needs, counted };
        self.launches.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
        Ok(Stats::default())
    }
}
