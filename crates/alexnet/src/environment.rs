//! Where a run computes: what figures of its speed have to be read with.

use serde_json::{Value, json};

use crate::device;

/// System and processor, as the log and the report have them.
pub fn describe() -> Value {
    json!({
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "processor": processor(),
        "processors": device::processors(),
    })
}

/// The processor's name, where the system tells.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_string())
}
