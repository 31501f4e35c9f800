//! What there is to compute with: a driver, real or simulated, cards, kernels.

use std::borrow::Cow;

use crate::Error;
use crate::device::Context;

/// The kernels that were there when this was built: (architecture, PTX).
const PTX: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/ptx.rs"));

/// Makes the driver a simulated one with `devices` devices, unless a driver has been called already.
///
/// # Errors
/// [`Error::Backend`] when another one has.
pub fn simulate(devices: u32) -> Result<(), Error> {
    Ok(cuda_driver::choose(cuda_driver::Backend::Simulator { devices })?)
}

/// Whether the driver is the simulated one, whose times are predictions.
///
/// # Errors
/// When there is no driver.
pub fn is_simulated() -> Result<bool, Error> {
    Ok(matches!(cuda_driver::backend()?, cuda_driver::Backend::Simulator { .. }))
}

/// Whether this was built with GPU kernels.
pub fn has_kernels() -> bool {
    !PTX.is_empty()
}

/// Whether there is a card that this program can compute on: its name, or why not.
///
/// # Errors
/// Why not: no driver, no card, no kernels.
pub fn available() -> Result<String, Error> {
    cuda_driver::backend()?;
    if !has_kernels() {
        return Err(Error::NoKernels);
    }
    match Context::count()? {
        0 => Err(Error::NoDevice),
        _ => Ok(Context::new(0)?.name()?),
    }
}

/// The PTX to load: what was embedded, or the file that `ALEXNET_KERNELS` names.
pub(super) fn kernels() -> Result<Cow<'static, str>, Error> {
    match std::env::var_os("ALEXNET_KERNELS") {
        Some(path) => std::fs::read_to_string(&path)
            .map(Cow::Owned)
            .map_err(|error| Error::Kernels { path: path.to_string_lossy().into_owned(), reason: error.to_string() }),
        None => PTX.first().map(|(_, ptx)| Cow::Borrowed(*ptx)).ok_or(Error::NoKernels),
    }
}
