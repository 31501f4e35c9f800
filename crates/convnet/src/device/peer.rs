//! One card's access to another one's memory.

use std::ffi::c_int;

use cust::sys::{cuCtxEnablePeerAccess, cuDeviceCanAccessPeer};

use super::error::{Doing, code};
use super::{Context, DriverError};

impl Context {
    /// Whether this card can reach the memory of another one directly.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn can_access(&self, peer: &Context) -> Result<bool, DriverError> {
        let mut can: c_int = 0;
        let (device, peer_device) = (self.raw_device(), peer.raw_device());
        // SAFETY: the devices are the driver's own numbers, and the call writes an integer.
        unsafe { cuDeviceCanAccessPeer(&raw mut can, device, peer_device) }
            .doing(|| format!("asking whether device {} can access device {}", self.ordinal(), peer.ordinal()))?;
        Ok(can != 0)
    }

    /// Lets this card's kernels and copies reach the memory of another one; not the other way round. Once more is fine.
    ///
    /// # Errors
    /// Those of the driver: 217 where they cannot.
    pub fn enable_access(&self, peer: &Context) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the other context lives.
        let enabled = unsafe { cuCtxEnablePeerAccess(peer.raw(), 0) }
            .doing(|| format!("giving device {} access to device {}", self.ordinal(), peer.ordinal()));
        match enabled {
            Err(error) if error.code == code::PEER_ACCESS_ALREADY_ENABLED => Ok(()),
            other => other,
        }
    }
}
