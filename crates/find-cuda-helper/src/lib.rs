//! Replaces the `find_cuda_helper` that cust's build scripts call to find a CUDA toolkit and link to `libcuda`.
//!
//! This workspace needs no toolkit, and `cuda-driver` defines the symbols of `libcuda`; so there is nothing to find.

#![forbid(unsafe_code)]

/// Called by the build scripts of `cust` and `cust_raw`; does nothing.
pub fn include_cuda() {}
