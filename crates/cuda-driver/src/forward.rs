//! The symbols, one forwarder for each driver call.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use cust_raw::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUfunction_attribute, CUgraph,
    CUgraphExec, CUgraphNode, CUjit_option, CUmodule, CUresult, CUstream, CUstreamCaptureMode,
};

use crate::backend::{Driver, driver};
use crate::record::record;
use crate::result::known;

/// No driver library: `CUDA_ERROR_STUB_LIBRARY`.
const STUB_LIBRARY: u32 = 34;
/// The library lacks the call: `CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND`.
const SYMBOL_NOT_FOUND: u32 = 302;

macro_rules! forward {
    ($($call:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        $(
            #[doc = concat!("Forwards `", stringify!($call), "`.")]
            ///
            /// # Safety
            /// As the driver's documentation of the call says.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $call($($argument: $type),*) -> CUresult {
                // Codes stay plain numbers until they are known to be in cust's enumeration.
                type Call = unsafe extern "C" fn($($type),*) -> c_uint;
                static SYMBOL: OnceLock<Option<Call>> = OnceLock::new();
                let code = match driver() {
                    None => STUB_LIBRARY,
                    // SAFETY: the caller's contract; the simulator's types have the layout of cust's.
                    Some(Driver::Simulator) => unsafe { cuda_sim::driver::abi::$call($($argument as _),*) },
                    Some(Driver::Library(library)) => {
                        let symbol = SYMBOL.get_or_init(|| {
                            // SAFETY: the signature is cust's own, as checked below.
                            unsafe { library.get(stringify!($call)) }.ok().map(|symbol| *symbol)
                        });
                        // SAFETY: the caller's contract.
                        symbol.map_or(SYMBOL_NOT_FOUND, |call| unsafe { call($($argument),*) })
                    }
                };
                record(stringify!($call), code);
                known(code)
            }

            // The forwarder and cust's declaration are the same to the compiler.
            const _: [unsafe extern "C" fn($($type),*) -> CUresult; 2] = [$call, cust_raw::$call];
        )*
    };
}

cuda_sim::driver_calls!(forward);
