//! Packing a data set: any [`Dataset`] into shards of pictures of one size.
//!
//! # How it works
//! The order of the images is fixed first: the training images shuffled, the validation images as they
//! are. It is cut into shards, and threads take one shard after the other; one more waits for the disk. A
//! shard appears under its name when it is complete, its index after it; so whoever is killed continues
//! with the shards that have no index. A folder's bytes depend on the source and the settings only, not on the number of
//! threads or on where the work was interrupted.
//!
//! # Memory
//! A thread holds one picture and the sums of its shard, and as many shards as there are threads wait for the disk:
//! their sums, since their bytes are the system's.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::atomic::{self, AtomicFile};
use crate::packed::manifest::{self, Colours, FORMAT, Manifest, Plan, Split};
use crate::packed::shard::{ShardIndex, ShardWriter};
use crate::packed::{MAX_SIDE, UNFINISHED};
use crate::statistics::{Statistics, Sums};
use crate::{Dataset, Encoding, Error, Images, Skipped, permutation};

/// Images of a shard at most: about 35 MB of JPEGs of 256x256. Their sums fit 32 bits.
const MAX_SHARD: usize = 1024;
/// Images of a shard in a small set, at least.
const MIN_SHARD: usize = 64;
/// Shards that a split is cut into if it is large enough: work for as many threads.
const SHARDS: usize = 64;
/// The seed of the order of training images.
const SEED: u64 = 2012;

/// What a preparation made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Training images in the shards.
    pub train: usize,
    /// Validation images in the shards.
    pub val: usize,
    /// Images of the source that could not be read: as many lines has `skipped.txt`.
    pub skipped: usize,
    /// Bytes of all shards.
    pub bytes: u64,
}

/// Packs the images of `data`, as it reads them, into the folder `out`, which is made if need be.
/// Goes on where an earlier preparation of the same data was interrupted.
///
/// Names are stored relative to `root`. `progress` is called with the number of images done so far: once at
/// the beginning, with those that an earlier preparation did, then after each image, from any of the `threads`
/// threads. When it says false the work stops, and the result is none.
///
/// # Errors
/// If `out` holds something else or is being written by another process, something cannot be written,
/// or no training image can be read.
pub fn prepare(
    data: &Dataset,
    root: &Path,
    out: &Path,
    encoding: Encoding,
    threads: usize,
    progress: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Prepared>, Error> {
    if !(1..=MAX_SIDE).contains(&data.side) {
        return Err(Error::PackedSide { side: data.side });
    }
    let plan = Plan {
        format: FORMAT,
        side: data.side,
        encoding,
        train: data.train.len(),
        val: data.val.len(),
        source: fingerprint(data, root),
    };
    let _lock = begin(out, &plan)?;
    let tasks = tasks(data);
    let (finished, todo) = split_finished(out, &tasks)?;
    let work = Work {
        data,
        root,
        out,
        encoding,
        order: permutation(SEED, 0, data.train.len()),
        todo,
        next: AtomicUsize::new(0),
        n_done: AtomicUsize::new(finished),
        stopped: AtomicBool::new(false),
        error: Mutex::new(None),
        progress,
    };
    work.see(finished);
    thread::scope(|scope| {
        let (whole, shards) = mpsc::sync_channel(threads);
        scope.spawn(|| work.complete(shards));
        for _ in 1..threads.min(work.todo.len()) {
            let whole = whole.clone();
            scope.spawn(|| work.run(whole));
        }
        work.run(whole);
    });
    if let Some(error) = work.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    if work.stopped.load(Ordering::Relaxed) {
        return Ok(None);
    }
    work.conclude(plan, &tasks).map(Some)
}

/// CRC-32 of classes, labels and names: what tells one source from another.
fn fingerprint(data: &Dataset, root: &Path) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for class in &data.classes {
        hasher.update(class.as_bytes());
        hasher.update(&[0]);
    }
    for images in [&data.train, &data.val] {
        for index in 0..images.len() {
            hasher.update(&images.label(index).to_le_bytes());
            hasher.update(relative(images.as_ref(), index, root).as_bytes());
            hasher.update(&[0]);
        }
    }
    hasher.finalize()
}

/// The name of an image without `root`.
pub(crate) fn relative(images: &dyn Images, index: usize, root: &Path) -> String {
    let name = images.name(index);
    match Path::new(&name).strip_prefix(root) {
        Ok(below) => below.display().to_string(),
        Err(_) => name,
    }
}

/// Makes `out`, or recognises it as a preparation of the same plan. The lock holds while the file lives.
fn begin(out: &Path, plan: &Plan) -> Result<File, Error> {
    let occupied = |holds| Error::Occupied { dir: out.to_owned(), holds };
    fs::create_dir_all(out).map_err(|cause| Error::file(out, "make folder", cause))?;
    let marker = out.join(UNFINISHED);
    let found = match fs::read(manifest::path(out)) {
        Ok(_) => Some(Manifest::read(out)?.plan),
        Err(_) => match fs::read(&marker) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|_| occupied("was left by another version"))?),
            Err(_) => None,
        },
    };
    match found {
        Some(found) if found != *plan => return Err(occupied("was prepared from other data or with other settings")),
        Some(_) => {}
        None => {
            let mut entries = fs::read_dir(out).map_err(|cause| Error::unreadable(out, cause))?;
            let temporary = format!(".{UNFINISHED}.tmp");
            if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != *temporary)) {
                return Err(occupied("is not empty"));
            }
        }
    }
    if !marker.is_file() {
        let json = serde_json::to_vec(plan).expect("a plan is plain data");
        atomic::write(&marker, &json).map_err(|cause| Error::file(&marker, "write", cause))?;
    }
    let lock = File::open(&marker).map_err(|cause| Error::file(&marker, "read", cause))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(occupied("is being prepared by another process")),
        Err(TryLockError::Error(cause)) => Err(Error::file(&marker, "lock", cause)),
    }
}

/// A shard to write.
struct Task {
    is_train: bool,
    file: String,
    /// Places in the split's order.
    from: usize,
    to: usize,
}

/// Cuts both splits into shards.
fn tasks(data: &Dataset) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (is_train, split, images) in [(true, "train", &data.train), (false, "val", &data.val)] {
        let size = (images.len() / SHARDS).clamp(MIN_SHARD, MAX_SHARD);
        tasks.extend((0..images.len()).step_by(size).enumerate().map(|(number, from)| Task {
            is_train,
            file: format!("{split}-{number:05}.tar"),
            from,
            to: images.len().min(from + size),
        }));
    }
    tasks
}

/// The images in shards that are finished, and the tasks that are not.
fn split_finished<'a>(out: &Path, tasks: &'a [Task]) -> Result<(usize, Vec<&'a Task>), Error> {
    let mut finished = 0;
    let mut todo = Vec::new();
    for task in tasks {
        if is_finished(&out.join(&task.file))? {
            finished += task.to - task.from;
        } else {
            todo.push(task);
        }
    }
    Ok((finished, todo))
}

/// Whether a shard and its index are there from an earlier run.
fn is_finished(path: &Path) -> Result<bool, Error> {
    let Some(index) = ShardIndex::read(path)? else { return Ok(false) };
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes != index.bytes {
        let problem = format!("the shard has {bytes} bytes, expected {}", index.bytes);
        return Err(Error::Damaged { path: path.to_owned(), problem });
    }
    Ok(true)
}

struct Work<'a> {
    data: &'a Dataset,
    root: &'a Path,
    out: &'a Path,
    encoding: Encoding,
    /// The order of the training images.
    order: Vec<u32>,
    todo: Vec<&'a Task>,
    next: AtomicUsize,
    n_done: AtomicUsize,
    stopped: AtomicBool,
    /// The first error.
    error: Mutex<Option<Error>>,
    progress: &'a (dyn Fn(usize) -> bool + Sync),
}

/// A shard whose images are all written, though not yet to the disk.
struct Whole {
    writer: ShardWriter,
    /// Of a training shard.
    sums: Option<Sums>,
}

impl Whole {
    /// Brings the shard to the disk.
    fn complete(self) -> Result<(), Error> {
        if let Some(sums) = self.sums {
            let path = sums_path(self.writer.path());
            atomic::write(&path, &sums.to_bytes()).map_err(|cause| Error::file(&path, "write", cause))?;
        }
        self.writer.finish()
    }
}

impl Work<'_> {
    /// What a thread does that reads and writes images.
    fn run(&self, whole: SyncSender<Whole>) {
        while let Some(task) = self.todo.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            match self.shard(task) {
                // It is taken until all threads are done.
                Ok(Some(shard)) => drop(whole.send(shard)),
                Ok(None) => {}
                Err(error) => self.fail(error),
            }
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// What one more thread does: it waits for the disk, three times for a shard, while the others go on.
    fn complete(&self, shards: Receiver<Whole>) {
        for shard in shards {
            shard.complete().unwrap_or_else(|error| self.fail(error));
        }
    }

    fn fail(&self, error: Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Writes the images of a shard; none when the work is to stop.
    fn shard(&self, task: &Task) -> Result<Option<Whole>, Error> {
        let side = self.data.side;
        let images = if task.is_train { &self.data.train } else { &self.data.val };
        let mut writer = ShardWriter::create(&self.out.join(&task.file))?;
        let mut sums = task.is_train.then(|| Sums::new(side));
        let mut rgb = vec![0; side * side * 3];
        let mut bytes = Vec::new();
        for place in task.from..task.to {
            let index = if task.is_train { self.order[place] as usize } else { place };
            let name = relative(images.as_ref(), index, self.root);
            match images.read(index, &mut rgb) {
                Ok(()) => {
                    self.encoding.encode(&rgb, side, &mut bytes);
                    writer.add(place, images.label(index), name, self.encoding, &bytes)?;
                    if let Some(sums) = &mut sums {
                        sums.add_image(&rgb);
                    }
                }
                Err(error) => writer.skip(Skipped::new(name, &error)),
            }
            self.see(self.n_done.fetch_add(1, Ordering::Relaxed) + 1);
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some(Whole { writer, sums }))
    }

    fn see(&self, n_done: usize) {
        if !(self.progress)(n_done) {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Writes what is known when all shards are there, the manifest last.
    fn conclude(&self, plan: Plan, tasks: &[Task]) -> Result<Prepared, Error> {
        let n_classes = self.data.classes.len();
        let mut splits = [(); 2].map(|()| Split { counts: vec![0; n_classes], ..Split::default() });
        let mut bytes = 0;
        let report = self.out.join("skipped.txt");
        let unwritten = |cause| Error::file(&report, "write", cause);
        let mut lines = AtomicFile::create(&report).map_err(unwritten)?;
        for task in tasks {
            let path = self.out.join(&task.file);
            let index = ShardIndex::read(&path)?.ok_or_else(|| Error::Unfinished { dir: self.out.to_owned() })?;
            bytes += index.bytes;
            for Skipped { name, reason } in &index.skipped {
                writeln!(lines, "{name}: {reason}").map_err(unwritten)?;
            }
            splits[usize::from(!task.is_train)].add(task.file.clone(), &index);
        }
        lines.commit().map_err(unwritten)?;
        let [train, val] = splits;
        let prepared = Prepared { train: train.images, val: val.images, skipped: train.skipped + val.skipped, bytes };
        if !manifest::path(self.out).is_file() {
            let statistics = self.statistics(tasks)?;
            let mean_crc = manifest::write_mean(self.out, &statistics)?;
            let manifest = Manifest {
                name: self.data.name.clone(),
                program: concat!("alexnet ", env!("CARGO_PKG_VERSION")).to_owned(),
                plan,
                classes: self.data.classes.clone(),
                train,
                val,
                colours: Colours::new(&statistics, mean_crc),
            };
            manifest.write(self.out)?;
        }
        self.clean(tasks)?;
        Ok(prepared)
    }

    /// The statistics of all training shards together.
    fn statistics(&self, tasks: &[Task]) -> Result<Statistics, Error> {
        let side = self.data.side;
        let mut total = Sums::new(side);
        for task in tasks.iter().filter(|task| task.is_train) {
            let path = sums_path(&self.out.join(&task.file));
            let bytes = fs::read(&path).map_err(|cause| Error::file(&path, "read", cause))?;
            let problem = || "not the sums of a shard".to_owned();
            let sums = Sums::from_bytes(side, &bytes).ok_or_else(|| Error::Damaged { path, problem: problem() })?;
            total.merge(sums);
        }
        if total.images == 0 {
            return Err(Error::NoImages);
        }
        Ok(Statistics::from_sums(side, &total))
    }

    /// Removes what a finished set does not need.
    fn clean(&self, tasks: &[Task]) -> Result<(), Error> {
        let sums = tasks.iter().filter(|task| task.is_train).map(|task| sums_path(&self.out.join(&task.file)));
        for path in sums.chain([self.out.join(UNFINISHED)]) {
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file(&path, "remove", cause));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Where the sums of a shard are kept until all are there.
fn sums_path(tar: &Path) -> PathBuf {
    tar.with_extension("sums")
}
