//! What the machine does to a preparation or a run: the disk is full, files may not be read, the power fails.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{Place, kills, moment, names, said, same_file, same_folder, wait_for};

fn skip(reason: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
}

/// A disk of a few bytes; unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where nothing may be mounted.
    fn mount(path: PathBuf, kilobytes: usize) -> Option<Disk> {
        fs::create_dir(&path).unwrap();
        let disk = Disk(path);
        disk.call(&["-t", "tmpfs", "tmpfs"], kilobytes).then_some(disk)
    }

    fn grow(&self, kilobytes: usize) {
        assert!(self.call(&[], kilobytes), "the disk cannot be made larger");
    }

    fn call(&self, args: &[&str], kilobytes: usize) -> bool {
        let remount = if args.is_empty() { "remount," } else { "" };
        let mut mount = Command::new("mount");
        mount.args(args).args(["-o", &format!("{remount}size={kilobytes}k")]).arg(&self.0);
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}

const NO_MOUNT: &str = "a small disk cannot be mounted here; root can";

#[test]
fn a_full_disk_stops_a_preparation_which_goes_on_with_more_room() {
    let place = Place::new();
    place.make_data(&["red", "green"], 70, 8);
    let prepare = |out| ["prepare", "data", "--out", out, "--size", "48", "--raw", "--threads", "2"];
    place.ok(&prepare("whole"));
    let Some(disk) = Disk::mount(place.path("disk"), 4) else { return skip(NO_MOUNT) };
    // 156 images of 7 kB in four shards: full at the marker, in a shard, at an index, at the mean image.
    let mut full = 0;
    for kilobytes in [4, 12, 60, 500, 560, 640, 1060, 1160, 1220, 1260, 1280, 1300, 2000] {
        disk.grow(kilobytes);
        let said = place.run(&prepare("disk/out"));
        let shown = format!("{kilobytes} kB: {}{}", said.out, said.err);
        let out = names(&place.path("disk/out"));
        assert!(out.iter().all(|name| !name.ends_with(".tmp")), "{shown}{out:?}");
        if said.code == 0 {
            break;
        }
        full += 1;
        assert!(said.code == 1 && said.err.contains("cannot write disk/out/"), "{shown}");
        assert!(said.err.contains("No space left on device"), "{shown}");
        if out.iter().any(|name| name == "prepare.json") {
            let message = place.fails(1, &["data", "disk/out", "--out", "sheet.png"]);
            assert!(message.contains("prepared in part only"), "{message}");
        }
    }
    assert!(full >= 4, "full {full} times");
    same_folder(&place, "whole", "disk/out");
}

#[test]
fn a_full_disk_stops_a_run_which_goes_on_with_more_room() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--batch", "100", "--epochs", "2"];
    place.ok(&[&train[..], &["--out", "whole"]].concat());
    let Some(disk) = Disk::mount(place.path("disk"), 4 << 10) else { return skip(NO_MOUNT) };
    let mut child = place.start(&[&train[..], &["--out", "disk/run", "--save-every", "5"]].concat());
    wait_for(&place.path("disk/run/last.safetensors"));
    let filler = place.path("disk/filler");
    let full = fill(&filler);
    // A run that was faster than the disk would show nothing.
    assert!(child.try_wait().unwrap().is_none(), "it was done before the disk was full");
    let said = said(&child.wait_with_output().unwrap());
    let shown = format!("{}{}", said.out, said.err);
    assert_eq!((said.code, full), (1, io::ErrorKind::StorageFull), "{shown}");
    assert!(said.err.contains("cannot write disk/run/"), "{shown}");
    assert!(said.err.contains("No space left on device"), "{shown}");
    // The checkpoint before is whole.
    assert!(names(&place.path("disk/run")).iter().all(|name| !name.ends_with(".tmp")));
    place.ok(&["eval", "--model", "disk/run/last.safetensors"]);
    fs::remove_file(&filler).unwrap();
    place.ok(&["train", "--resume", "disk/run"]);
    for name in ["last.safetensors", "best.safetensors", "epoch-0001.safetensors"] {
        same_file(&place, &format!("whole/{name}"), &format!("disk/run/{name}"));
    }
    drop(disk);
}

/// Writes until there is no room; gives what the system says then.
fn fill(path: &Path) -> io::ErrorKind {
    let mut file = File::create(path).unwrap();
    loop {
        if let Err(error) = file.write_all(&[1; 1 << 10]) {
            return error.kind();
        }
    }
}

#[test]
fn what_may_not_be_read_or_written_is_named() {
    let place = Place::new();
    place.make_data(&["red", "green"], 40, 4);
    let closed = |name: &str, mode| fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(place.path("closed")).unwrap();
    closed("closed", 0);
    // Root reads everything, unless it gives that up.
    let is_root = fs::read_dir(place.path("closed")).is_ok();
    let run = |args: &[&str]| {
        let plain = place.command(args);
        let mut command = if is_root { Command::new("setpriv") } else { place.command(args) };
        if is_root {
            command.arg("--bounding-set=-dac_override,-dac_read_search").arg(plain.get_program()).args(args);
            command.current_dir(place.path(""));
        }
        command.output().map(|output| said(&output))
    };
    if run(&["net"]).is_ok_and(|said| said.code == 0) {
        let refused = |args: &[&str], name: &str| {
            let said = run(args).unwrap();
            let shown = format!("alexnet {}\n{}{}", args.join(" "), said.out, said.err);
            assert!(said.code == 1 && said.err.contains(name), "{shown}");
            assert!(said.err.contains("Permission denied") && !said.err.contains("panicked"), "{shown}");
        };
        let train = ["train", "--data", "data", "--net", "tiny16.toml", "--max-steps", "1", "--out", "run"];
        closed("data/train/green", 0);
        refused(&["prepare", "data", "--out", "packed"], "data/train/green");
        refused(&train, "data/train/green");
        closed("data/train/green", 0o755);
        refused(&["prepare", "data", "--out", "closed/packed"], "closed/packed");
        refused(&[&train[..8], &["closed/run"]].concat(), "closed/run");
        // A single picture is left out and listed.
        closed("data/train/green/007.png", 0);
        let said = run(&["prepare", "data", "--out", "packed", "--size", "16"]).unwrap();
        assert!(said.code == 0 && said.err.contains("1 images could not be read"), "{}{}", said.out, said.err);
        let list = fs::read_to_string(place.path("packed/skipped.txt")).unwrap();
        assert!(list.starts_with("train/green/007.png: ") && list.contains("Permission denied"), "{list}");
        closed("packed/train-00000.tar", 0);
        refused(&["bench", "data", "packed"], "packed/train-00000.tar");
    } else {
        skip("root reads everything, and there is no setpriv to prevent that");
    }
    closed("closed", 0o755);
}

#[test]
fn killed_at_any_moment_a_run_goes_on_bit_for_bit() {
    let place = Place::new();
    let train = ["train", "--net", "tiny.toml", "--batch", "100", "--epochs", "2", "--save-every", "3", "--out"];
    let start = Instant::now();
    place.ok(&[&train[..], &["whole"]].concat());
    let whole = start.elapsed();
    let same = || {
        for name in ["last.safetensors", "best.safetensors", "epoch-0001.safetensors"] {
            same_file(&place, &format!("whole/{name}"), &format!("killed/{name}"));
        }
    };
    let (mut round, mut killed) = (0, 0);
    while killed < kills(3) {
        round += 1;
        let has_begun = place.path("killed/last.safetensors").exists();
        let mut child = if has_begun {
            place.start(&["train", "--resume", "killed", "--save-every", "3"])
        } else {
            // Killed before its first checkpoint, it begins again in the same folder.
            place.start(&[&train[..], &["killed"]].concat())
        };
        std::thread::sleep(moment(whole, round));
        match child.try_wait().unwrap() {
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
            Some(_) => {
                same();
                fs::remove_dir_all(place.path("killed")).unwrap();
            }
        }
    }
    if place.path("killed/last.safetensors").exists() {
        let said = place.run(&["train", "--resume", "killed"]);
        assert!(said.code == 0 || said.err.contains("is done"), "{}{}", said.out, said.err);
        same();
    }
}
