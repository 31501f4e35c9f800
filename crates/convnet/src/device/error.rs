//! Errors of the driver, with the call and the driver's own code.

use cust::error::CudaError;
use cust::sys::CUresult;

/// A driver call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {call} failed with code {code}: {text}")]
pub struct DriverError {
    /// What was being done.
    pub doing: String,
    /// The driver call.
    pub call: &'static str,
    /// The driver's code.
    pub code: u32,
    /// The driver's text.
    pub text: String,
}

/// Adds to a driver's result what was being done.
pub(crate) trait Doing<T> {
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

fn failure(known: u32, doing: String) -> DriverError {
    let failure = cuda_driver::last_failure();
    let (call, code) = failure.map_or(("a call", known), |failure| (failure.call, failure.code));
    DriverError { doing, call, code, text: String::new() }
}
