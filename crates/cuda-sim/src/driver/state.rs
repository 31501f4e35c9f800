//! What the driver knows: devices, contexts, modules.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Memory, Program};

pub(super) struct State {
    pub(super) devices: u32,
    pub(super) memory: Memory,
    pub(super) modules: HashMap<u64, (u32, Program)>,
    /// Functions: module, name.
    pub(super) functions: HashMap<u64, (u64, String)>,
    pub(super) host: HashMap<u64, Box<[u64]>>,
    next: u64,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

static REPORT: Mutex<Option<String>> = Mutex::new(None);

/// Takes what the driver reported last: kernel, PTX line, block, thread and address of a finding.
pub fn last_report() -> Option<String> {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner).take()
}

pub(super) fn report(text: String) {
    *REPORT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

/// Starts the driver with `devices` devices.
pub fn start(devices: u32) {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(State {
        devices,
        memory: Memory::new(),
        modules: HashMap::new(),
        functions: HashMap::new(),
        host: HashMap::new(),
        next: 0x1000,
    });
}

pub(super) fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(super) fn handle(&mut self) -> u64 {
        self.next += 16;
        self.next
    }
}
