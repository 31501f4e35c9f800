//! Errors of the driver: the call, its code and text, and what to do.

use std::fmt;

use cust::error::CudaError;
use cust::sys::CUresult;

/// Codes that have more to say, as in `cuda.h`.
pub(super) mod code {
    pub(crate) const OUT_OF_MEMORY: u32 = 2;
    pub(crate) const INVALID_DEVICE: u32 = 101;
    pub(crate) const NO_BINARY_FOR_GPU: u32 = 209;
    pub(crate) const INVALID_PTX: u32 = 218;
    pub(crate) const UNSUPPORTED_PTX_VERSION: u32 = 222;
    pub(crate) const NOT_FOUND: u32 = 500;
    pub(crate) const PEER_ACCESS_ALREADY_ENABLED: u32 = 704;
}

/// A driver call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverError {
    /// The driver call.
    pub call: &'static str,
    /// The driver's code.
    pub code: u32,
    /// All there is to say about it.
    pub words: Box<Words>,
}

/// What an error says beside call and code; a text is empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What was being done.
    pub doing: String,
    /// The driver's name for the code.
    pub name: String,
    /// The driver's text for the code, or why there is no driver.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
    /// What the driver's compiler wrote, or the simulated driver's report.
    pub report: String,
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words { doing, name, text, remedy, report } = &*self.words;
        write!(f, "{doing}: {} failed with code {}", self.call, self.code)?;
        if !name.is_empty() {
            write!(f, " ({name})")?;
        }
        for (separator, part) in [(": ", text), ("; ", remedy), ("\n", report)] {
            if !part.is_empty() {
                write!(f, "{separator}{part}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for DriverError {}

impl DriverError {
    /// Says what to do where this is the code.
    pub(super) fn remedy_for(mut self, code: u32, remedy: impl FnOnce() -> String) -> DriverError {
        if self.code == code {
            self.words.remedy = remedy();
        }
        self
    }
}

/// Adds to a driver's result what was being done.
pub(super) trait Doing<T> {
    /// `doing` is called for failures only.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, DriverError>;
}

impl<T> Doing<T> for Result<T, CudaError> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, DriverError> {
        self.map_err(|error| failure(error as u32, doing()))
    }
}

impl Doing<()> for CUresult {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<(), DriverError> {
        if self == CUresult::CUDA_SUCCESS { Ok(()) } else { Err(failure(self as u32, doing())) }
    }
}

/// What is known of the call that has just failed on this thread. `known` is its code as cust has it: 999 for any that
/// cust does not know.
fn failure(known: u32, doing: String) -> DriverError {
    let last = cuda_driver::last_failure().filter(|last| last.code == known || known == CudaError::UnknownError as u32);
    // cust checks some arguments itself, before any call.
    let (call, code) = last.map_or(("a check before the call", known), |last| (last.call, last.code));
    let (name, text) = match (cuda_driver::backend(), cuda_driver::describe(code)) {
        (Err(error), _) => (String::new(), error.to_string()),
        (Ok(_), Some(words)) => words,
        (Ok(_), None) => (String::new(), "the driver has no text for this code".to_string()),
    };
    let report = cuda_driver::last_report().unwrap_or_default();
    let remedy = if cuda_driver::backend().is_ok() { remedy(code) } else { "" };
    DriverError { call, code, words: Box::new(Words { doing, name, text, remedy: remedy.to_string(), report }) }
}

/// What to do about a code, whatever was being done.
fn remedy(code: u32) -> &'static str {
    match code {
        code::OUT_OF_MEMORY => "use a smaller batch, or end other programs on this device",
        34 => "this libcuda.so.1 is the toolkit's stub; let the one of NVIDIA's driver be found first",
        100 => "no NVIDIA device is visible; see `nvidia-smi` and CUDA_VISIBLE_DEVICES",
        217 => "these devices cannot reach each other's memory; copies between them go through the host",
        302 => "NVIDIA's driver is too old for this program, or is not its driver; update it",
        705 => "enable peer access from this device to the other one first",
        803 => "NVIDIA's kernel module and libraries differ in version; restart the machine",
        214 | 220 | 700 | 702 | 709..=710 | 714..=719 => {
            "this may be the fault of an earlier launch; the device does nothing more in this process, so start it again"
        }
        _ => "",
    }
}
