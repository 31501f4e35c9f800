//! NumPy's `.npz`: a zip of `.npy` arrays, stored without compression.
//!
//! The zip is read by the `zip` crate without its optional parts; an array's header is one line of text, which is less
//! code than the trees of crates that read NumPy files bring along.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// An array, widened to f64: exact for f32, for u8 and i32, and for the positions that are stored as i64.
#[derive(Debug, Default)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

/// Every array of a file, by name.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Array>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?.trim_end_matches(".npy").to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
        let array = npy(&bytes).ok_or_else(|| format!("{name}: not a C-ordered .npy of a known type"))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Parses version 1 to 3 of the format: magic, version, length of the header, header, values.
fn npy(bytes: &[u8]) -> Option<Array> {
    let (head, rest) = bytes.strip_prefix(b"\x93NUMPY")?.split_at_checked(2)?;
    let (len, rest) = match head[0] {
        1 => (usize::from(u16::from_le_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
        _ => (u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize, &rest[4..]),
    };
    let (header, data) = rest.split_at_checked(len)?;
    let header = std::str::from_utf8(header).ok()?;
    if !header.contains("'fortran_order': False") {
        return None;
    }
    let (_, kind) = header.split_once("'descr': '")?;
    let (_, shape) = header.split_once("'shape': (")?;
    let numbers = shape.split_once(')')?.0.split(',').map(str::trim).filter(|number| !number.is_empty());
    let shape = numbers.map(|number| number.parse().ok()).collect::<Option<Vec<usize>>>()?;
    let values: Vec<f64> = match kind.split_once('\'')?.0 {
        "<f8" => numbers_of(data, f64::from_le_bytes),
        "<f4" => numbers_of(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
        "<i8" => numbers_of(data, |bytes| i64::from_le_bytes(bytes) as f64),
        "<i4" => numbers_of(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
        "|u1" => numbers_of(data, |[byte]| f64::from(byte)),
        _ => return None,
    };
    (values.len() == shape.iter().product::<usize>()).then_some(Array { shape, values })
}

fn numbers_of<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
}

#[test]
fn reads_what_numpy_writes() {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()));
    let array = npy(&bytes).unwrap();
    assert_eq!((array.shape, array.values), (vec![2, 1], vec![1.5, -2.0]));
    assert!(npy(&bytes[..bytes.len() - 1]).is_none(), "a value is missing");
    assert!(npy(b"\x93NUMPY").is_none());
}
