//! Running the program in a folder of its own.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Two towers, all kinds of randomness, a few thousand parameters.
const TINY: &str = r#"
name = "tiny"
towers = 2
classes = 10

[augment]
image = SIDE
crop = CROP
colour_noise = 0.1
colour_divide = 1.1

[training]
batch = 32
rate = 0.005
epochs = 4
schedule = "short"

[[schedule]]
name = "short"
epochs = 4
event = [{ epoch = 2, rate = 0.0005, bias_rate = 0.0005 }]

[[layer]]
name = "conv1"
type = "conv"
reads = "all"
filters = 8
size = 5
stride = 2
init_std = 0.05

[[layer]]
name = "norm1"
type = "lrn"
size = 3
alpha_mode = "mean"

[[layer]]
name = "pool1"
type = "pool"
size = 3
stride = 2

[[layer]]
name = "relu1"
type = "relu"

[[layer]]
name = "fc2"
type = "fc"
reads = "all"
outputs = 32
init_std = 0.01

[[layer]]
name = "relu2"
type = "relu"

[[layer]]
name = "drop2"
type = "dropout"

[[layer]]
name = "fc3"
type = "fc"
towers = 1
reads = "all"
init_std = 0.05

[[layer]]
name = "softmax"
type = "softmax"
"#;

/// A folder to work in, with `tiny.toml` (for the demo set) and `tiny16.toml` (for images of 16 pixels).
pub(crate) struct Place {
    folder: TempDir,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.toml"), TINY.replace("SIDE", "32").replace("CROP", "28")).unwrap();
        fs::write(folder.path().join("tiny16.toml"), TINY.replace("SIDE", "16").replace("CROP", "14")).unwrap();
        Place { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lies in the folder, sorted, without the nets.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path()).into_iter().filter(|name| !name.starts_with("tiny")).collect()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
        command.args(args).current_dir(self.folder.path()).env_remove("CARGO").stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        said(&self.command(args).output().unwrap())
    }

    /// Runs the program, which must succeed; gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 0, "alexnet {}\n{}{}", args.join(" "), said.out, said.err);
        said.out
    }

    /// Runs the program, which must fail cleanly with this exit code; gives its message.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let said = self.run(args);
        let shown = format!("alexnet {}\n{}{}", args.join(" "), said.out, said.err);
        assert_eq!(said.code, code, "{shown}");
        assert!(said.err.contains("error: ") && !said.err.contains("panicked"), "{shown}");
        said.err
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Makes `data/train/CLASS/*.png` and `data/val/CLASS/*.png`, told apart by their colours.
    pub(crate) fn make_data(&self, classes: &[&str], train: u8, val: u8) {
        for (label, class) in classes.iter().enumerate() {
            for (split, count) in [("train", train), ("val", val)] {
                let folder = self.path("data").join(split).join(class);
                fs::create_dir_all(&folder).unwrap();
                for index in 0..count {
                    let pixel = |x: u32, y: u32| {
                        let mut rgb = [(x * 9) as u8 ^ index, (y * 7) as u8, index.wrapping_mul(31)];
                        rgb[label % 3] |= 0xC0;
                        image::Rgb(rgb)
                    };
                    image::RgbImage::from_fn(20, 16, pixel).save(folder.join(format!("{index:03}.png"))).unwrap();
                }
            }
        }
    }
}

pub(crate) fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Checks that two files have the same bytes.
pub(crate) fn same_file(place: &Place, a: &str, b: &str) {
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(read(a) == read(b), "{a} and {b} differ");
}

/// Checks that two folders hold the same files with the same bytes.
pub(crate) fn same_folder(place: &Place, a: &str, b: &str) {
    assert_eq!(names(&place.path(a)), names(&place.path(b)), "{a} and {b}");
    for name in names(&place.path(a)) {
        same_file(place, &format!("{a}/{name}"), &format!("{b}/{name}"));
    }
}

/// How often a test kills the program: `ALEXNET_KILLS`, or what is enough for every day.
pub(crate) fn kills(everyday: u32) -> u32 {
    std::env::var("ALEXNET_KILLS").map_or(everyday, |text| text.parse().expect("ALEXNET_KILLS is a number"))
}

/// Moments spread over `whole`, by the golden ratio.
pub(crate) fn moment(whole: Duration, round: u32) -> Duration {
    whole.mul_f64((f64::from(round) * 0.618).fract())
}

/// Waits until `path` exists.
pub(crate) fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// The lines of a run's log.
pub(crate) fn log(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
