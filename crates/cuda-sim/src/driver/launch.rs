//! Functions and launches: the card's limits, and what a finding is to the program.

use std::sync::Arc;

use super::Driver;
use super::card::THREADS;
use super::error::{Code, Status};
use super::module::Function;
use super::operation::Work;
use super::races::Access;
use crate::exec::launch_touching;
use crate::ptx::{Kernel, Param};
use crate::{Config, LaunchError, Problem, Program};

/// A launch with its parameters' values.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: Arc<Program>,
    pub(super) name: String,
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared_bytes: usize,
    pub(super) parameters: Vec<u8>,
}

impl Launch {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES` and `.._PREFERRED_SHARED_MEMORY_CARVEOUT`.
const MAX_DYNAMIC_SHARED: u32 = 8;
const CARVEOUT: u32 = 9;

impl Driver {
    pub(super) fn function_attribute(&mut self, function: u64, attribute: u32) -> Status<i32> {
        self.current()?;
        let function = self.function(function)?.clone();
        let kernel = kernel(&function)?;
        let capability = self.options.card.capability as i32;
        Ok(match attribute {
            0 => most_threads(kernel) as i32,
            1 => kernel.shared_bytes as i32,
            2 => 0,
            3 => kernel.local_bytes as i32,
            5 | 6 => capability,
            MAX_DYNAMIC_SHARED => function.dynamic_shared as i32,
            _ => {
                let text = format!("the simulator does not know the function attribute {attribute}");
                return Err(self.explain(Code::NOT_SUPPORTED, text));
            }
        })
    }

    pub(super) fn set_function_attribute(&mut self, function: u64, attribute: u32, value: i32) -> Status<()> {
        self.current()?;
        let card = self.options.card;
        let kernel_shared = kernel(self.function(function)?)?.shared_bytes;
        match attribute {
            MAX_DYNAMIC_SHARED => {
                let bytes = usize::try_from(value).ok().filter(|bytes| bytes + kernel_shared <= card.shared_opt_in);
                let Some(bytes) = bytes else {
                    let most = card.shared_opt_in - kernel_shared.min(card.shared_opt_in);
                    let text = format!("{value} bytes of dynamic shared memory, at most {most} are possible");
                    return Err(self.explain(Code::INVALID_VALUE, text));
                };
                self.functions.get_mut(&function).ok_or(Code::INVALID_HANDLE)?.dynamic_shared = bytes;
                Ok(())
            }
            // A hint about the cache, which has no effect here.
            CARVEOUT if (-1..=100).contains(&value) => Ok(()),
            _ => {
                let text = format!("the simulator cannot set the function attribute {attribute} to {value}");
                Err(self.explain(Code::INVALID_VALUE, text))
            }
        }
    }

    pub(super) fn occupancy(&mut self, function: u64, threads: i32, shared_bytes: usize) -> Status<i32> {
        self.current()?;
        let kernel_shared = kernel(self.function(function)?)?.shared_bytes;
        match u32::try_from(threads) {
            Ok(threads @ 1..=THREADS) => Ok(self.options.card.occupancy(threads, shared_bytes + kernel_shared) as i32),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// Where the values of a function's parameters go: for who has to copy them.
    pub(super) fn parameters(&self, function: u64) -> Status<(&[Param], usize)> {
        let kernel = kernel(self.function(function)?)?;
        Ok((&kernel.params, kernel.param_bytes))
    }

    pub(super) fn launch(
        &mut self,
        function: u64,
        [grid, block]: [[u32; 3]; 2],
        shared_bytes: u32,
        stream: u64,
        parameters: Vec<u8>,
    ) -> Status<()> {
        let stream = self.own_stream(stream)?;
        let function = self.function(function)?.clone();
        if function.context != self.streams[&stream].context {
            return Err(Code::INVALID_HANDLE);
        }
        let shared_bytes = shared_bytes as usize;
        if let Err((code, text)) = self.check_shape(&function, grid, block, shared_bytes) {
            return Err(self.explain(code, format!("{}: {text}", function.name)));
        }
        let Function { program, name, .. } = function;
        let launch = Launch { program, name, grid, block, shared_bytes, parameters };
        self.give(stream, Work::Launch(Arc::new(launch))).map(drop)
    }

    /// Runs a kernel; what it touched, with checks.
    pub(super) fn run_launch(&self, context: u64, work: &Launch) -> Result<Vec<Access>, (Code, String)> {
        let context = self.context(context).map_err(|code| (code, String::new()))?;
        let config = Config {
            shared_bytes: work.shared_bytes,
            device: context.device as u32,
            peers: self.peers(context),
            checks: self.options.checks,
            ..Config::new(work.grid, work.block)
        };
        launch_touching(&work.program, &work.name, &config, &work.parameters, &self.memory)
            .map(|touched| touched.into_iter().map(|(range, writes)| Access { host: false, range, writes }).collect())
            .map_err(|error| (fault(&error), error.to_string()))
    }

    fn function(&self, function: u64) -> Status<&Function> {
        self.functions.get(&function).ok_or(Code::INVALID_HANDLE)
    }

    fn check_shape(
        &self,
        function: &Function,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: usize,
    ) -> Result<(), (Code, String)> {
        let kernel = kernel(function).map_err(|code| (code, String::new()))?;
        let card = self.options.card;
        let fits = |shape: [u32; 3], most: [u32; 3]| shape.iter().zip(most).all(|(&n, most)| n > 0 && n <= most);
        let threads = block.iter().try_fold(1_u32, |all, &n| all.checked_mul(n));
        let threads = threads.filter(|threads| fits(block, card.block) && *threads <= THREADS);
        let refuse = |code, text: String| Err((code, text));
        let Some(threads) = threads else {
            let most = card.block;
            return refuse(
                Code::INVALID_VALUE,
                format!("a block of {block:?}, the card's limit is {most:?}, {THREADS} in all"),
            );
        };
        if !fits(grid, card.grid) {
            return refuse(Code::INVALID_VALUE, format!("a grid of {grid:?}, the card's limit is {:?}", card.grid));
        }
        if let Some(required) = kernel.bounds.required_threads.filter(|required| *required != block) {
            return refuse(Code::INVALID_VALUE, format!("a block of {block:?}, the kernel requires {required:?}"));
        }
        let most = most_threads(kernel);
        if threads > most {
            let text = format!("a block of {threads} threads, the kernel's launch bounds allow {most}");
            return refuse(Code::LAUNCH_OUT_OF_RESOURCES, text);
        }
        let most = function.dynamic_shared;
        if shared_bytes > most {
            let text = format!(
                "{shared_bytes} bytes of dynamic shared memory, the function's limit is {most} (cuFuncSetAttribute raises it)"
            );
            return refuse(Code::INVALID_VALUE, text);
        }
        Ok(())
    }
}

fn kernel(function: &Function) -> Status<&Kernel> {
    function.program.module().kernel(&function.name).ok_or(Code::NOT_FOUND)
}

fn most_threads(kernel: &Kernel) -> u32 {
    kernel.bounds.max_threads.map_or(THREADS, |most| most.iter().product::<u32>().min(THREADS))
}

/// The code that hardware gives for a finding; for what hardware does not see, that of a launch that failed.
fn fault(error: &LaunchError) -> Code {
    let LaunchError::Finding(finding) = error else { return Code::LAUNCH_FAILED };
    match finding.problem {
        Problem::OutOfBounds { .. } | Problem::AfterFree { .. } | Problem::NoPeerAccess { .. } => Code::ILLEGAL_ADDRESS,
        Problem::Unaligned { .. } => Code::MISALIGNED_ADDRESS,
        Problem::Trap => Code::ILLEGAL_INSTRUCTION,
        Problem::TooLong { .. } => Code::LAUNCH_TIMEOUT,
        _ => Code::LAUNCH_FAILED,
    }
}
