//! The driver calls that are known: one list for the simulated driver, for `cuda-driver`'s forwarders and for the
//! simulated `libcuda.so.1`.

/// Expands `$with! { name(argument: type, ..); .. }` with every driver call.
///
/// The types are named as in `cuda.h`; the place of expansion says what they are: plain integers and pointers in
/// [`super::types`], cust_raw's declarations in `cuda-driver`.
#[macro_export]
macro_rules! driver_calls {
    ($with:ident) => {
        $with! {
            cuInit(flags: c_uint);
            cuDriverGetVersion(version: *mut c_int);
            cuGetErrorName(error: CUresult, name: *mut *const c_char);
            cuGetErrorString(error: CUresult, text: *mut *const c_char);
            cuDeviceGet(device: *mut CUdevice, ordinal: c_int);
            cuDeviceGetCount(count: *mut c_int);
            cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice);
            cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice);
            cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice);
            cuDeviceCanAccessPeer(can: *mut c_int, device: CUdevice, peer: CUdevice);
            cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice);
            cuDevicePrimaryCtxRelease_v2(device: CUdevice);
            cuDevicePrimaryCtxReset_v2(device: CUdevice);
            cuCtxCreate_v2(context: *mut CUcontext, flags: c_uint, device: CUdevice);
            cuCtxDestroy_v2(context: CUcontext);
            cuCtxPushCurrent_v2(context: CUcontext);
            cuCtxPopCurrent_v2(context: *mut CUcontext);
            cuCtxSetCurrent(context: CUcontext);
            cuCtxGetCurrent(context: *mut CUcontext);
            cuCtxGetDevice(device: *mut CUdevice);
            cuCtxSynchronize();
            cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint);
            cuCtxDisablePeerAccess(peer: CUcontext);
            cuStreamCreateWithPriority(stream: *mut CUstream, flags: c_uint, priority: c_int);
            cuStreamDestroy_v2(stream: CUstream);
            cuStreamSynchronize(stream: CUstream);
            cuStreamQuery(stream: CUstream);
            cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint);
            cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode);
            cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph);
            cuEventCreate(event: *mut CUevent, flags: c_uint);
            cuEventDestroy_v2(event: CUevent);
            cuEventRecord(event: CUevent, stream: CUstream);
            cuEventQuery(event: CUevent);
            cuEventSynchronize(event: CUevent);
            cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent);
            cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize);
            cuMemFree_v2(address: CUdeviceptr);
            cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
            cuMemAllocHost_v2(host: *mut *mut c_void, bytes: usize);
            cuMemFreeHost(host: *mut c_void);
            cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize);
            cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize);
            cuMemcpyDtoD_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize);
            cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream);
            cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream);
            cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream);
            cuMemcpyPeer(
                to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize
            );
            cuMemcpyPeerAsync(
                to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize,
                stream: CUstream
            );
            cuMemsetD8_v2(to: CUdeviceptr, value: c_uchar, count: usize);
            cuMemsetD32_v2(to: CUdeviceptr, value: c_uint, count: usize);
            cuMemsetD8Async(to: CUdeviceptr, value: c_uchar, count: usize, stream: CUstream);
            cuMemsetD32Async(to: CUdeviceptr, value: c_uint, count: usize, stream: CUstream);
            cuModuleLoadData(module: *mut CUmodule, image: *const c_void);
            cuModuleLoadDataEx(
                module: *mut CUmodule, image: *const c_void, count: c_uint, options: *mut CUjit_option,
                values: *mut *mut c_void
            );
            cuModuleUnload(module: CUmodule);
            cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
            cuModuleGetGlobal_v2(
                address: *mut CUdeviceptr, bytes: *mut usize, module: CUmodule, name: *const c_char
            );
            cuFuncGetAttribute(value: *mut c_int, attribute: CUfunction_attribute, function: CUfunction);
            cuFuncSetAttribute(function: CUfunction, attribute: CUfunction_attribute, value: c_int);
            cuLaunchKernel(
                function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint,
                block_y: c_uint, block_z: c_uint, shared_bytes: c_uint, stream: CUstream,
                parameters: *mut *mut c_void, extra: *mut *mut c_void
            );
            cuOccupancyMaxActiveBlocksPerMultiprocessor(
                blocks: *mut c_int, function: CUfunction, threads: c_int, shared_bytes: usize
            );
            cuGraphInstantiateWithFlags(executable: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong);
            cuGraphLaunch(executable: CUgraphExec, stream: CUstream);
            cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize);
            cuGraphDestroy(graph: CUgraph);
            cuGraphExecDestroy(executable: CUgraphExec);
        }
    };
}
