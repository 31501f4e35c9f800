//! Launches, checked against the kernels' declarations.

use std::ffi::c_void;

use kernels_gpu::{Kind, Parameter};

use super::error::Doing;
use super::{DriverError, Function, Stream};

/// An argument of a launch.
#[derive(Clone, Copy)]
pub struct Argument<'a> {
    value: *const c_void,
    kind: Kind,
    bytes: usize,
    marker: std::marker::PhantomData<&'a ()>,
}

impl<'a> Argument<'a> {
    /// A number or a struct.
    pub fn value<T: kernels_gpu::Argument>(value: &'a T) -> Argument<'a> {
        let from: *const T = value;
        Argument { value: from.cast(), kind: T::KIND, bytes: size_of::<T>(), marker: std::marker::PhantomData }
    }

    /// An address of device memory.
    pub fn address(address: &'a u64) -> Argument<'a> {
        let from: *const u64 = address;
        Argument { value: from.cast(), kind: Kind::Pointer, bytes: 8, marker: std::marker::PhantomData }
    }

    fn fits(&self, parameter: &Parameter) -> bool {
        self.kind == parameter.kind && self.bytes == parameter.bytes
    }
}

impl Stream {
    /// Launches a kernel with its own block and shared memory.
    ///
    /// # Safety
    /// The arguments keep the kernel's contract, and the memory they point to stays until the kernel has run.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Panics
    /// When number, kinds or sizes of the arguments are not those of the declaration: a bug of the launcher.
    pub unsafe fn launch(
        &self,
        function: Function,
        grid: [u32; 3],
        arguments: &[Argument<'_>],
    ) -> Result<(), DriverError> {
        let kernel = function.kernel;
        assert_eq!(arguments.len(), kernel.parameters.len(), "arguments of {}", kernel.name);
        for (argument, parameter) in arguments.iter().zip(kernel.parameters) {
            assert!(argument.fits(parameter), "{} of {}", parameter.name, kernel.name);
        }
        self.context.bind()?;
        let mut values = arguments.iter().map(|argument| argument.value.cast_mut()).collect::<Vec<*mut c_void>>();
        let (block, shared, stream) = (kernel.threads, kernel.shared_bytes, self.inner.as_inner());
        let [x, y, z] = grid;
        // SAFETY: the values live until the driver has copied them, have the sizes that the kernel's declaration says,
        // and by the caller's word keep its contract.
        unsafe {
            cust::sys::cuLaunchKernel(
                function.inner,
                x,
                y,
                z,
                block,
                1,
                1,
                shared,
                stream,
                values.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .doing(|| format!("launching {} with a grid of {grid:?}", kernel.name))
    }
}
