//! Embeds the kernels that `cargo xtask build-ptx` left in `target/ptx`: none is fine, too.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let folder = root.join("target/ptx");
    // The folder must be there to be watched: cargo takes a missing path for one that changed.
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut list = String::from("&[\n");
    let mut files: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if let Some(arch) = name.strip_prefix("kernels.").and_then(|name| name.strip_suffix(".ptx")) {
            println!("cargo::rerun-if-changed={}", file.display());
            let path = file.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let _ = writeln!(list, "    ({arch:?}, include_str!({path:?})),");
        }
    }
    list.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("ptx.rs");
    fs::write(&out, list).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
