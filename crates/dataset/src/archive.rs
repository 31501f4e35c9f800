//! What a tar file holds: names and places of its members, without reading their contents.
//!
//! Nothing is ever unpacked, so names are only text: `../`, absolute paths and links lead nowhere. Only regular
//! files are listed. A tar without the empty block that closes it counts as cut off, since one that was cut
//! between two members looks whole otherwise.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use crate::Error;

/// Bytes of a header; contents are filled up to whole blocks.
const BLOCK: u64 = 512;
/// Bytes of a long name or a list of attributes, at most. Linux has no paths over 4096.
const MAX_ATTRIBUTES: u64 = 1 << 16;

/// A regular file in a tar file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The whole path as stored, control characters replaced: fit for a message, not for a file.
    pub(crate) name: String,
    /// Where its content starts, from the start of the outermost file.
    pub(crate) offset: u64,
    /// Bytes of its content.
    pub(crate) length: u64,
}

impl Member {
    /// The last part of the name.
    pub(crate) fn base(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}

/// The members of the tar file `path`, in their order.
pub(crate) fn list(path: &Path) -> Result<Vec<Member>, Error> {
    let mut file = File::open(path).map_err(|cause| Error::file(path, "read", cause))?;
    let length = file.metadata().map_err(|cause| Error::file(path, "read", cause))?.len();
    members(&mut file, 0, length).map_err(|problem| Error::source(path, problem))
}

/// The members of a tar file that is itself the member `outer` of `path`.
pub(crate) fn list_inner(path: &Path, outer: &Member) -> Result<Vec<Member>, Error> {
    let mut file = File::open(path).map_err(|cause| Error::file(path, "read", cause))?;
    members(&mut file, outer.offset, outer.offset + outer.length)
        .map_err(|problem| Error::source(path, format!("{}: {problem}", outer.name)))
}

/// The members of a tar file in memory.
pub(crate) fn list_bytes(bytes: &[u8]) -> Result<Vec<Member>, String> {
    members(&mut Cursor::new(bytes), 0, bytes.len() as u64)
}

/// The members of the tar file in bytes `from..to` of `reader`.
fn members<R: Read + Seek>(reader: &mut R, from: u64, to: u64) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    let mut at = from;
    let mut given = Given::default();
    while at + BLOCK <= to {
        let block: [u8; BLOCK as usize] = read_at(reader, at)?;
        if block == [0; BLOCK as usize] {
            return Ok(members);
        }
        let header = Header::from_byte_slice(&block);
        check_sum(header, at - from)?;
        let size =
            header.entry_size().map_err(|error| format!("the header at byte {} is damaged: {error}", at - from))?;
        at += BLOCK;
        let kind = header.entry_type();
        let length = if kind.is_file() { given.size.unwrap_or(size) } else { size };
        if length > to - at {
            let name = clean(&given.name.unwrap_or_else(|| header.path_bytes().into_owned()));
            return Err(format!("{name} has {length} bytes and the tar ends after {}: it is cut off", to - at));
        }
        match kind {
            EntryType::GNULongName => {
                let name = attributes(reader, at, length)?;
                given.name = Some(name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec());
            }
            EntryType::XHeader => given.read(&attributes(reader, at, length)?),
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            kind => {
                let Given { name, .. } = std::mem::take(&mut given);
                if kind.is_file() {
                    let name = clean(&name.unwrap_or_else(|| header.path_bytes().into_owned()));
                    members.push(Member { name, offset: at, length });
                }
            }
        }
        // Saturating: the last content of a cut file may be filled up beyond its end.
        at = at.saturating_add(length.next_multiple_of(BLOCK));
    }
    Err(format!("it ends after {} members without the empty block that closes a tar: it is cut off", members.len()))
}

/// What extension headers say of the member that follows them.
#[derive(Default)]
struct Given {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Given {
    /// Takes name and size from pax attributes. Damaged ones count as none.
    fn read(&mut self, attributes: &[u8]) {
        for attribute in PaxExtensions::new(attributes).flatten() {
            match attribute.key_bytes() {
                b"path" => self.name = Some(attribute.value_bytes().to_vec()),
                b"size" => self.size = attribute.value().ok().and_then(|value| value.parse().ok()),
                _ => {}
            }
        }
    }
}

/// Checks that a header is one: its bytes, those of the sum counted as spaces, add up to its sum.
fn check_sum(header: &Header, at: u64) -> Result<(), String> {
    let bytes = header.as_bytes();
    let sum = |range: &[u8]| range.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let found = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    match header.cksum() {
        Ok(expected) if expected == found => Ok(()),
        _ => Err(format!("there is no tar header at byte {at}, where one is expected")),
    }
}

/// The content of an extension header.
fn attributes<R: Read + Seek>(reader: &mut R, at: u64, length: u64) -> Result<Vec<u8>, String> {
    if length > MAX_ATTRIBUTES {
        return Err(format!("a name or list of attributes has {length} bytes, expected at most {MAX_ATTRIBUTES}"));
    }
    let mut bytes = vec![0; length as usize];
    fill(reader, at, &mut bytes)?;
    Ok(bytes)
}

fn read_at<R: Read + Seek, const N: usize>(reader: &mut R, at: u64) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    fill(reader, at, &mut bytes)?;
    Ok(bytes)
}

fn fill<R: Read + Seek>(reader: &mut R, at: u64, bytes: &mut [u8]) -> Result<(), String> {
    let read = reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(bytes));
    read.map_err(|cause| match cause.kind() {
        ErrorKind::UnexpectedEof => "it became shorter while it was read".to_owned(),
        _ => cause.to_string(),
    })
}

/// A name as text of one line.
fn clean(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace(|c: char| c.is_control(), "\u{FFFD}")
}

#[cfg(test)]
mod tests;
