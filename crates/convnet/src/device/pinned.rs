//! Memory of the host that a card copies from and to while both go on.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use bytemuck::Pod;
use cust::memory::LockedBuffer;

use super::error::{Doing, code};
use super::{Context, DriverError, Event};

/// Numbers in page-locked memory of the host.
#[derive(Debug)]
pub struct Pinned<T> {
    bytes: ManuallyDrop<LockedBuffer<u8>>,
    len: usize,
    /// Recorded after a copy.
    pub(super) copied: Event,
    /// Whether the card may use it for ever.
    is_lost: bool,
    marker: PhantomData<T>,
}

/// A copy that may be under way, and the host's side of it, which nobody can reach until it is done.
///
/// Dropping it waits for the copy. If the driver fails then, the memory is never freed: the card might still use it.
#[derive(Debug)]
#[must_use = "dropping it waits for the copy"]
pub struct Pending<T: Pod> {
    host: Option<Pinned<T>>,
}

impl<T: Pod> Pinned<T> {
    /// `len` zeros, for copies on this card.
    ///
    /// # Errors
    /// When the host has not as much memory to lock.
    pub fn zeroed(context: &Context, len: usize) -> Result<Pinned<T>, DriverError> {
        let copied = Event::new(context)?;
        let bytes = len * size_of::<T>();
        // Never empty: the pointer of an empty buffer would not be aligned.
        let bytes = LockedBuffer::new(&0, bytes.max(1))
            .doing(|| format!("locking {bytes} bytes of the host's memory"))
            .map_err(|error| error.remedy_for(code::OUT_OF_MEMORY, || "see `ulimit -l` and `free`".to_string()))?;
        Ok(Pinned { bytes: ManuallyDrop::new(bytes), len, copied, is_lost: false, marker: PhantomData })
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[T] {
        bytemuck::cast_slice(&self.bytes[..self.len * size_of::<T>()])
    }

    /// The numbers, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.bytes[..self.len * size_of::<T>()])
    }

    /// Never frees the memory: nobody can tell when the card is done with it.
    pub(super) fn lose(mut self) {
        self.is_lost = true;
    }

    /// Address of the first number, on the host.
    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.as_mut_slice().as_mut_ptr()
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // The driver frees on the card that is current; what fails here fails again at the next call.
        if !self.is_lost && self.copied.context.bind().is_ok() {
            // SAFETY: the last use.
            unsafe { ManuallyDrop::drop(&mut self.bytes) };
        }
    }
}

impl<T: Pod> Pending<T> {
    pub(super) fn new(host: Pinned<T>) -> Pending<T> {
        Pending { host: Some(host) }
    }

    /// Waits for the copy, and gives the host's side back.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work. The memory is then lost.
    pub fn wait(mut self) -> Result<Pinned<T>, DriverError> {
        let host = self.host.take().expect("it is there until now");
        match host.copied.synchronize() {
            Ok(()) => Ok(host),
            Err(error) => {
                host.lose();
                Err(error)
            }
        }
    }

    /// Whether the copy is done.
    ///
    /// # Errors
    /// Those of the driver, also of earlier work.
    pub fn is_done(&self) -> Result<bool, DriverError> {
        self.host.as_ref().map_or(Ok(true), |host| host.copied.is_done())
    }
}

impl<T: Pod> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(host) = self.host.take()
            && host.copied.synchronize().is_err()
        {
            host.lose();
        }
    }
}
