//! A card.

use std::sync::Arc;

use cust::context::CurrentContext;

use super::DriverError;
use super::error::Doing;

/// The primary context of a card. Clones share it.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<cust::context::Context>,
    ordinal: u32,
}

impl Context {
    /// How many cards there are.
    ///
    /// # Errors
    /// When there is no driver.
    pub fn count() -> Result<u32, DriverError> {
        cust::init(cust::CudaFlags::empty())
            .and_then(|()| cust::device::Device::num_devices())
            .doing(|| "counting devices".to_string())
    }

    /// The card with this number.
    ///
    /// # Errors
    /// When there is none, or no driver.
    pub fn new(ordinal: u32) -> Result<Context, DriverError> {
        cust::init(cust::CudaFlags::empty())
            .and_then(|()| cust::device::Device::get_device(ordinal))
            .and_then(cust::context::Context::new)
            .map(|inner| Context { inner: Arc::new(inner), ordinal })
            .doing(|| format!("opening device {ordinal}"))
    }

    /// The card's number.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The card's name.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn name(&self) -> Result<String, DriverError> {
        cust::device::Device::get_device(self.ordinal)
            .and_then(|device| device.name())
            .doing(|| format!("asking for the name of device {}", self.ordinal))
    }

    /// Makes it current on this thread.
    pub(crate) fn bind(&self) -> Result<(), DriverError> {
        CurrentContext::set_current(&*self.inner).doing(|| format!("binding device {}", self.ordinal))
    }
}
