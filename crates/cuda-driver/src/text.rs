//! What the driver calls its codes.

use std::ffi::{CStr, c_char, c_uint};

use crate::backend::{Driver, driver};

/// `cuGetErrorName` and `cuGetErrorString`, with codes as plain numbers: they are asked for codes that cust does not know.
type Texts = unsafe extern "C" fn(c_uint, *mut *const c_char) -> c_uint;

/// The name and the text that the driver has for a code: none where it does not know it, or where there is no driver.
/// Leaves [`crate::last_failure`] alone.
pub fn describe(code: u32) -> Option<(String, String)> {
    match driver()? {
        Driver::Simulator => Some((
            text(cuda_sim::driver::abi::cuGetErrorName, code)?,
            text(cuda_sim::driver::abi::cuGetErrorString, code)?,
        )),
        Driver::Library(library) => {
            // SAFETY: both symbols have this signature in `cuda.h`, but for the enumeration, which is a C int.
            let texts = |name: &str| unsafe { library.get::<Texts>(name) }.ok().map(|symbol| *symbol);
            Some((text(texts("cuGetErrorName")?, code)?, text(texts("cuGetErrorString")?, code)?))
        }
    }
}

fn text(texts: Texts, code: u32) -> Option<String> {
    let mut text = std::ptr::null();
    // SAFETY: the call takes any number, and writes a pointer.
    let status = unsafe { texts(code, &raw mut text) };
    if status != 0 || text.is_null() {
        return None;
    }
    // SAFETY: the driver gave a string that lives as long as it does, and it is never unloaded.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Takes the simulated driver's last report: which kernel, PTX line, block, thread and address a check found fault with.
/// The real driver has none.
pub fn last_report() -> Option<String> {
    match driver()? {
        Driver::Simulator => cuda_sim::driver::last_report(),
        Driver::Library(_) => None,
    }
}
