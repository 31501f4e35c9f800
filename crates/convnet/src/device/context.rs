//! A card.

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use cust::context::{ContextHandle, CurrentContext};
use cust::device::{Device, DeviceAttribute};
use cust::sys::{CUcontext, CUdevice};

use super::error::{Doing, code};
use super::{DriverError, wait};

/// The primary context of a card. Clones share it.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<Primary>,
    device: Device,
    ordinal: u32,
}

#[derive(Debug)]
struct Primary(ManuallyDrop<cust::context::Context>);

impl Drop for Primary {
    fn drop(&mut self) {
        // It would wait for a card that does not answer.
        if wait::refused().is_ok() {
            // SAFETY: the last use.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

/// A card's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// What can still be allocated.
    pub free: usize,
    /// All there is.
    pub total: usize,
}

/// How fast a card can be, by its driver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speeds {
    /// How many there are.
    pub multiprocessors: u32,
    /// Their highest clock, in Hz.
    pub clock: f64,
    /// Bytes a second of its memory at the highest clock: the bus's width, twice a cycle.
    pub bandwidth: f64,
    /// Bytes of the second cache.
    pub l2_bytes: u32,
}

/// Version of CUDA that the driver is for: major and minor.
///
/// # Errors
/// When there is no driver.
pub fn driver_version() -> Result<(u32, u32), DriverError> {
    let mut version: c_int = 0;
    // SAFETY: the call writes an integer.
    unsafe { cust::sys::cuDriverGetVersion(&raw mut version) }
        .doing(|| "asking for the driver's version".to_string())?;
    let version = version.unsigned_abs();
    Ok((version / 1000, version % 1000 / 10))
}

impl Context {
    /// How many cards there are.
    ///
    /// # Errors
    /// When there is no driver.
    pub fn count() -> Result<u32, DriverError> {
        cust::init(cust::CudaFlags::empty())
            .and_then(|()| Device::num_devices())
            .doing(|| "counting devices".to_string())
    }

    /// The card with this number.
    ///
    /// # Errors
    /// When there is none, or no driver.
    pub fn new(ordinal: u32) -> Result<Context, DriverError> {
        cust::init(cust::CudaFlags::empty())
            .and_then(|()| Device::get_device(ordinal))
            .and_then(|device| Ok((device, cust::context::Context::new(device)?)))
            .map(|(device, inner)| Context { inner: Arc::new(Primary(ManuallyDrop::new(inner))), device, ordinal })
            .doing(|| format!("opening device {ordinal}"))
            .map_err(|error| {
                error.remedy_for(code::INVALID_DEVICE, || match Context::count() {
                    Ok(1) => "there is one device, number 0".to_string(),
                    Ok(count @ 1..) => format!("there are {count} devices, numbers 0 to {}", count - 1),
                    _ => "there is no device".to_string(),
                })
            })
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
        self.device.name().doing(|| format!("asking for the name of device {}", self.ordinal))
    }

    /// The card's compute capability: major and minor.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn compute_capability(&self) -> Result<(u32, u32), DriverError> {
        let attribute = |attribute| self.device.get_attribute(attribute).map(i32::unsigned_abs);
        attribute(DeviceAttribute::ComputeCapabilityMajor)
            .and_then(|major| Ok((major, attribute(DeviceAttribute::ComputeCapabilityMinor)?)))
            .doing(|| format!("asking for the compute capability of device {}", self.ordinal))
    }

    /// How fast the card can be.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn speeds(&self) -> Result<Speeds, DriverError> {
        let attribute = |attribute| {
            let value = self.device.get_attribute(attribute).map(i32::unsigned_abs);
            value.doing(|| format!("asking for the speed of device {}", self.ordinal))
        };
        let kilohertz = |which| attribute(which).map(|value| f64::from(value) * 1e3);
        let bus = f64::from(attribute(DeviceAttribute::GlobalMemoryBusWidth)?) / 8.0;
        Ok(Speeds {
            multiprocessors: attribute(DeviceAttribute::MultiprocessorCount)?,
            clock: kilohertz(DeviceAttribute::ClockRate)?,
            bandwidth: 2.0 * bus * kilohertz(DeviceAttribute::MemoryClockRate)?,
            l2_bytes: attribute(DeviceAttribute::L2CacheSize)?,
        })
    }

    /// The card's memory.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn memory(&self) -> Result<MemoryInfo, DriverError> {
        self.bind()?;
        cust::memory::mem_get_info()
            .map(|(free, total)| MemoryInfo { free, total })
            .doing(|| format!("asking for the memory of device {}", self.ordinal))
    }

    /// Waits until everything that was given to the card is done, in all streams. Not while a stream is captured. Without
    /// a deadline: streams have one.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        self.bind()?;
        CurrentContext::synchronize().doing(|| format!("waiting for device {}", self.ordinal))
    }

    /// Makes it current on this thread. Refused when a card did not answer.
    pub(super) fn bind(&self) -> Result<(), DriverError> {
        wait::refused()?;
        CurrentContext::set_current(&*self.inner.0).doing(|| format!("binding device {}", self.ordinal))
    }

    pub(super) fn raw(&self) -> CUcontext {
        self.inner.0.get_inner()
    }

    pub(super) fn raw_device(&self) -> CUdevice {
        self.device.as_raw()
    }

    /// Whether both are the same card's.
    pub(super) fn is(&self, other: &Context) -> bool {
        self.ordinal == other.ordinal
    }
}
