//! Which driver answers.

use std::error::Error as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

/// The variable that chooses the driver where the program does not: `sim:N` for N simulated devices.
const VARIABLE: &str = "ALEXNET_CUDA";
/// The real driver's name.
const LIBRARY: &str = "libcuda.so.1";
/// Most simulated devices: peer access is a bit mask.
const MOST_DEVICES: u32 = 16;

/// A driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `libcuda.so.1`.
    Library,
    /// [`cuda_sim::driver`].
    Simulator {
        /// How many devices it shows.
        devices: u32,
    },
}

/// Why there is no driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The real driver cannot be loaded.
    #[error("no CUDA driver: {reason}; install NVIDIA's driver, or set {VARIABLE}=sim:1 for a simulated device")]
    NoLibrary {
        /// The loader's words.
        reason: String,
    },
    /// The variable is not understood.
    #[error("{VARIABLE}={value}: expected sim:N with N from 1 to {MOST_DEVICES}")]
    Variable {
        /// Its value.
        value: String,
    },
    /// A variable of the simulator is not understood.
    #[error(transparent)]
    Options(#[from] cuda_sim::driver::OptionsError),
    /// Another driver answers already.
    #[error("the driver is chosen already: {chosen:?}")]
    Chosen {
        /// Which.
        chosen: Backend,
    },
}

pub(crate) enum Driver {
    Library(Library),
    Simulator,
}

type Opened = Result<(Backend, Driver), BackendError>;

static WISH: Mutex<Option<Backend>> = Mutex::new(None);
static OPENED: OnceLock<Opened> = OnceLock::new();

/// Chooses the driver of this process, whatever the environment says.
///
/// # Errors
/// When another one has answered a call already.
pub fn choose(backend: Backend) -> Result<(), BackendError> {
    *WISH.lock().unwrap_or_else(PoisonError::into_inner) = Some(backend);
    match OPENED.get() {
        Some(Ok((chosen, _))) if *chosen != backend => Err(BackendError::Chosen { chosen: *chosen }),
        _ => Ok(()),
    }
}

/// The driver that answers; opens it if no call has yet.
///
/// # Errors
/// When there is none.
pub fn backend() -> Result<Backend, BackendError> {
    opened().as_ref().map(|(backend, _)| *backend).map_err(Clone::clone)
}

pub(crate) fn driver() -> Option<&'static Driver> {
    opened().as_ref().ok().map(|(_, driver)| driver)
}

fn opened() -> &'static Opened {
    OPENED.get_or_init(|| {
        let wish = *WISH.lock().unwrap_or_else(PoisonError::into_inner);
        let backend = match (wish, std::env::var(VARIABLE)) {
            (Some(backend), _) => backend,
            (None, Ok(value)) if !value.is_empty() => parse(&value)?,
            (None, _) => Backend::Library,
        };
        let driver = match backend {
            Backend::Library => Driver::Library(load()?),
            Backend::Simulator { devices } => {
                cuda_sim::driver::start(cuda_sim::driver::Options::from_environment(devices)?);
                Driver::Simulator
            }
        };
        Ok((backend, driver))
    })
}

fn parse(value: &str) -> Result<Backend, BackendError> {
    let devices = value.strip_prefix("sim:").and_then(|count| count.parse().ok());
    match devices.filter(|count| (1..=MOST_DEVICES).contains(count)) {
        Some(devices) => Ok(Backend::Simulator { devices }),
        None => Err(BackendError::Variable { value: value.to_string() }),
    }
}

fn load() -> Result<Library, BackendError> {
    // SAFETY: loading the driver runs its initialisers, which its vendor made for that.
    unsafe { Library::new(LIBRARY) }.map_err(|error| {
        // The error itself says only that loading failed; its source has the loader's words.
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        BackendError::NoLibrary { reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_says_how_many_devices() {
        assert_eq!(parse("sim:1"), Ok(Backend::Simulator { devices: 1 }));
        assert_eq!(parse("sim:16"), Ok(Backend::Simulator { devices: 16 }));
        for wrong in ["sim", "sim:", "sim:0", "sim:17", "sim:-1", "1", "SIM:1", "real"] {
            assert_eq!(parse(wrong), Err(BackendError::Variable { value: wrong.to_string() }));
        }
    }
}
