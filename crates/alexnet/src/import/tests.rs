//! The formats as far as no other program is needed; the comparison with those is in `tests/tests/import.rs`.

use std::io::{Cursor, Write};

use super::*;
use crate::fuzz;

/// A pickle of `{"features.0.weight": tensor}` as PyTorch writes it, with a storage of six floats.
fn pickle() -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    [
        &b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("[..],
        &text("features.0.weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x06tQK\x02(K\x02K\x02tq\x02K\x02K\x01\x86\x89h\x00)RtRu}(",
        &text("_metadata"),
        b"}ub.",
    ]
    .concat()
}

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let floats: Vec<u8> = [0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (name, bytes) in [("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &floats)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_pickle_describes_tensors_and_calls_nothing() {
    let name = ["features.0.weight".to_string()];
    let read = pickle::read(&archive(&pickle()), &name).unwrap();
    assert_eq!((&read[0].dims[..], &read[0].values[..]), (&[2, 2][..], &[2.0, 3.0, 4.0, 5.0][..]));
    let evil = b"cos\nsystem\n(X\x04\x00\x00\x00truetR.";
    let error = format!("{:#}", pickle::read(&archive(evil), &name).unwrap_err());
    assert!(error.contains("it has no features.0.weight"), "{error}");
    let deep = [&b"\x80\x02N"[..], &b"\x85".repeat(900_000), b"."].concat();
    assert!(pickle::read(&archive(&deep), &name).is_err());
}

#[test]
fn every_error_says_what_is_wrong() {
    let error = |bytes: &[u8]| format!("{:#}", decode(bytes).unwrap_err());
    assert!(error(b"PKxx").contains("no whole zip archive"));
    assert!(error(b"\x80\x02}q\x00.").contains("torch.save"));
    assert!(error(b"\x02\0\0\0\0\0\0\0{}").contains("no state dict of torchvision's alexnet"));
    assert!(error(b"hello, this is a text").contains("no .caffemodel"));
    assert!(error(b"").contains("it is empty"));
    assert!(error(&caffe::tests::sample()).contains("conv1.weight is [2, 3, 1, 2] with 12 numbers, expected [96, 3"));
}

#[test]
fn damaged_files_are_errors() {
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 2], &[0; 8]).unwrap();
    let table = safetensors::serialize([("features.0.weight", tensor)], None).unwrap();
    let files = [caffe::tests::sample(), archive(&pickle()), pickle(), table];
    fuzz::repeat("networks of other programs", 2000, |random| {
        let which = random.below(files.len());
        let mut bytes = files[which].clone();
        fuzz::damage(&mut bytes, random);
        // The third file is the pickle alone, so that the archive's checksums do not keep changes from it.
        let error = match which {
            2 => pickle::read(&archive(&bytes), &torchvision::names()).map(drop),
            _ => decode(&bytes).map(drop),
        };
        assert!(error.is_err(), "{which}: {bytes:?}");
    });
}

#[test]
fn a_damaged_mean_image_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mean.binaryproto");
    let whole = caffe::tests::mean();
    fuzz::repeat("mean images", 200, |random| {
        let mut bytes = whole.clone();
        fuzz::damage(&mut bytes, random);
        fs::write(&path, &bytes).unwrap();
        // A changed number may be a mean, too.
        if let Ok(mean) = read_mean(&path, 2) {
            assert_eq!(mean.len(), 12);
        }
    });
}
