//! Images that lie in tar files.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::archive::Member;
use crate::decode::{self, MAX_FILE_BYTES};
use crate::error::ImageFault;
use crate::{Error, Images};

/// One split in tar files, read by places.
pub(crate) struct Members {
    side: usize,
    files: Vec<PathBuf>,
    places: Vec<Place>,
}

/// Where an image lies, and what it is.
pub(crate) struct Place {
    offset: u64,
    length: u64,
    file: u32,
    label: u32,
    name: Box<str>,
}

impl Place {
    /// An image called `name`, in file number `file`.
    pub(crate) fn new(file: u32, label: u32, member: &Member, name: String) -> Place {
        Place { offset: member.offset, length: member.length, file, label, name: name.into_boxed_str() }
    }
}

impl Members {
    pub(crate) fn new(side: usize) -> Members {
        Members { side, files: Vec::new(), places: Vec::new() }
    }

    /// Adds a tar file; gives its number.
    pub(crate) fn add_file(&mut self, path: &Path) -> u32 {
        self.files.push(path.to_owned());
        self.files.len() as u32 - 1
    }

    pub(crate) fn add(&mut self, place: Place) {
        self.places.push(place);
    }

    fn bytes(&self, place: &Place) -> Result<Vec<u8>, ImageFault> {
        if place.length > MAX_FILE_BYTES {
            return Err(ImageFault::FileTooLarge);
        }
        let mut bytes = vec![0; place.length as usize];
        let file = File::open(&self.files[place.file as usize]).map_err(ImageFault::Io)?;
        file.read_exact_at(&mut bytes, place.offset).map_err(ImageFault::Io)?;
        Ok(bytes)
    }

    fn unreadable(&self, place: &Place, fault: ImageFault) -> Error {
        Error::Image { path: self.files[place.file as usize].join(&*place.name), fault }
    }
}

impl Images for Members {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.places[index].label
    }

    fn name(&self, index: usize) -> String {
        self.places[index].name.to_string()
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        let place = &self.places[index];
        let bytes = self.bytes(place);
        bytes
            .and_then(|bytes| decode::from_bytes(&bytes, self.side, rgb))
            .map_err(|fault| self.unreadable(place, fault))
    }

    fn fetch(&self, index: usize) -> Result<usize, Error> {
        let place = &self.places[index];
        self.bytes(place).map(|bytes| bytes.len()).map_err(|fault| self.unreadable(place, fault))
    }
}
