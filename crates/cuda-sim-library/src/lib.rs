//! The simulated driver as a shared library with the calls of `libcuda.so.1`: for tests of what loads one.
//!
//! Two variables say how it behaves:
//! - `CUDA_SIM_LIBRARY_DEVICES`: how many devices it has; 2 if it is not set.
//! - `CUDA_SIM_LIBRARY_FAIL=cuInit=34`: this call does nothing but return this code.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use cuda_sim::driver::{abi, types::*};

/// A call, and the code that it returns.
struct Fault {
    call: String,
    code: CUresult,
}

/// Starts the simulator at the first call; the code that `call` is to return instead of being simulated.
fn fault(call: &str) -> Option<CUresult> {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| {
        let variable = |name| std::env::var(name).ok();
        let devices = variable("CUDA_SIM_LIBRARY_DEVICES").and_then(|count| count.parse().ok()).unwrap_or(2);
        cuda_sim::driver::start(cuda_sim::driver::Options::new(devices));
        let fault = variable("CUDA_SIM_LIBRARY_FAIL")?;
        let (call, code) = fault.split_once('=')?;
        Some(Fault { call: call.to_string(), code: code.parse().ok()? })
    });
    fault.as_ref().filter(|fault| fault.call == call).map(|fault| fault.code)
}

macro_rules! export {
    ($($call:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        $(
            #[doc = concat!("`", stringify!($call), "`, simulated.")]
            ///
            /// # Safety
            /// As the driver's documentation of the call says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $call($($argument: $type),*) -> CUresult {
                // SAFETY: the caller's contract.
                fault(stringify!($call)).unwrap_or_else(|| unsafe { abi::$call($($argument),*) })
            }
        )*
    };
}

cuda_sim::driver_calls!(export);
