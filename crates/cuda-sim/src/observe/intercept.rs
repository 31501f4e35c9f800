//! A place to stand between the driver and the interpreter.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{Config, LaunchError, Memory, Program, Stats};

/// Takes launches in place of the interpreter, which it may call by [`crate::launch_observed`].
pub trait Intercept: Send + Sync {
    /// Does what [`crate::launch`] would.
    ///
    /// # Errors
    /// As [`crate::launch`].
    fn launch(
        &self,
        program: &Program,
        kernel: &str,
        config: &Config,
        params: &[u8],
        memory: &Memory,
    ) -> Result<Stats, LaunchError>;
}

/// One for the process, like the driver, whose launches it takes.
static INTERCEPTOR: RwLock<Option<Arc<dyn Intercept>>> = RwLock::new(None);

/// Makes every later [`crate::launch`] of this process, those of the simulated driver among them, a call of
/// `interceptor`; `None` ends that.
pub fn intercept(interceptor: Option<Arc<dyn Intercept>>) {
    *INTERCEPTOR.write().unwrap_or_else(PoisonError::into_inner) = interceptor;
}

pub(crate) fn interceptor() -> Option<Arc<dyn Intercept>> {
    INTERCEPTOR.read().unwrap_or_else(PoisonError::into_inner).clone()
}
