//! Original ImageNet files, where they are: the folder named by `ALEXNET_DATA_DIR`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use dataset::load_image;

/// `imagenet-originals-100.tar` unpacked, or why not.
fn originals(into: &Path) -> Result<Vec<PathBuf>, String> {
    let dir = std::env::var_os("ALEXNET_DATA_DIR").ok_or("ALEXNET_DATA_DIR is not set")?;
    let tar = Path::new(&dir).join("imagenet-originals-100.tar");
    if !tar.is_file() {
        return Err(format!("there is no {}", tar.display()));
    }
    let mut command = Command::new("tar");
    let status = command.arg("xf").arg(&tar).arg("-C").arg(into).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("tar: {status}")),
        Err(error) => return Err(format!("tar: {error}")),
    }
    let entries = std::fs::read_dir(into).map_err(|error| error.to_string())?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

#[test]
fn imagenet_originals_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let paths = match originals(dir.path()) {
        Ok(paths) => paths,
        Err(reason) => {
            // Past the capture of test output: a skip is seen.
            let _ = writeln!(std::io::stderr(), "SKIPPED imagenet_originals_are_read: {reason}");
            return;
        }
    };
    assert_eq!(paths.len(), 100);
    let mut sums = [0_u64; 3];
    let mut n_grey = 0;
    for path in &paths {
        let rgb = load_image(path, 256).unwrap_or_else(|error| panic!("{error}"));
        n_grey += usize::from(rgb.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        for pixel in rgb.chunks_exact(3) {
            for (sum, &byte) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(byte);
            }
        }
    }
    assert!(n_grey > 0, "some of them are grey");
    // The 2012 mean image averages 127.3, 119.7, 104.9 over 1.2 million.
    let mean = sums.map(|sum| sum as f64 / (100.0 * 256.0 * 256.0));
    println!("{n_grey} grey, mean {mean:.1?}");
    for (mean, expected) in mean.into_iter().zip([127.3, 119.7, 104.9]) {
        assert!((mean - expected).abs() < 12.0, "mean {mean}, expected about {expected}");
    }
}
