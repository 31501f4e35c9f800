//! Files that are whole, cut off, changed, or something else.

use super::*;

fn entries() -> Vec<Entry<'static>> {
    let values = [1.5_f32, -0.0, 3e-41, f32::MAX, f32::MIN_POSITIVE, 0.1];
    let entry = |name: &str, dims: &[usize], double, data: Data| Entry {
        name: name.to_string(),
        dims: dims.to_vec(),
        double,
        fetch: Box::new(move || Ok(data.clone())),
    };
    vec![
        entry("b.weight", &[2, 3], false, Data::F32(values.to_vec())),
        entry("a.values", &[2], true, Data::F64(vec![0.1, -1e300])),
    ]
}

fn metadata() -> BTreeMap<&'static str, String> {
    BTreeMap::from([("net", "name = \"x\"\n\"checksum\":\"crc32:".to_string()), ("z", "1".to_string())])
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let bytes = write(&path, &metadata(), &entries()).unwrap();
    assert_eq!(bytes, fs::metadata(&path).unwrap().len());
    let contents = read(&path).unwrap();
    assert_eq!(contents.text("net").unwrap(), metadata()["net"]);
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let Data::F32(values) = (entries()[0].fetch)().unwrap() else { panic!() };
    assert_eq!(bits(contents.f32("b.weight", &[2, 3]).unwrap()), bits(values));
    assert_eq!(contents.f64("a.values", &[2]).unwrap(), [0.1, -1e300]);
    assert!(contents.f32("b.weight", &[3, 2]).is_err() && contents.f32("c", &[1]).is_err());
    // Anybody's reader takes it too.
    let raw = fs::read(&path).unwrap();
    assert_eq!(safetensors::SafeTensors::deserialize(&raw).unwrap().tensor("b.weight").unwrap().shape(), [2, 3]);
    assert_eq!(names(folder.path()), ["a.safetensors"]);
}

#[test]
fn a_file_of_any_other_length_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(&path, &metadata(), &entries()).unwrap();
    let raw = fs::read(&path).unwrap();
    for len in 0..raw.len() {
        fs::write(&path, &raw[..len]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{len}: {error}");
    }
    fs::write(&path, [&raw[..], b"x"].concat()).unwrap();
    assert!(matches!(read(&path), Err(ReadError::Damaged { .. })));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(&path, &metadata(), &entries()).unwrap();
    let raw = fs::read(&path).unwrap();
    for index in 0..raw.len() {
        let mut changed = raw.clone();
        changed[index] ^= 1 << (index % 8);
        fs::write(&path, &changed).unwrap();
        assert!(read(&path).is_err(), "byte {index}");
    }
}

#[test]
fn numbers_that_are_not_finite_leave_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(&path, &metadata(), &entries()).unwrap();
    let before = fs::read(&path).unwrap();
    let mut bad = entries();
    bad[1].fetch = Box::new(|| Ok(Data::F64(vec![0.0, f64::NAN])));
    let error = format!("{:#}", write(&path, &metadata(), &bad).unwrap_err());
    assert!(error.contains("a.values") && error.contains("unchanged"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(folder.path()), ["a.safetensors"]);
}

#[test]
fn other_files_are_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, b"\x89PNG\r\n\x1a\n and more of it").unwrap();
    assert!(matches!(read(&path), Err(ReadError::Foreign { .. })));
    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    safetensors::serialize_to_file([("x", view)], None, &path).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, ReadError::Foreign { .. }), "{error}");
}
