//! The calls as C sees them.
#![allow(
    non_snake_case,
    unused_variables,
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks,
    missing_docs
)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};

use super::state::{report, state};
use super::types::*;
use crate::{Config, MemoryError, Program, launch};

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

fn code(result: Result<(), MemoryError>) -> CUresult {
    match result {
        Ok(()) => 0,
        Err(error) => {
            report(error.to_string());
            1
        }
    }
}

pub unsafe extern "C" fn cuInit(flags: c_uint) -> CUresult {
    0
}

pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> CUresult {
    unsafe { version.write(13000) };
    0
}

pub unsafe extern "C" fn cuGetErrorName(error: CUresult, name: *mut *const c_char) -> CUresult {
    unsafe { name.write(c"CUDA_ERROR".as_ptr()) };
    0
}

pub unsafe extern "C" fn cuGetErrorString(error: CUresult, text: *mut *const c_char) -> CUresult {
    unsafe { text.write(c"an error".as_ptr()) };
    0
}

pub unsafe extern "C" fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    if ordinal < 0 || ordinal as u32 >= s.devices {
        return 101;
    }
    unsafe { device.write(ordinal) };
    0
}

pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    unsafe { count.write(s.devices as i32) };
    0
}

pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice) -> CUresult {
    let text = c"Simulated A100";
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), name, text.to_bytes_with_nul().len().min(len as usize)) };
    0
}

pub unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: CUdevice_attribute,
    device: CUdevice,
) -> CUresult {
    let v = match attribute {
        1 => 1024,
        8 => 49152,
        10 => 32,
        16 => 108,
        75 => 8,
        76 => 0,
        97 => 166912,
        81 => 167936,
        82 => 65536,
        39 => 2048,
        106 => 32,
        38 => 40 << 20,
        _ => 0,
    };
    unsafe { value.write(v) };
    0
}

pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice) -> CUresult {
    unsafe { bytes.write(40 << 30) };
    0
}

pub unsafe extern "C" fn cuDeviceCanAccessPeer(can: *mut c_int, device: CUdevice, peer: CUdevice) -> CUresult {
    unsafe { can.write(i32::from(device != peer)) };
    0
}

pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice) -> CUresult {
    unsafe { context.write((device + 1) as usize as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CUdevice) -> CUresult {
    0
}

pub unsafe extern "C" fn cuDevicePrimaryCtxReset_v2(device: CUdevice) -> CUresult {
    0
}

pub unsafe extern "C" fn cuCtxCreate_v2(context: *mut CUcontext, flags: c_uint, device: CUdevice) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuCtxCreate_v2");
    801
}

pub unsafe extern "C" fn cuCtxDestroy_v2(context: CUcontext) -> CUresult {
    0
}

pub unsafe extern "C" fn cuCtxPushCurrent_v2(context: CUcontext) -> CUresult {
    CURRENT.set(context as u64);
    0
}

pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut CUcontext) -> CUresult {
    unsafe { context.write(CURRENT.get() as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuCtxSetCurrent(context: CUcontext) -> CUresult {
    CURRENT.set(context as u64);
    0
}

pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut CUcontext) -> CUresult {
    unsafe { context.write(CURRENT.get() as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuCtxGetDevice(device: *mut CUdevice) -> CUresult {
    unsafe { device.write(CURRENT.get() as i32 - 1) };
    0
}

pub unsafe extern "C" fn cuCtxSynchronize() -> CUresult {
    0
}

pub unsafe extern "C" fn cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint) -> CUresult {
    0
}

pub unsafe extern "C" fn cuCtxDisablePeerAccess(peer: CUcontext) -> CUresult {
    0
}

pub unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut CUstream, flags: c_uint, priority: c_int) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    unsafe { stream.write(s.handle() as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuStreamDestroy_v2(stream: CUstream) -> CUresult {
    0
}

pub unsafe extern "C" fn cuStreamSynchronize(stream: CUstream) -> CUresult {
    0
}

pub unsafe extern "C" fn cuStreamQuery(stream: CUstream) -> CUresult {
    0
}

pub unsafe extern "C" fn cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint) -> CUresult {
    0
}

pub unsafe extern "C" fn cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuStreamBeginCapture_v2");
    801
}

pub unsafe extern "C" fn cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuStreamEndCapture");
    801
}

pub unsafe extern "C" fn cuEventCreate(event: *mut CUevent, flags: c_uint) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    unsafe { event.write(s.handle() as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuEventDestroy_v2(event: CUevent) -> CUresult {
    0
}

pub unsafe extern "C" fn cuEventRecord(event: CUevent, stream: CUstream) -> CUresult {
    0
}

pub unsafe extern "C" fn cuEventQuery(event: CUevent) -> CUresult {
    0
}

pub unsafe extern "C" fn cuEventSynchronize(event: CUevent) -> CUresult {
    0
}

pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent) -> CUresult {
    unsafe { milliseconds.write(0.0) };
    0
}

pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let a = s.memory.alloc(CURRENT.get() as u32 - 1, bytes);
    unsafe { address.write(a) };
    0
}

pub unsafe extern "C" fn cuMemFree_v2(address: CUdeviceptr) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    if s.memory.free(address).is_ok() { 0 } else { 1 }
}

pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CUresult {
    unsafe {
        free.write(40 << 30);
        total.write(40 << 30)
    };
    0
}

pub unsafe extern "C" fn cuMemAllocHost_v2(host: *mut *mut c_void, bytes: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let mut block = vec![0u64; bytes.div_ceil(8)].into_boxed_slice();
    let p = block.as_mut_ptr();
    s.host.insert(p as u64, block);
    unsafe { host.write(p.cast()) };
    0
}

pub unsafe extern "C" fn cuMemFreeHost(host: *mut c_void) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    s.host.remove(&(host as u64));
    0
}

pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), bytes) };
    code(s.memory.write(to, bytes))
}

pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let bytes = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), bytes) };
    code(s.memory.read(from, bytes))
}

pub unsafe extern "C" fn cuMemcpyDtoD_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let mut buffer = vec![0; bytes];
    code(s.memory.read(from, &mut buffer).and_then(|()| s.memory.write(to, &buffer)))
}

pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: CUdeviceptr,
    from: *const c_void,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), bytes) };
    code(s.memory.write(to, bytes))
}

pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let bytes = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), bytes) };
    code(s.memory.read(from, bytes))
}

pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(
    to: CUdeviceptr,
    from: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let mut buffer = vec![0; bytes];
    code(s.memory.read(from, &mut buffer).and_then(|()| s.memory.write(to, &buffer)))
}

pub unsafe extern "C" fn cuMemcpyPeer(
    to: CUdeviceptr,
    to_context: CUcontext,
    from: CUdeviceptr,
    from_context: CUcontext,
    bytes: usize,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let mut buffer = vec![0; bytes];
    code(s.memory.read(from, &mut buffer).and_then(|()| s.memory.write(to, &buffer)))
}

pub unsafe extern "C" fn cuMemcpyPeerAsync(
    to: CUdeviceptr,
    to_context: CUcontext,
    from: CUdeviceptr,
    from_context: CUcontext,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let mut buffer = vec![0; bytes];
    code(s.memory.read(from, &mut buffer).and_then(|()| s.memory.write(to, &buffer)))
}

pub unsafe extern "C" fn cuMemsetD8_v2(to: CUdeviceptr, value: c_uchar, count: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    code(s.memory.write(to, &vec![value; count]))
}

pub unsafe extern "C" fn cuMemsetD32_v2(to: CUdeviceptr, value: c_uint, count: usize) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    code(s.memory.write(to, &value.to_le_bytes().repeat(count)))
}

pub unsafe extern "C" fn cuMemsetD8Async(to: CUdeviceptr, value: c_uchar, count: usize, stream: CUstream) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    code(s.memory.write(to, &vec![value; count]))
}

pub unsafe extern "C" fn cuMemsetD32Async(to: CUdeviceptr, value: c_uint, count: usize, stream: CUstream) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    code(s.memory.write(to, &value.to_le_bytes().repeat(count)))
}

pub unsafe extern "C" fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let text = unsafe { CStr::from_ptr(image.cast()) }.to_string_lossy();
    let device = CURRENT.get() as u32 - 1;
    match Program::load(&text, &s.memory, device) {
        Ok(program) => {
            let h = s.handle();
            s.modules.insert(h, (device, program));
            unsafe { module.write(h as *mut c_void) };
            0
        }
        Err(error) => {
            report(error.to_string());
            218
        }
    }
}

/// Writes what is wrong with a module where the caller wants it.
unsafe fn write_log(text: &str, count: c_uint, options: *mut CUjit_option, values: *mut *mut c_void) {
    const ERROR_LOG_BUFFER: CUjit_option = 5;
    const ERROR_LOG_BUFFER_SIZE_BYTES: CUjit_option = 6;
    let find =
        |wanted| (0..count as usize).find(|&i| unsafe { *options.add(i) } == wanted).map(|i| unsafe { *values.add(i) });
    if let (Some(buffer), Some(bytes)) = (find(ERROR_LOG_BUFFER), find(ERROR_LOG_BUFFER_SIZE_BYTES)) {
        let len = text.len().min((bytes as usize).saturating_sub(1));
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), len);
            buffer.cast::<u8>().add(len).write(0);
        }
    }
}

pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut CUmodule,
    image: *const c_void,
    count: c_uint,
    options: *mut CUjit_option,
    values: *mut *mut c_void,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let text = unsafe { CStr::from_ptr(image.cast()) }.to_string_lossy();
    let device = CURRENT.get() as u32 - 1;
    match Program::load(&text, &s.memory, device) {
        Ok(program) => {
            let h = s.handle();
            s.modules.insert(h, (device, program));
            unsafe { module.write(h as *mut c_void) };
            0
        }
        Err(error) => {
            let text = error.to_string();
            unsafe { write_log(&text, count, options, values) };
            report(text);
            218
        }
    }
}

pub unsafe extern "C" fn cuModuleUnload(module: CUmodule) -> CUresult {
    0
}

pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut CUfunction,
    module: CUmodule,
    name: *const c_char,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    if s.modules.get(&(module as u64)).is_none_or(|(_, p)| p.module().kernel(&name).is_none()) {
        return 500;
    }
    let h = s.handle();
    s.functions.insert(h, (module as u64, name));
    unsafe { function.write(h as *mut c_void) };
    0
}

pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut CUdeviceptr,
    bytes: *mut usize,
    module: CUmodule,
    name: *const c_char,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let Some((a, n)) = s.modules.get(&(module as u64)).and_then(|(_, p)| p.variable(&name)) else { return 500 };
    unsafe {
        if !address.is_null() {
            address.write(a)
        }
        if !bytes.is_null() {
            bytes.write(n)
        }
    };
    0
}

pub unsafe extern "C" fn cuFuncGetAttribute(
    value: *mut c_int,
    attribute: CUfunction_attribute,
    function: CUfunction,
) -> CUresult {
    unsafe { value.write(0) };
    0
}

pub unsafe extern "C" fn cuFuncSetAttribute(
    function: CUfunction,
    attribute: CUfunction_attribute,
    value: c_int,
) -> CUresult {
    0
}

pub unsafe extern "C" fn cuLaunchKernel(
    function: CUfunction,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: CUstream,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    let mut guard = state();
    let Some(s) = guard.as_mut() else { return 3 };
    let Some((m, name)) = s.functions.get(&(function as u64)) else { return 400 };
    let Some((device, program)) = s.modules.get(m) else { return 400 };
    let Some(kernel) = program.module().kernel(name) else { return 400 };
    let mut bytes = vec![0u8; kernel.param_bytes];
    for (index, param) in kernel.params.iter().enumerate() {
        unsafe {
            let from = *parameters.add(index);
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), bytes.as_mut_ptr().add(param.offset), param.bytes)
        }
    }
    let mut config = Config::new([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    config.shared_bytes = shared_bytes as usize;
    config.device = *device;
    config.peers = u64::MAX;
    match launch(program, name, &config, &bytes, &s.memory) {
        Ok(_) => 0,
        Err(error) => {
            report(error.to_string());
            719
        }
    }
}

pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut c_int,
    function: CUfunction,
    threads: c_int,
    shared_bytes: usize,
) -> CUresult {
    unsafe { blocks.write(1) };
    0
}

pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: *mut CUgraphExec,
    graph: CUgraph,
    flags: c_ulonglong,
) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuGraphInstantiateWithFlags");
    801
}

pub unsafe extern "C" fn cuGraphLaunch(executable: CUgraphExec, stream: CUstream) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuGraphLaunch");
    801
}

pub unsafe extern "C" fn cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) -> CUresult {
    eprintln!("cuda-sim: {} is not known", "cuGraphGetNodes");
    801
}

pub unsafe extern "C" fn cuGraphDestroy(graph: CUgraph) -> CUresult {
    0
}

pub unsafe extern "C" fn cuGraphExecDestroy(executable: CUgraphExec) -> CUresult {
    0
}

macro_rules! check {
    ($($call:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        $(const _: unsafe extern "C" fn($($type),*) -> CUresult = $call;)*
    };
}
crate::driver_calls!(check);
