//! What a preparation can begin with: a folder, the tars of ILSVRC as distributed, or WebDataset shards.
//!
//! What a file is, its content says, not its name:
//! - a tar of tars: the training images of ILSVRC, one inner tar for each class (`n01440764.tar`);
//! - a tar of images: the validation images, whose labels come from the development kit or a text file;
//! - a tar with `.cls` members: a WebDataset shard ([`shards`]);
//! - a development kit, compressed or not: numbers and names of the classes, labels of validation images;
//! - a text file: labels or names ([`labels`]).
//!
//! Classes are sorted by their WordNet numbers, as in a folder of the same images, so both make the same
//! set. Where names are known a class is called `n01440764 tench, Tinca tinca`.

mod kit;
mod labels;
mod mat;
mod members;
pub(crate) mod shards;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{self, Member};
use crate::folder::{self, is_image};
use crate::{Dataset, Error, Images, subset};
use kit::Kit;
use labels::{Label, Text};
use members::{Members, Place};

/// Bytes of a text file, at most: labels of a million images have a tenth.
const MAX_TEXT: u64 = 64 << 20;

impl Dataset {
    /// Opens the images of `sources`, to be read as `side x side`: one folder, or tars, and files with labels and
    /// names. `val_fraction` of the training images of each class become the validation split, chosen by their
    /// names, where the sources have none.
    ///
    /// # Errors
    /// If a source cannot be read, is none of those above, or does not fit the others; or if there are no
    /// validation images, or both those and a `val_fraction`.
    ///
    /// # Panics
    /// If `side` is zero or `val_fraction` does not lie between 0 and 1.
    pub fn sources(sources: &[PathBuf], side: usize, val_fraction: Option<f64>) -> Result<Dataset, Error> {
        assert!(side > 0, "images of side 0");
        let mut found = Found::default();
        for source in sources {
            found.add(source)?;
        }
        let mut data = found.dataset(side, val_fraction)?;
        let mut words = found.words;
        words.extend(found.kit.into_iter().flat_map(|(_, kit)| kit.synsets).map(|synset| (synset.wnid, synset.words)));
        for class in &mut data.classes {
            if let Some(words) = words.get(class) {
                *class = format!("{class} {words}");
            }
        }
        Ok(data)
    }
}

/// A tar file and what it holds.
type Tar = (PathBuf, Vec<Member>);

/// The sources by what they are.
#[derive(Default)]
struct Found {
    folder: Option<PathBuf>,
    train: Option<Tar>,
    val: Option<Tar>,
    shards: Vec<Tar>,
    kit: Option<(PathBuf, Kit)>,
    labels: Option<(PathBuf, Text)>,
    words: HashMap<String, String>,
}

/// Sets what must be there once.
fn set<T>(place: &mut Option<T>, path: &Path, value: T, what: &str) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::source(path, format!("a second source of {what}; give one"))),
    }
}

impl Found {
    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = std::fs::metadata(path).map_err(|cause| Error::file(path, "read", cause))?;
        let owned = path.to_owned();
        if metadata.is_dir() {
            if shards::is_folder(path)? {
                for shard in shards::in_folder(path)? {
                    self.add(&shard)?;
                }
                return Ok(());
            }
            return set(&mut self.folder, path, owned, "training images");
        }
        let head = head(path)?;
        if kit::is_compressed(&head) {
            return set(&mut self.kit, path, (owned, Kit::read(path)?), "development kits");
        }
        if !is_tar(&head) {
            return match labels::parse(&read_text(path)?).map_err(|problem| Error::source(path, problem))? {
                Text::Words(words) => {
                    self.words.extend(words);
                    Ok(())
                }
                labels => set(&mut self.labels, path, (owned, labels), "validation labels"),
            };
        }
        let members = archive::list(path)?;
        let has = |what: &dyn Fn(&str) -> bool| members.iter().any(|member| what(member.base()));
        if has(&|name| name.ends_with(".cls")) {
            self.shards.push((owned, members));
            Ok(())
        } else if has(&|name| name == kit::META) {
            set(&mut self.kit, path, (owned, Kit::read(path)?), "development kits")
        } else if has(&|name| name.ends_with(".tar")) {
            set(&mut self.train, path, (owned, members), "training images")
        } else if has(&|name| is_image(name.as_ref())) {
            set(&mut self.val, path, (owned, members), "validation images")
        } else {
            Err(Error::source(path, "a tar without tars, images or labels; expected one of ILSVRC's".to_owned()))
        }
    }

    fn dataset(&self, side: usize, val_fraction: Option<f64>) -> Result<Dataset, Error> {
        let kinds = [self.folder.is_some(), self.train.is_some() || self.val.is_some(), !self.shards.is_empty()];
        if kinds.iter().filter(|&&is_there| is_there).count() > 1 {
            return Err(Error::MixedSources);
        }
        if let Some(dir) = &self.folder {
            return match val_fraction {
                None => Dataset::folder(dir, side),
                Some(fraction) => folder::split(dir, side, fraction),
            };
        }
        if !self.shards.is_empty() {
            return match val_fraction {
                None => shards::dataset(&self.shards, side),
                Some(_) => Err(Error::HasVal { path: self.shards[0].0.clone() }),
            };
        }
        let Some((path, members)) = &self.train else { return Err(Error::NoTraining) };
        let (classes, train) = training(path, members, side)?;
        let train: Arc<dyn Images> = Arc::new(train);
        let (train, val) = match (&self.val, val_fraction) {
            (Some((path, _)), Some(_)) => return Err(Error::HasVal { path: path.clone() }),
            (Some(val), None) => (train, Arc::new(self.validation(val, &classes, side)?) as Arc<dyn Images>),
            (None, Some(fraction)) => subset::split(&train, Path::new(""), &classes, fraction)?,
            (None, None) => return Err(Error::NoVal),
        };
        Ok(Dataset { name: folder::name_of(path), side, classes, train, val, statistics: None })
    }

    /// The validation images, sorted by name, with their labels.
    fn validation(&self, (path, members): &Tar, classes: &[String], side: usize) -> Result<Members, Error> {
        let mut members: Vec<&Member> = members.iter().filter(|member| is_image(member.base().as_ref())).collect();
        members.sort_by(|a, b| a.base().cmp(b.base()));
        let labels = self.validation_labels(&members, classes)?;
        let mut images = Members::new(side);
        let file = images.add_file(path);
        for (member, label) in members.into_iter().zip(labels) {
            images.add(Place::new(file, label, member, format!("val/{}", member.base())));
        }
        Ok(images)
    }

    /// The label of each validation image.
    fn validation_labels(&self, members: &[&Member], classes: &[String]) -> Result<Vec<u32>, Error> {
        let numbered = |numbers: &[u32]| numbers.iter().copied().map(Label::Number).collect::<Vec<Label>>();
        let (path, is_ordered, labels) = match (&self.labels, &self.kit) {
            (Some((path, Text::Named(named))), _) => {
                let label = |member: &&Member| named.get(member.base()).cloned();
                let labels: Vec<Label> = members.iter().filter_map(label).collect();
                (path, false, labels)
            }
            (Some((path, Text::Ordered(labels))), _) => (path, true, labels.clone()),
            (_, Some((path, Kit { truth: Some(truth), .. }))) => (path, true, numbered(truth)),
            _ => return Err(Error::NoLabels),
        };
        if labels.len() != members.len() {
            let problem = format!("it labels {} of the {} validation images", labels.len(), members.len());
            return Err(Error::source(path, problem));
        }
        let by_id: HashMap<u32, &str> = match &self.kit {
            Some((_, kit)) => kit.synsets.iter().map(|synset| (synset.id, &synset.wnid[..])).collect(),
            None => HashMap::new(),
        };
        let place = |label: &Label| match label {
            Label::Class(class) => classes.binary_search(class).map_err(|_| class.clone()),
            Label::Number(number) if !is_ordered => {
                if (*number as usize) < classes.len() {
                    Ok(*number as usize)
                } else {
                    Err(number.to_string())
                }
            }
            Label::Number(id) => match by_id.get(id) {
                Some(&wnid) => classes.binary_search_by(|class| class.as_str().cmp(wnid)).map_err(|_| wnid.to_owned()),
                None => Err(format!("number {id} of the development kit")),
            },
        };
        let places: Result<Vec<u32>, String> = labels.iter().map(|label| Ok(place(label)? as u32)).collect();
        places.map_err(|class| {
            let problem = format!("it has the label {class}, which is none of the {} training classes", classes.len());
            let kit =
                if self.kit.is_none() && is_ordered { "; numbers need the development kit beside them" } else { "" };
            Error::source(path, format!("{problem}{kit}"))
        })
    }
}

/// The classes of a tar of tars, sorted, and its images.
fn training(path: &Path, members: &[Member], side: usize) -> Result<(Vec<String>, Members), Error> {
    let class = |member: &Member| Some(member.base().strip_suffix(".tar")?.to_owned());
    let mut inner: Vec<(String, &Member)> = members.iter().filter_map(|it| Some((class(it)?, it))).collect();
    inner.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = inner.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::source(path, format!("it has two tars of the class {}", twice[0].0)));
    }
    if let [(only, _)] = &inner[..] {
        return Err(Error::OneClass { dir: path.to_owned(), class: only.clone() });
    }
    let mut images = Members::new(side);
    let file = images.add_file(path);
    for (label, (class, outer)) in inner.iter().enumerate() {
        let mut members = archive::list_inner(path, outer)?;
        members.retain(|member| is_image(member.base().as_ref()));
        if members.is_empty() {
            return Err(Error::source(path, format!("the tar of the class {class} has no images")));
        }
        members.sort_by(|a, b| a.base().cmp(b.base()));
        for member in &members {
            images.add(Place::new(file, label as u32, member, format!("train/{class}/{}", member.base())));
        }
    }
    Ok((inner.into_iter().map(|(class, _)| class).collect(), images))
}

/// The first bytes of a file.
fn head(path: &Path) -> Result<Vec<u8>, Error> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
    read.map_err(|cause| Error::file(path, "read", cause))?;
    Ok(head)
}

/// Whether a file that begins with `head` is a tar of this century.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The content of a small file.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_TEXT + 1).read_to_end(&mut bytes));
    read.map_err(|cause| Error::file(path, "read", cause))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(Error::source(path, format!("over {} MB, and no tar; expected a text file", MAX_TEXT >> 20)));
    }
    Ok(bytes)
}
