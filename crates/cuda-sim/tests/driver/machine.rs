//! A machine with the calls that the tests make.
#![allow(clippy::undocumented_unsafe_blocks, reason = "pointers are to variables of the types that the calls want")]

use std::ffi::{CString, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cuda_sim::driver::abi::*;
use cuda_sim::driver::{Faults, Options, Schedule, last_report, start};

/// `put` writes a value to a word, `add` adds a word to another one, `read` reads one, `trapped` does not end well.
const PTX: &str = "
.version 7.0
.target sm_80
.address_size 64
.visible .entry put(.param .u64 x, .param .u32 value) {
    .reg .b32 %r<2>; .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [x]; ld.param.u32 %r1, [value];
    st.global.u32 [%rd1], %r1;
    ret;
}
.visible .entry add(.param .u64 x, .param .u64 y) {
    .reg .b32 %r<3>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y];
    ld.global.u32 %r1, [%rd1];
    ld.global.u32 %r2, [%rd2];
    add.u32 %r1, %r1, %r2;
    st.global.u32 [%rd1], %r1;
    ret;
}
.visible .entry trapped() { trap; }
";

/// The functions of the module.
const NAMES: [&str; 3] = ["put", "add", "trapped"];

/// One driver for all tests of the process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Machine {
    contexts: Vec<*mut c_void>,
    functions: Vec<[*mut c_void; NAMES.len()]>,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn machine(devices: u32, schedule: Schedule, seed: u64) -> Machine {
    with(Options { schedule, seed, ..Options::new(devices) })
}

/// One device, late, without checks: what goes wrong shows in values only.
pub(crate) fn unchecked(seed: u64) -> Machine {
    with(Options { seed, checks: false, ..Options::new(1) })
}

/// Two devices, late, without checks, with planted faults.
pub(crate) fn faulty(faults: Faults) -> Machine {
    with(Options { checks: false, faults, ..Options::new(2) })
}

fn with(options: Options) -> Machine {
    let devices = options.devices;
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    start(options);
    assert_eq!(unsafe { cuInit(0) }, 0);
    let mut machine = Machine { contexts: Vec::new(), functions: Vec::new(), _turn: turn };
    for device in 0..devices {
        let context = made(|to| unsafe { cuDevicePrimaryCtxRetain(to, device as i32) });
        machine.contexts.push(context);
        machine.on(device);
        let module = made(|to| unsafe { cuModuleLoadData(to, CString::new(PTX).unwrap().as_ptr().cast()) });
        let function = |name| {
            let name = CString::new(name).unwrap();
            made(|to| unsafe { cuModuleGetFunction(to, module, name.as_ptr()) })
        };
        machine.functions.push(NAMES.map(function));
    }
    machine.on(0);
    machine
}

/// One device, late.
pub(crate) fn one() -> Machine {
    machine(1, Schedule::Late, 0)
}

fn made(call: impl FnOnce(*mut *mut c_void) -> u32) -> *mut c_void {
    let mut handle = std::ptr::null_mut();
    assert_eq!(call(&raw mut handle), 0);
    handle
}

impl Machine {
    pub(crate) fn on(&self, device: u32) {
        assert_eq!(unsafe { cuCtxSetCurrent(self.contexts[device as usize]) }, 0);
    }

    pub(crate) fn context(&self, device: u32) -> *mut c_void {
        self.contexts[device as usize]
    }

    pub(crate) fn stream(&self) -> *mut c_void {
        made(|to| unsafe { cuStreamCreateWithPriority(to, 1, 0) })
    }

    pub(crate) fn blocking_stream(&self) -> *mut c_void {
        made(|to| unsafe { cuStreamCreateWithPriority(to, 0, 0) })
    }

    pub(crate) fn event(&self) -> *mut c_void {
        made(|to| unsafe { cuEventCreate(to, 2) })
    }

    /// A word that holds `value` on the device.
    pub(crate) fn word(&self, value: u32) -> u64 {
        let x = self.unwritten();
        assert_eq!(unsafe { cuMemcpyHtoD_v2(x, (&raw const value).cast(), 4) }, 0);
        assert_eq!(unsafe { cuCtxSynchronize() }, 0);
        x
    }

    pub(crate) fn unwritten(&self) -> u64 {
        let mut x = 0;
        assert_eq!(unsafe { cuMemAlloc_v2(&raw mut x, 4) }, 0);
        x
    }

    /// The word after `stream` is done: the stream is waited for, no other.
    pub(crate) fn get(&self, x: u64, stream: *mut c_void) -> u32 {
        let mut value = 0_u32;
        assert_eq!(unsafe { cuMemcpyDtoHAsync_v2((&raw mut value).cast(), x, 4, stream) }, 0);
        value
    }

    pub(crate) fn put(&self, x: u64, value: u32, stream: *mut c_void) -> u32 {
        let (mut x, mut value) = (x, value);
        self.launch(0, "put", [1; 3], 1, 0, &mut [(&raw mut x).cast(), (&raw mut value).cast()], stream)
    }

    pub(crate) fn add(&self, device: u32, x: u64, y: u64, stream: *mut c_void) -> u32 {
        let (mut x, mut y) = (x, y);
        self.launch(device, "add", [1; 3], 1, 0, &mut [(&raw mut x).cast(), (&raw mut y).cast()], stream)
    }

    pub(crate) fn function(&self, device: u32, name: &str) -> *mut c_void {
        let index = NAMES.iter().position(|known| *known == name).unwrap();
        self.functions[device as usize][index]
    }

    #[allow(clippy::too_many_arguments, reason = "a launch, in parts")]
    pub(crate) fn launch(
        &self,
        device: u32,
        name: &str,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
        parameters: &mut [*mut c_void],
        stream: *mut c_void,
    ) -> u32 {
        let (function, none) = (self.function(device, name), std::ptr::null_mut());
        let ([x, y, z], values) = (grid, parameters.as_mut_ptr());
        unsafe { cuLaunchKernel(function, x, y, z, threads, 1, 1, shared, stream, values, none) }
    }

    /// Lets `to` wait for what `from` was given.
    pub(crate) fn join(&self, from: *mut c_void, to: *mut c_void) {
        let event = self.event();
        assert_eq!(unsafe { cuEventRecord(event, from) }, 0);
        assert_eq!(unsafe { cuStreamWaitEvent(to, event, 0) }, 0);
    }

    pub(crate) fn report(&self) -> String {
        last_report().unwrap_or_default()
    }
}
