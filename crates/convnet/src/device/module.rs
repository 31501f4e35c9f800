//! Code of a card.

use std::ffi::{CString, c_char, c_void};

use cust::sys::{
    CUfunction, CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, CUjit_option, CUmodule,
    cuFuncSetAttribute, cuModuleGetFunction, cuModuleLoadDataEx, cuModuleUnload,
};
use kernels_gpu::Kernel;

use super::context::driver_version;
use super::error::{Doing, code};
use super::{Context, DriverError};

/// Bytes for what the driver's compiler has to say.
const LOG_BYTES: usize = 8 * 1024;
/// Dynamic shared memory of a block that need not be asked for.
const SHARED_BYTES: u32 = 48 * 1024;

/// PTX that the driver compiled for a card.
#[derive(Debug)]
pub struct Module {
    inner: CUmodule,
    context: Context,
}

// SAFETY: a module is a handle that the driver lets every thread use.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A kernel of a module that is never unloaded.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub(super) inner: CUfunction,
    /// As its declaration says.
    pub kernel: &'static Kernel,
}

// SAFETY: a function is a handle that the driver lets every thread use.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Module {
    /// Compiles PTX.
    ///
    /// # Errors
    /// Those of the driver, with what its compiler wrote; with both versions where the driver is older than the PTX, and
    /// with the card's compute capability where the PTX is not for it.
    pub fn load(context: &Context, ptx: &str) -> Result<Module, DriverError> {
        context.bind()?;
        // The driver reads up to the first zero.
        let image: Vec<u8> = ptx.bytes().take_while(|&byte| byte != 0).chain([0]).collect();
        let mut log = vec![0_u8; LOG_BYTES];
        let mut options = [CUjit_option::CU_JIT_ERROR_LOG_BUFFER, CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        // A size is passed as if it was a pointer.
        let mut values = [log.as_mut_ptr().cast::<c_void>(), std::ptr::without_provenance_mut(LOG_BYTES)];
        let mut inner = std::ptr::null_mut();
        // SAFETY: the image ends with a zero; log, options and values have the sizes that are passed.
        unsafe {
            cuModuleLoadDataEx(
                &raw mut inner,
                image.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        }
        .doing(|| format!("loading kernels on device {}", context.ordinal()))
        .map_err(|error| explained(error, context, ptx, &log))?;
        Ok(Module { inner, context: context.clone() })
    }

    /// The kernel with this declaration, ready for as much shared memory as that asks for.
    ///
    /// # Errors
    /// When there is none of its name.
    pub fn function(&self, kernel: &'static Kernel) -> Result<Function, DriverError> {
        self.context.bind()?;
        let name = CString::new(kernel.name).expect("the name of a function has no zero");
        let name: *const c_char = name.as_ptr();
        let mut inner = std::ptr::null_mut();
        // SAFETY: the module lives, the name ends with a zero, and the call writes a handle.
        unsafe { cuModuleGetFunction(&raw mut inner, self.inner, name) }
            .doing(|| format!("finding kernel {}", kernel.name))
            .map_err(|error| {
                error.remedy_for(code::NOT_FOUND, || {
                    "the PTX is older than this program; run `cargo xtask build-ptx` and build it again".to_string()
                })
            })?;
        if kernel.shared_bytes > SHARED_BYTES {
            let bytes = kernel.shared_bytes as i32;
            // SAFETY: the function is the module's, which lives.
            unsafe { cuFuncSetAttribute(inner, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes) }
                .doing(|| format!("asking for {bytes} bytes of shared memory for kernel {}", kernel.name))?;
        }
        Ok(Function { inner, kernel })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // What fails here fails again at the next call, which reports it.
        if self.context.bind().is_ok() {
            // SAFETY: functions are used only while the module lives, by the contract of `Stream::launch`.
            unsafe { cuModuleUnload(self.inner) };
        }
    }
}

/// Adds the compiler's log, and what versions and processors have to do with it.
fn explained(mut error: DriverError, context: &Context, ptx: &str, log: &[u8]) -> DriverError {
    let written = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..written]);
    if !log.trim().is_empty() {
        error.words.report = log.trim().to_string();
    }
    let version = directive(ptx, ".version").unwrap_or("?");
    let target = directive(ptx, ".target").unwrap_or("?");
    error
        .remedy_for(code::UNSUPPORTED_PTX_VERSION, || {
            let driver = driver_version().map_or("?".to_string(), |(major, minor)| format!("{major}.{minor}"));
            format!("the kernels are PTX {version}, and the driver is for CUDA {driver}; update NVIDIA's driver")
        })
        .remedy_for(code::NO_BINARY_FOR_GPU, || {
            let capability = context.compute_capability().map_or("?".to_string(), |(x, y)| format!("{x}.{y}"));
            format!(
                "the card has compute capability {capability}, and the kernels are for {target} and later; \
                 `cargo xtask build-ptx --arch` builds them for others"
            )
        })
        .remedy_for(code::INVALID_PTX, || "run `cargo xtask build-ptx` and build this program again".to_string())
}

/// The value of a directive at the head of PTX.
fn directive<'a>(ptx: &'a str, name: &str) -> Option<&'a str> {
    ptx.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_found() {
        let ptx = "// kernels\n.version 7.0\n.target sm_80\n.address_size 64\n";
        assert_eq!((directive(ptx, ".version"), directive(ptx, ".target")), (Some("7.0"), Some("sm_80")));
        assert_eq!(directive("", ".version"), None);
    }
}
