//! MATLAB files of level 5, as far as the development kits of ILSVRC use them.
//!
//! `data/meta.mat` holds one array of structures, `synsets`, mostly compressed. Of each the fields
//! `ILSVRC2010_ID` or `ILSVRC2012_ID`, `WNID` and `words` are read, the others stepped over.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// Bytes that a compressed variable may unfold to: the kits' have 1.
const MAX_BYTES: u64 = 64 << 20;

/// One of WordNet's sets of synonyms: a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synset {
    /// The number that the validation labels use.
    pub(crate) id: u32,
    /// `n01440764`
    pub(crate) wnid: String,
    /// `tench, Tinca tinca`
    pub(crate) words: String,
}

/// The synsets of the content of `meta.mat`.
pub(crate) fn synsets(file: &[u8]) -> Result<Vec<Synset>, String> {
    let (header, mut rest) = file.split_at_checked(128).ok_or("it is too short to be a MATLAB file")?;
    if header[124..] != [0, 1, b'I', b'M'] {
        return Err("it is not a MATLAB file of level 5 with the lowest byte first".to_owned());
    }
    while !rest.is_empty() {
        let (kind, bytes) = element(&mut rest)?;
        let array = match kind {
            COMPRESSED => {
                let mut unfolded = Vec::new();
                let read = ZlibDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut unfolded);
                read.map_err(|error| format!("a variable cannot be decompressed: {error}"))?;
                if unfolded.len() as u64 > MAX_BYTES {
                    return Err(format!("a variable has over {} MB", MAX_BYTES >> 20));
                }
                let mut unfolded = &unfolded[..];
                let (kind, bytes) = element(&mut unfolded)?;
                if kind == MATRIX { Array::read(bytes)? } else { Array::Other }
            }
            MATRIX => Array::read(bytes)?,
            _ => Array::Other,
        };
        if let Array::Structs(found) = array {
            return Ok(found);
        }
    }
    Err("it has no array of structures with the fields WNID, words and ILSVRC2012_ID or ILSVRC2010_ID".to_owned())
}

// Types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;

// Classes of arrays.
const STRUCT: u32 = 2;
const CHAR: u32 = 4;

/// An array, as far as it matters here.
enum Array {
    Text(String),
    /// The first value.
    Number(f64),
    Structs(Vec<Synset>),
    Other,
}

impl Array {
    /// Reads the content of a `MATRIX` element.
    fn read(mut bytes: &[u8]) -> Result<Array, String> {
        if bytes.is_empty() {
            return Ok(Array::Other); // how an empty array may be written
        }
        let bytes = &mut bytes;
        let class = element(bytes)?.1.first().map_or(0, |&class| u32::from(class));
        let (_, extents) = element(bytes)?;
        let (_, _name) = element(bytes)?;
        match class {
            STRUCT => structs(extents, bytes),
            CHAR => element(bytes).map(|(kind, content)| Array::Text(text(kind, content))),
            6..=15 => element(bytes).map(|(kind, content)| number(kind, content).map_or(Array::Other, Array::Number)),
            _ => Ok(Array::Other),
        }
    }
}

/// Reads an array of structures; [`Array::Other`] where it lacks the fields of synsets.
fn structs(extents: &[u8], bytes: &mut &[u8]) -> Result<Array, String> {
    let (_, width) = element(bytes)?;
    let width = width.first_chunk().map_or(0, |&width| i32::from_le_bytes(width));
    let width = usize::try_from(width).ok().filter(|&width| width > 0).ok_or("field names of no length")?;
    let (_, names) = element(bytes)?;
    let names: Vec<&[u8]> =
        names.chunks(width).map(|name| name.split(|&byte| byte == 0).next().unwrap_or_default()).collect();
    let place = |wanted: &[&[u8]]| names.iter().position(|name| wanted.contains(name));
    let (Some(id), Some(wnid), Some(words)) =
        (place(&[b"ILSVRC2012_ID", b"ILSVRC2010_ID"]), place(&[b"WNID"]), place(&[b"words"]))
    else {
        return Ok(Array::Other);
    };
    let n_structs = extents.as_chunks().0.iter().map(|&extent| u64::from(u32::from_le_bytes(extent)));
    let n_structs = n_structs.fold(1, u64::saturating_mul);
    let mut synsets = Vec::new();
    for number in 0..n_structs {
        let mut fields = Vec::with_capacity(names.len());
        for _ in &names {
            let (_, content) = element(bytes)?;
            fields.push(content);
        }
        let [id, wnid, words] = [id, wnid, words].map(|place| Array::read(fields[place]));
        match (id?, wnid?, words?) {
            (Array::Number(id), Array::Text(wnid), Array::Text(words)) => {
                synsets.push(Synset { id: id as u32, wnid, words });
            }
            _ => return Err(format!("synset {number} has no number, WNID or words")),
        }
    }
    Ok(Array::Structs(synsets))
}

/// Takes an element: its type and content. Contents are filled up to eight bytes; those of up to four bytes
/// may lie in the head.
fn element<'a>(bytes: &mut &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let cut = "it is cut off";
    let (head, rest) = bytes.split_at_checked(8).ok_or(cut)?;
    let (&[kind, length], _) = head.as_chunks().0.split_first_chunk().ok_or(cut)?;
    let (kind, length) = (u32::from_le_bytes(kind), u32::from_le_bytes(length) as usize);
    if kind >> 16 != 0 {
        let content = head[4..].get(..(kind >> 16) as usize).ok_or("a short element has over four bytes")?;
        *bytes = rest;
        return Ok((kind & 0xFFFF, content));
    }
    let (content, rest) = rest.split_at_checked(length).ok_or(cut)?;
    let filled = if kind == COMPRESSED { 0 } else { length.next_multiple_of(8) - length };
    *bytes = &rest[filled.min(rest.len())..];
    Ok((kind, content))
}

/// The characters of a text.
fn text(kind: u32, content: &[u8]) -> String {
    match kind {
        UINT16 => {
            String::from_utf16_lossy(&content.as_chunks().0.iter().map(|&c| u16::from_le_bytes(c)).collect::<Vec<_>>())
        }
        UTF8 => String::from_utf8_lossy(content).into_owned(),
        _ => content.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// The first value of an array of numbers. MATLAB stores a double that is a small whole number as such.
fn number(kind: u32, content: &[u8]) -> Option<f64> {
    Some(match kind {
        INT8 => f64::from(i8::from_le_bytes(*content.first_chunk()?)),
        UINT8 => f64::from(*content.first()?),
        INT16 => f64::from(i16::from_le_bytes(*content.first_chunk()?)),
        UINT16 => f64::from(u16::from_le_bytes(*content.first_chunk()?)),
        INT32 => f64::from(i32::from_le_bytes(*content.first_chunk()?)),
        UINT32 => f64::from(u32::from_le_bytes(*content.first_chunk()?)),
        DOUBLE => f64::from_le_bytes(*content.first_chunk()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
