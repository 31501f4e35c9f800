//! Code of a card.

use cust::sys::CUfunction;

use super::error::Doing;
use super::{Context, DriverError};

/// PTX that the driver compiled for a card.
#[derive(Debug)]
pub struct Module {
    inner: cust::module::Module,
    context: Context,
}

/// A kernel of a module that is never unloaded.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub(super) inner: CUfunction,
    /// As its declaration says.
    pub kernel: &'static kernels_gpu::Kernel,
}

// SAFETY: a function is a handle that the driver lets every thread use.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Module {
    /// Compiles PTX.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn load(context: &Context, ptx: &str) -> Result<Module, DriverError> {
        context.bind()?;
        let inner = cust::module::Module::from_ptx(ptx, &[])
            .doing(|| format!("loading kernels on device {}", context.ordinal()))?;
        Ok(Module { inner, context: context.clone() })
    }

    /// The kernel with this declaration, ready for as much shared memory as that asks for.
    ///
    /// # Errors
    /// When there is none of its name.
    pub fn function(&self, kernel: &'static kernels_gpu::Kernel) -> Result<Function, DriverError> {
        use cust::sys::{
            CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, cuFuncSetAttribute,
        };

        self.context.bind()?;
        let doing = || format!("finding kernel {}", kernel.name);
        let inner = self.inner.get_function(kernel.name).doing(doing)?.to_raw();
        if kernel.shared_bytes > 48 * 1024 {
            let bytes = kernel.shared_bytes as i32;
            // SAFETY: the function is the module's, which lives.
            unsafe { cuFuncSetAttribute(inner, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes) }
                .doing(|| format!("asking for {bytes} bytes of shared memory for kernel {}", kernel.name))?;
        }
        Ok(Function { inner, kernel })
    }
}
