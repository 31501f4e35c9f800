//! WebDataset shards that other programs wrote: tar files of pictures with `.cls` members, without index.
//!
//! `KEY.jpg` (`.jpeg`, `.png`, `.webp`) and `KEY.cls` belong together; other members are stepped over. Shards
//! whose names begin with `val` or `test` are the validation split, all others the training split. The classes
//! are numbers, unless a `classes.txt` beside the first shard names them, one on a line.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Tar;
use super::members::{Members, Place};
use crate::folder::{self, is_image};
use crate::{Dataset, Error, archive};

/// Classes, at most: more are taken for damage.
const MAX_CLASSES: u32 = 1 << 20;

/// Whether `dir` holds shards instead of folders of images.
pub(crate) fn is_folder(dir: &Path) -> Result<bool, Error> {
    Ok(!dir.join("train").is_dir() && !in_folder(dir)?.is_empty())
}

/// The tar files in `dir`, sorted.
pub(crate) fn in_folder(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |cause| Error::unreadable(dir, cause);
    let mut shards = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "tar") && !is_hidden {
            shards.push(path);
        }
    }
    shards.sort();
    Ok(shards)
}

/// The shards that a text file lists, one on a line, relative to its own folder.
pub(crate) fn in_list(list: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = String::from_utf8(super::read_text(list)?)
        .map_err(|_| Error::source(list, "expected a list of shards, one path on a line".to_owned()))?;
    let dir = list.parent().unwrap_or(Path::new(""));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let shards: Vec<PathBuf> = lines.map(|line| dir.join(line)).collect();
    if shards.is_empty() {
        return Err(Error::source(list, "it lists no shards; expected one path on a line".to_owned()));
    }
    if let Some(missing) = shards.iter().find(|shard| !shard.is_file()) {
        let problem =
            format!("it lists {}, which is no file; expected paths of shards, one on a line", missing.display());
        return Err(Error::source(list, problem));
    }
    Ok(shards)
}

/// Opens shards as a data set.
pub(crate) fn open(paths: &[PathBuf], side: usize) -> Result<Dataset, Error> {
    let shards: Result<Vec<Tar>, Error> = paths.iter().map(|path| Ok((path.clone(), archive::list(path)?))).collect();
    dataset(&shards?, side)
}

/// A data set of shards whose members are known.
pub(crate) fn dataset(shards: &[Tar], side: usize) -> Result<Dataset, Error> {
    let mut splits = [Members::new(side), Members::new(side)];
    let mut n_classes = 0;
    for shard in shards {
        let name = folder::name_of(&shard.0);
        let is_val = ["val", "test"].iter().any(|split| name.starts_with(split));
        n_classes = n_classes.max(add(&mut splits[usize::from(is_val)], shard)?);
    }
    let Some((first, _)) = shards.first() else { return Err(Error::NoTraining) };
    let [train, val] = splits;
    if crate::Images::is_empty(&train) {
        return Err(Error::NoTraining);
    }
    if crate::Images::is_empty(&val) {
        return Err(Error::NoVal);
    }
    let classes = class_names(first, n_classes)?;
    let name = folder::name_of(first.parent().unwrap_or(first));
    Ok(Dataset { name, side, classes, train: Arc::new(train), val: Arc::new(val), statistics: None })
}

/// Adds the pictures of a shard; gives one more than the largest label.
fn add(images: &mut Members, (path, members): &Tar) -> Result<u32, Error> {
    let file = File::open(path).map_err(|cause| Error::file(path, "read", cause))?;
    let mut labels = HashMap::new();
    for member in members {
        let Some(key) = member.name.strip_suffix(".cls") else { continue };
        let mut text = vec![0; member.length.min(16) as usize];
        file.read_exact_at(&mut text, member.offset).map_err(|cause| Error::file(path, "read", cause))?;
        let label = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        match label.filter(|&label| label < MAX_CLASSES) {
            Some(label) => labels.insert(key, label),
            None => return Err(Error::source(path, format!("{} is not the number of a class", member.name))),
        };
    }
    let number = images.add_file(path);
    let shard = folder::name_of(path);
    let mut n_classes = 0;
    for member in members.iter().filter(|member| is_image(member.base().as_ref())) {
        let key = member.name.rsplit_once('.').map_or(&member.name[..], |(key, _)| key);
        let Some(&label) = labels.get(key) else {
            return Err(Error::source(path, format!("{} has no label; expected {key}.cls", member.name)));
        };
        n_classes = n_classes.max(label + 1);
        images.add(Place::new(number, label, member, format!("{shard}/{}", member.name)));
    }
    Ok(n_classes)
}

/// The names of the classes.
fn class_names(first: &Path, n_classes: u32) -> Result<Vec<String>, Error> {
    let path = first.with_file_name("classes.txt");
    if !path.is_file() {
        return Ok((0..n_classes).map(|class| class.to_string()).collect());
    }
    let text = super::read_text(&path)?;
    let names: Vec<String> = String::from_utf8_lossy(&text).lines().map(|line| line.trim().to_owned()).collect();
    if names.len() < n_classes as usize {
        let problem = format!("it names {} classes, the shards have {n_classes}", names.len());
        return Err(Error::source(&path, problem));
    }
    Ok(names)
}
