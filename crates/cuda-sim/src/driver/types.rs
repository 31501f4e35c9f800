//! The driver's types, as plain integers and pointers of the same layout. Names are those of `cuda.h`.
#![allow(missing_docs, non_camel_case_types, reason = "the names are those of cuda.h, which documents them")]

use std::ffi::c_void;

pub type CUresult = u32;
pub type CUdevice = i32;
pub type CUdeviceptr = u64;
pub type CUdevice_attribute = u32;
pub type CUfunction_attribute = u32;
pub type CUjit_option = u32;
pub type CUstreamCaptureMode = u32;
pub type CUcontext = *mut c_void;
pub type CUstream = *mut c_void;
pub type CUevent = *mut c_void;
pub type CUmodule = *mut c_void;
pub type CUfunction = *mut c_void;
pub type CUgraph = *mut c_void;
pub type CUgraphExec = *mut c_void;
pub type CUgraphNode = *mut c_void;
