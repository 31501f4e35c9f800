//! The development kit of ILSVRC: `ILSVRC2012_devkit_t12.tar.gz` or that of 2010.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::mat::{self, Synset};
use crate::Error;
use crate::archive::{self, Member};

/// The member that describes the classes.
pub(super) const META: &str = "meta.mat";
/// How the name of the member ends that has the labels of the validation images.
const TRUTH: &str = "_validation_ground_truth.txt";
/// Bytes of an unpacked kit, at most: those of 2010 and 2012 have under 20 MB.
const MAX_BYTES: u64 = 256 << 20;

/// What a development kit says.
pub(super) struct Kit {
    pub(super) synsets: Vec<Synset>,
    /// The numbers of the validation images' synsets, in the order of their names.
    pub(super) truth: Option<Vec<u32>>,
}

/// Whether a file that begins with `head` is compressed by gzip.
pub(super) fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&[0x1F, 0x8B])
}

impl Kit {
    pub(super) fn read(path: &Path) -> Result<Kit, Error> {
        let file = File::open(path).map_err(|cause| Error::file(path, "read", cause))?;
        let mut bytes = Vec::new();
        let read = if is_compressed(&super::head(path)?) {
            MultiGzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut bytes)
        } else {
            file.take(MAX_BYTES + 1).read_to_end(&mut bytes)
        };
        read.map_err(|cause| Error::file(path, "unpack", cause))?;
        Kit::parse(&bytes).map_err(|problem| Error::source(path, problem))
    }

    /// Reads the content of an unpacked kit.
    fn parse(tar: &[u8]) -> Result<Kit, String> {
        if tar.len() as u64 > MAX_BYTES {
            return Err(format!("over {} MB; expected a development kit of ILSVRC", MAX_BYTES >> 20));
        }
        let members = archive::list_bytes(tar)?;
        let content = |member: &Member| &tar[member.offset as usize..][..member.length as usize];
        let meta = members.iter().find(|member| member.base() == META);
        let meta = meta.ok_or_else(|| format!("it has no {META}; expected a development kit of ILSVRC"))?;
        let synsets = mat::synsets(content(meta)).map_err(|problem| format!("{META}: {problem}"))?;
        let truth = members.iter().find(|member| member.base().ends_with(TRUTH));
        let truth = truth.map(|member| {
            let text = String::from_utf8_lossy(content(member));
            let numbers: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
            numbers.map_err(|_| format!("{}: expected one number on a line", member.base()))
        });
        Ok(Kit { synsets, truth: truth.transpose()? })
    }
}
