//! The calls as C sees them: pointers are checked and turned into values, the driver does the rest.
#![allow(non_snake_case, reason = "the names are those of cuda.h")]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::ptr::NonNull;

use super::error::{Code, Status, describe};
use super::module::VERSION;
use super::types::*;
use super::{Driver, lock};

fn call(f: impl FnOnce(&mut Driver) -> Status<()>) -> CUresult {
    let status = lock().as_mut().map_or(Err(Code::NOT_INITIALIZED), f);
    status.map_or_else(|code| code.0, |()| 0)
}

/// A handle as a number. Handles are never dereferenced.
fn number(handle: *mut c_void) -> u64 {
    handle.addr() as u64
}

fn handle(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(number as usize)
}

/// Where C wants a value, which it may not want.
///
/// # Safety
/// Null, or room for a value.
unsafe fn put<T>(to: *mut T, value: T) {
    if let Some(to) = NonNull::new(to) {
        // SAFETY: the caller's contract.
        unsafe { to.write(value) };
    }
}

/// Bytes that C gives.
///
/// # Safety
/// Null, or `bytes` bytes that nobody changes as long as the slice lives.
unsafe fn input<'a>(from: *const c_void, bytes: usize) -> Status<&'a [u8]> {
    match (from.is_null(), bytes) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Code::INVALID_VALUE),
        // SAFETY: the caller's contract.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(from.cast(), bytes) }),
    }
}

/// Room that C gives. It may be uninitialised, so it is zeroed first, unless it is the driver's own.
///
/// # Safety
/// Null, or room for `bytes` bytes that nobody else uses as long as the slice lives.
unsafe fn output<'a>(driver: &Driver, to: *mut c_void, bytes: usize) -> Status<&'a mut [u8]> {
    if bytes == 0 {
        return Ok(&mut []);
    }
    let to = NonNull::new(to.cast::<u8>()).ok_or(Code::INVALID_VALUE)?;
    if driver.host_bytes(to.addr().get() as u64, bytes).is_none() {
        // SAFETY: the caller's contract.
        unsafe { to.write_bytes(0, bytes) };
    }
    // SAFETY: the caller's contract; the bytes are initialised, here or when the driver allocated them.
    Ok(unsafe { NonNull::slice_from_raw_parts(to, bytes).as_mut() })
}

/// A name that C gives.
///
/// # Safety
/// Null, or a string that ends with a zero and that nobody changes as long as the name lives.
unsafe fn name<'a>(from: *const c_char) -> Status<&'a str> {
    let from = NonNull::new(from.cast_mut()).ok_or(Code::INVALID_VALUE)?;
    // SAFETY: the caller's contract.
    unsafe { CStr::from_ptr(from.as_ptr()) }.to_str().map_err(|_| Code::NOT_FOUND)
}

/// `name(arguments) -> out, |driver| value;` writes the value to `out`, which may not be null; without an arrow the
/// expression is the status.
macro_rules! calls {
    () => {};
    ($name:ident($($arg:ident: $type:ty),*) -> $out:ident, |$driver:ident| $value:expr; $($rest:tt)*) => {
        #[doc = concat!("`", stringify!($name), "`.")]
        ///
        /// # Safety
        /// Pointers are null, or point to what the driver's manual says.
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CUresult {
            call(|$driver| {
                let out = NonNull::new($out).ok_or(Code::INVALID_VALUE)?;
                let value = $value?;
                // SAFETY: the caller's contract: it is not null, so there is room for a value.
                unsafe { out.write(value) };
                Ok(())
            })
        }
        calls! { $($rest)* }
    };
    ($name:ident($($arg:ident: $type:ty),*), |$driver:ident| $status:expr; $($rest:tt)*) => {
        #[doc = concat!("`", stringify!($name), "`.")]
        ///
        /// # Safety
        /// Pointers are null, or point to what the driver's manual says.
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CUresult {
            call(|$driver| $status)
        }
        calls! { $($rest)* }
    };
}

calls! {
    cuInit(flags: c_uint), |driver| driver.initialise(flags);
    cuDriverGetVersion(version: *mut c_int) -> version, |_driver| Ok(VERSION);
    cuGetErrorName(error: CUresult, name: *mut *const c_char) -> name, |_driver|
        describe(error).map(|(name, _)| name.as_ptr());
    cuGetErrorString(error: CUresult, text: *mut *const c_char) -> text, |_driver|
        describe(error).map(|(_, text)| text.as_ptr());

    cuDeviceGet(device: *mut CUdevice, ordinal: c_int) -> device, |driver| driver.device(ordinal);
    cuDeviceGetCount(count: *mut c_int) -> count, |driver| driver.device_count();
    cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice), |driver| {
        driver.device(device)?;
        let text = driver.options.card.name.to_bytes();
        let len = usize::try_from(len).ok().filter(|len| *len > 0).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: the caller's contract: room for `len` characters.
        let to = unsafe { output(driver, name.cast(), len) }?;
        let n = text.len().min(len - 1);
        to[..n].copy_from_slice(&text[..n]);
        Ok(())
    };
    cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice) -> value, |driver|
        driver.device_attribute(attribute, device);
    cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice) -> bytes, |driver|
        driver.device(device).map(|_| driver.options.card.memory);
    cuDeviceCanAccessPeer(can: *mut c_int, device: CUdevice, peer: CUdevice) -> can, |driver|
        driver.can_access_peer(device, peer);

    cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice) -> context, |driver|
        driver.retain_primary(device).map(handle);
    cuDevicePrimaryCtxRelease_v2(device: CUdevice), |driver| driver.release_primary(device);
    cuDevicePrimaryCtxReset_v2(device: CUdevice), |driver| driver.reset_primary(device);
    cuCtxCreate_v2(context: *mut CUcontext, flags: c_uint, device: CUdevice) -> context, |driver|
        driver.create_context(flags, device).map(handle);
    cuCtxDestroy_v2(context: CUcontext), |driver| driver.destroy_context(number(context));
    cuCtxPushCurrent_v2(context: CUcontext), |driver| driver.push_context(number(context));
    cuCtxPopCurrent_v2(context: *mut CUcontext), |driver| {
        let popped = driver.pop_context()?;
        // SAFETY: the caller's contract.
        unsafe { put(context, handle(popped)) };
        Ok(())
    };
    cuCtxSetCurrent(context: CUcontext), |driver| driver.set_current(number(context));
    cuCtxGetCurrent(context: *mut CUcontext) -> context, |driver| Ok(handle(driver.get_current()));
    cuCtxGetDevice(device: *mut CUdevice) -> device, |driver| driver.current_device();
    cuCtxSynchronize(), |driver| driver.synchronize_context();
    cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint), |driver| driver.enable_peer(number(peer), flags);
    cuCtxDisablePeerAccess(peer: CUcontext), |driver| driver.disable_peer(number(peer));

    cuStreamCreateWithPriority(stream: *mut CUstream, flags: c_uint, _priority: c_int) -> stream, |driver|
        driver.create_stream(flags).map(handle);
    cuStreamDestroy_v2(stream: CUstream), |driver| driver.destroy_stream(number(stream));
    cuStreamSynchronize(stream: CUstream), |driver| driver.synchronize_stream(number(stream));
    cuStreamQuery(stream: CUstream), |driver| driver.query_stream(number(stream));
    cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint), |driver|
        driver.stream_wait(number(stream), number(event), flags);
    cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode), |driver|
        driver.begin_capture(number(stream), mode);
    cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph), |driver| {
        let out = NonNull::new(graph).ok_or(Code::INVALID_VALUE)?;
        let graph = driver.end_capture(number(stream));
        // SAFETY: the caller's contract: it is not null, so there is room for a handle.
        unsafe { out.write(handle(graph.unwrap_or(0))) };
        graph.map(drop)
    };

    cuEventCreate(event: *mut CUevent, flags: c_uint) -> event, |driver| driver.create_event(flags).map(handle);
    cuEventDestroy_v2(event: CUevent), |driver| driver.destroy_event(number(event));
    cuEventRecord(event: CUevent, stream: CUstream), |driver| driver.record_event(number(event), number(stream));
    cuEventQuery(event: CUevent), |driver| driver.query_event(number(event));
    cuEventSynchronize(event: CUevent), |driver| driver.synchronize_event(number(event));
    cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent) -> milliseconds, |driver|
        driver.elapsed(number(start), number(end));

    cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize) -> address, |driver| driver.alloc(bytes);
    cuMemFree_v2(address: CUdeviceptr), |driver| driver.free(address);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize), |driver| {
        let info = driver.memory_info()?;
        // SAFETY: the caller's contract.
        unsafe { put(free, info.0) };
        // SAFETY: the caller's contract.
        unsafe { put(total, info.1) };
        Ok(())
    };
    cuMemAllocHost_v2(host: *mut *mut c_void, bytes: usize) -> host, |driver| driver.alloc_host(bytes).map(handle);
    cuMemFreeHost(host: *mut c_void), |driver| driver.free_host(number(host));

    cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize), |driver| {
        // SAFETY: the caller's contract.
        let from = unsafe { input(from, bytes) }?;
        driver.upload(to, from)
    };
    cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize), |driver| {
        // SAFETY: the caller's contract.
        let to = unsafe { output(driver, to, bytes) }?;
        driver.download(to, from)
    };
    cuMemcpyDtoD_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize), |driver| driver.copy(to, from, bytes, 0);
    cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream), |driver| {
        // SAFETY: the caller's contract.
        let from = unsafe { input(from, bytes) }?;
        driver.upload_async(to, from, number(stream))
    };
    cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream), |driver| {
        // SAFETY: the caller's contract.
        let to = unsafe { output(driver, to, bytes) }?;
        driver.download_async(to, from, number(stream))
    };
    cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream), |driver|
        driver.copy(to, from, bytes, number(stream));
    cuMemcpyPeer(to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize),
        |driver| driver.copy_peer((number(to_context), to), (number(from_context), from), bytes);
    cuMemcpyPeerAsync(
        to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize,
        stream: CUstream
    ), |driver|
        driver.copy_peer_async((number(to_context), to), (number(from_context), from), bytes, number(stream));
    cuMemsetD8_v2(to: CUdeviceptr, value: c_uchar, count: usize), |driver| driver.fill(to, value.into(), 1, count, 0);
    cuMemsetD32_v2(to: CUdeviceptr, value: c_uint, count: usize), |driver| driver.fill(to, value, 4, count, 0);
    cuMemsetD8Async(to: CUdeviceptr, value: c_uchar, count: usize, stream: CUstream), |driver|
        driver.fill(to, value.into(), 1, count, number(stream));
    cuMemsetD32Async(to: CUdeviceptr, value: c_uint, count: usize, stream: CUstream), |driver|
        driver.fill(to, value, 4, count, number(stream));

    cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> module, |driver| {
        // SAFETY: the caller's contract: text that ends with a zero.
        let image = unsafe { name(image.cast()) }.map_err(|_| Code::INVALID_IMAGE);
        image.and_then(|image| driver.load_module(image).map_err(|(code, text)| driver.explain(code, text))).map(handle)
    };
    cuModuleLoadDataEx(
        module: *mut CUmodule, image: *const c_void, count: c_uint, options: *mut CUjit_option,
        values: *mut *mut c_void
    ) -> module, |driver| {
        // SAFETY: the caller's contract: text that ends with a zero.
        let image = unsafe { name(image.cast()) }.map_err(|_| Code::INVALID_IMAGE);
        image
            .and_then(|image| {
                driver.load_module(image).map_err(|(code, text)| {
                    // SAFETY: the caller's contract: `count` options and values, and room for the log they name.
                    unsafe { write_log(&text, count as usize, options, values) };
                    driver.explain(code, text)
                })
            })
            .map(handle)
    };
    cuModuleUnload(module: CUmodule), |driver| driver.unload_module(number(module));
    cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, symbol: *const c_char) -> function, |driver| {
        // SAFETY: the caller's contract.
        let symbol = unsafe { name(symbol) };
        symbol.and_then(|symbol| driver.module_function(number(module), symbol)).map(handle)
    };
    cuModuleGetGlobal_v2(
        address: *mut CUdeviceptr, bytes: *mut usize, module: CUmodule, symbol: *const c_char
    ), |driver| {
        // SAFETY: the caller's contract.
        let symbol = unsafe { name(symbol) }?;
        let variable = driver.module_variable(number(module), symbol)?;
        // SAFETY: the caller's contract.
        unsafe { put(address, variable.0) };
        // SAFETY: the caller's contract.
        unsafe { put(bytes, variable.1) };
        Ok(())
    };
    cuFuncGetAttribute(value: *mut c_int, attribute: CUfunction_attribute, function: CUfunction) -> value, |driver|
        driver.function_attribute(number(function), attribute);
    cuFuncSetAttribute(function: CUfunction, attribute: CUfunction_attribute, value: c_int), |driver|
        driver.set_function_attribute(number(function), attribute, value);
    cuLaunchKernel(
        function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared_bytes: c_uint, stream: CUstream, parameters: *mut *mut c_void,
        extra: *mut *mut c_void
    ), |driver| {
        if !extra.is_null() {
            let text = "the simulator does not know the argument `extra` of cuLaunchKernel".to_string();
            return Err(driver.explain(Code::NOT_SUPPORTED, text));
        }
        // SAFETY: the caller's contract: a pointer to the value of each parameter.
        let bytes = unsafe { gather(driver, number(function), parameters) }?;
        let shape = [[grid_x, grid_y, grid_z], [block_x, block_y, block_z]];
        driver.launch(number(function), shape, shared_bytes, number(stream), bytes)
    };
    cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int, function: CUfunction, threads: c_int, shared_bytes: usize
    ) -> blocks, |driver| driver.occupancy(number(function), threads, shared_bytes);

    cuGraphInstantiateWithFlags(executable: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong) -> executable,
        |driver| driver.instantiate(number(graph), flags).map(handle);
    cuGraphLaunch(executable: CUgraphExec, stream: CUstream), |driver|
        driver.launch_graph(number(executable), number(stream));
    cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize), |driver| {
        let count = NonNull::new(count).ok_or(Code::INVALID_VALUE)?;
        let found = driver.graph_nodes(number(graph))?;
        // Without a place for nodes the call counts them.
        let room = match nodes.is_null() {
            true => found.len(),
            // SAFETY: the caller's contract: with a place for nodes, it says how many there is room for.
            false => unsafe { count.read() }.min(found.len()),
        };
        for (index, node) in found.iter().take(room).enumerate() {
            // SAFETY: the caller's contract: null, or room for that many nodes.
            unsafe { put(nodes.wrapping_add(if nodes.is_null() { 0 } else { index }), handle(*node)) };
        }
        // SAFETY: the caller's contract: it is not null, so it is a number.
        unsafe { count.write(room) };
        Ok(())
    };
    cuGraphDestroy(graph: CUgraph), |driver| driver.destroy_graph(number(graph));
    cuGraphExecDestroy(executable: CUgraphExec), |driver| driver.destroy_executable(number(executable));
}

/// The values of a launch's parameters, as the kernel wants them laid out.
///
/// # Safety
/// `from` is null, or has a pointer to the value of each parameter of the function.
unsafe fn gather(driver: &Driver, function: u64, from: *mut *mut c_void) -> Status<Vec<u8>> {
    let (parameters, bytes) = driver.parameters(function)?;
    if from.is_null() && !parameters.is_empty() {
        return Err(Code::INVALID_VALUE);
    }
    let mut values = vec![0; bytes];
    for (index, parameter) in parameters.iter().enumerate() {
        // SAFETY: the caller's contract: there are as many pointers as parameters.
        let value = unsafe { from.add(index).read() };
        // SAFETY: the caller's contract: the pointer is null or points to a value of the parameter's size.
        let value = unsafe { input(value, parameter.bytes) }?;
        values[parameter.offset..parameter.offset + parameter.bytes].copy_from_slice(value);
    }
    Ok(values)
}

/// Writes what is wrong with a module where the caller wants it.
///
/// # Safety
/// There are `count` options and values; a log buffer among them has the size that is given with it.
unsafe fn write_log(text: &str, count: usize, options: *mut CUjit_option, values: *mut *mut c_void) {
    const ERROR_LOG_BUFFER: CUjit_option = 5;
    const ERROR_LOG_BUFFER_SIZE_BYTES: CUjit_option = 6;
    if options.is_null() || values.is_null() {
        return;
    }
    let find = |wanted| {
        // SAFETY: the caller's contract: there are `count` of both.
        let found = (0..count).find(|&index| unsafe { options.add(index).read() } == wanted)?;
        // SAFETY: as above.
        Some(unsafe { values.add(found).read() })
    };
    let (Some(buffer), Some(bytes)) = (find(ERROR_LOG_BUFFER), find(ERROR_LOG_BUFFER_SIZE_BYTES)) else { return };
    // A size is passed as if it was a pointer.
    let Some(room) = bytes.addr().checked_sub(1).filter(|_| !buffer.is_null()) else { return };
    let text = &text.as_bytes()[..text.len().min(room)];
    // SAFETY: the caller's contract: room for `room + 1` bytes, which is at least what is written.
    unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    // SAFETY: as above.
    unsafe { buffer.cast::<u8>().add(text.len()).write(0) };
}

macro_rules! check {
    ($($call:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        $(const _: unsafe extern "C" fn($($type),*) -> CUresult = $call;)*
    };
}
crate::driver_calls!(check);
